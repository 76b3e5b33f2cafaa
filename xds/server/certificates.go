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
	held  *Held // in the place of files; nil: it is they
	log   *slog.Logger

	mu      sync.Mutex // guards everything below
	stamps  []os.FileInfo
	count   uint64 // of what was taken of held
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
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if c := k.fresh(); c != nil {
				return c, nil
			}
			return nil, errors.New("there is no certificate of this server yet")
		},
	}
}

// fresh is the newest usable configuration; nil: there was none yet.
func (k *keyring) fresh() *tls.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.changed() {
		return k.current
	}
	if err := k.reload(); err != nil && err.Error() != k.failure {
		k.failure = err.Error()
		k.log.Error("the new certificates are not used", "err", err)
	}
	return k.current
}

// changed reports that there may be something newer than what is used.
func (k *keyring) changed() bool {
	if k.held != nil {
		return k.held.newer(k.count)
	}
	stamps, err := k.stat()
	return err != nil || !slices.EqualFunc(stamps, k.stamps, sameFile)
}

// certificateEnds is when the certificate ends that proxies are shown, in Unix time; 0: there is none.
func (s *Server) certificateEnds() float64 {
	k := s.life.keys.Load()
	if k == nil {
		return 0
	}
	c := k.fresh()
	if c == nil {
		return 0
	}
	return float64(c.Certificates[0].Leaf.NotAfter.Unix())
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

// reload reads what is given. What was read before stays when it does not fit together, as in the middle of a change.
func (k *keyring) reload() error {
	if k.held != nil {
		cert, key, ca, count := k.held.get()
		k.count = count // what does not fit is complained of once
		return k.use(Certificates{Cert: "that is held", Key: "that is held", CA: "that are held"}, cert, key, ca)
	}
	stamps, err := k.stat() // before reading: a change meanwhile is seen the next time
	if err != nil {
		return fmt.Errorf("reading the certificates: %w", err)
	}
	var content [3][]byte
	for i, path := range []string{k.files.Cert, k.files.Key, k.files.CA} {
		if content[i], err = os.ReadFile(path); err != nil {
			return fmt.Errorf("reading the certificates: %w", err)
		}
	}
	if err := k.use(k.files, content[0], content[1], content[2]); err != nil {
		return err
	}
	k.stamps = stamps
	return nil
}

// use takes over what was read, if it fits together; from says where it was.
func (k *keyring) use(from Certificates, cert, key, ca []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("reading the certificate %s and its key %s: %w", from.Cert, from.Key, err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(ca) {
		return fmt.Errorf("reading the authorities %s: %w", from.CA, errors.New("there is no certificate in PEM"))
	}
	k.failure = ""
	k.current = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities, SessionTicketsDisabled: true,
	}
	return nil
}
