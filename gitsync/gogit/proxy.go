package gogit

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"

	"github.com/sluice-dev/sluice/gitsync"
)

const proxyTimeout = 10 * time.Second // for a proxy to connect

// readTLS makes the settings of a remote: TLS 1.2 at least, always verified.
func readTLS(s gitsync.Secret) (*tls.Config, error) {
	made := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		made.RootCAs = x509.NewCertPool()
		if !made.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New("key ca.crt holds no PEM certificate"))
		}
	}
	if s.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
		if err != nil { // its text may quote what it read
			return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New("keys tls.crt and tls.key are not a PEM certificate and its private key"))
		}
		made.Certificates = []tls.Certificate{pair}
	}
	return made, nil
}

// tunnels dials through one proxy. The address of the proxy and that of the target are both looked at.
type tunnels struct {
	proxy  *url.URL
	host   string // with port
	secret gitsync.Proxy
	tls    *tls.Config
	dial   Dial
	vet    Vet
}

// proxied gives the dial function that goes through a proxy, or the plain one.
func proxied(p gitsync.Proxy, cfg Config) (Dial, error) {
	if p.Address == "" {
		return cfg.Dial, nil
	}
	u, err := url.Parse(p.Address)
	if err != nil {
		return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New("key address is not the URL of a proxy"))
	}
	t := &tunnels{proxy: u, host: u.Host, secret: p, dial: cfg.Dial, vet: cfg.Vet}
	if u.Port() == "" {
		t.host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme])
	}
	if t.tls, err = readTLS(gitsync.Secret{CA: p.CA}); err != nil {
		return nil, err
	}
	t.tls.ServerName = u.Hostname()
	if u.Scheme == "socks5" {
		return t.socks, nil
	}
	return t.connect, nil
}

func (t *tunnels) check(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	return t.vet(ctx, host)
}

// socks dials through a SOCKS5 proxy, which resolves the name.
func (t *tunnels) socks(ctx context.Context, network, address string) (net.Conn, error) {
	if err := t.check(ctx, address); err != nil {
		return nil, err
	}
	var auth *proxy.Auth
	if t.secret.Username != "" {
		auth = &proxy.Auth{User: t.secret.Username, Password: t.secret.Password}
	}
	made, err := proxy.SOCKS5(network, t.host, auth, forward(t.dial))
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", t.host, err)
	}
	dialer, ok := made.(proxy.ContextDialer)
	if !ok {
		return nil, fmt.Errorf("proxy %s: cannot be dialled with a deadline", t.host)
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", t.host, err)
	}
	return conn, nil
}

// forward is how a SOCKS5 dialer reaches its proxy.
type forward Dial

// Dial implements proxy.Dialer; a dialer with a context never calls it.
func (forward) Dial(string, string) (net.Conn, error) {
	return nil, errors.New("dialling without a deadline")
}

// DialContext implements proxy.ContextDialer.
func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// connect dials through an HTTP proxy by CONNECT, whatever the target speaks.
func (t *tunnels) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if err := t.check(ctx, address); err != nil {
		return nil, err
	}
	conn, err := t.dial(ctx, network, t.host)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", t.host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	through, err := t.handOver(ctx, conn, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		return through, nil
	}
	conn.Close()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("proxy %s: %w", t.host, err)
}

// handOver asks the proxy at the other end of conn to connect to an address.
func (t *tunnels) handOver(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	if t.proxy.Scheme == "https" {
		secured := tls.Client(conn, t.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secured
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"sluice"}}}
	if t.secret.Username != "" {
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth(t.secret.Username, t.secret.Password)
		req.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReader(&bounded{from: conn, left: 64 << 10, what: "answer of the proxy"})
	res, err := http.ReadResponse(in, req) //nolint:bodyclose // of CONNECT there is none
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusProxyAuthRequired:
		return nil, gitsync.Fail(gitsync.AuthFailed, fmt.Errorf("proxy %s wants other credentials: check keys username and password of its Secret", t.host))
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answers %d", res.StatusCode)
	}
	if in.Buffered() == 0 {
		return conn, nil
	}
	early, err := in.Peek(in.Buffered()) // an SSH server speaks at once
	if err != nil {
		return nil, err
	}
	return &prefixed{Conn: conn, early: append([]byte(nil), early...)}, nil
}

// prefixed is a connection of which some bytes were read already.
type prefixed struct {
	net.Conn
	early []byte
}

// Read implements io.Reader.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.early) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.early)
	p.early = p.early[n:]
	return n, nil
}
