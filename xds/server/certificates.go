package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Certificates are the files that one side of a mutual TLS connection needs, in PEM. They may be replaced at any time:
// what they hold at a handshake counts, and connections that stand are left alone.
type Certificates struct {
	Cert string // chain of the server, its own certificate first
	Key  string // private key of it
	CA   string // authorities that sign the certificates of proxies
}

// keyring turns Certificates into TLS configurations, and reads the files again when they have changed.
type keyring struct {
	files Certificates
	log   *slog.Logger

	mu      sync.Mutex // guards everything below
	stamps  []os.FileInfo
	current *tls.Config
	failure string // why the newest files are not used, as logged last
}

// newKeyring reads the files for the first time.
func newKeyring(files Certificates, log *slog.Logger) (*keyring, error) {
	k := &keyring{files: files, log: log}
	if err := k.reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// config gives each handshake what the files hold then. TLS 1.3 is spoken and nothing older, and a connection is never
// resumed: the authorities of now decide.
func (k *keyring) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.fresh(), nil },
	}
}

// fresh is the newest usable configuration.
func (k *keyring) fresh() *tls.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	if stamps, err := k.stat(); err == nil && slices.EqualFunc(stamps, k.stamps, sameFile) {
		return k.current
	}
	if err := k.reload(); err != nil && err.Error() != k.failure {
		k.failure = err.Error()
		k.log.Error("the new certificates are not used", "err", err)
	}
	return k.current
}

// ends is when the newest usable certificate does.
func (k *keyring) ends() time.Time { return k.fresh().Certificates[0].Leaf.NotAfter }

// certificateEnds is when the certificate ends that proxies are shown, in Unix time; 0: there is none.
func (s *Server) certificateEnds() float64 {
	k := s.life.keys.Load()
	if k == nil {
		return 0
	}
	return float64(k.ends().Unix())
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (k *keyring) stat() ([]os.FileInfo, error) {
	out := make([]os.FileInfo, 0, 3)
	for _, path := range []string{k.files.Cert, k.files.Key, k.files.CA} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// reload reads the files. What was read before stays when they do not fit together, as in the middle of a change.
func (k *keyring) reload() error {
	stamps, err := k.stat() // before reading: a change meanwhile is seen the next time
	if err != nil {
		return fmt.Errorf("reading the certificates: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(k.files.Cert, k.files.Key)
	if err != nil {
		return fmt.Errorf("reading the certificate %s and its key %s: %w", k.files.Cert, k.files.Key, err)
	}
	data, err := os.ReadFile(k.files.CA)
	if err != nil {
		return fmt.Errorf("reading the certificates: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(data) {
		return fmt.Errorf("reading the authorities %s: %w", k.files.CA, errors.New("the file holds no certificate in PEM"))
	}
	k.stamps, k.failure = stamps, ""
	k.current = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities, SessionTicketsDisabled: true,
	}
	return nil
}
