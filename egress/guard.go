package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	idleTimeout = 30 * time.Second
)

// Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard dials what its policy allows. It is safe for use by many goroutines.
type Guard struct {
	policy   Policy
	resolver Resolver
}

// New gives a guard that resolves names as the machine does.
func New(p Policy) *Guard { return NewWithResolver(p, net.DefaultResolver) }

// NewWithResolver gives a guard that resolves names by r.
func NewWithResolver(p Policy, r Resolver) *Guard { return &Guard{policy: p, resolver: r} }

// DialContext connects to address, a host or IP with a port, over tcp. A name is resolved here, once; if any of its
// addresses is denied nothing is dialled. The error wraps ErrDenied in that case.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("dialling %s: network %q: only tcp", address, network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", address, err)
	}
	dialer := net.Dialer{Control: g.control}
	var errs []error
	for _, a := range addrs {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("dialling %s: %w", address, errors.Join(errs...))
}

func (g *Guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, g.policy.Check(a)
	}
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := g.policy.Check(a); err != nil {
			return nil, fmt.Errorf("%s resolves to %w", host, err)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return addrs, nil
}

// control looks at the address of the socket itself: the last word before the first packet.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, ErrDenied)
	}
	return g.policy.Check(ap.Addr())
}

// CheckURL refuses what must not even be asked for: another scheme than https (http where plain is allowed, and to
// loopback where the policy allows that), a user or password, an address that is denied. Names are looked at when they are dialled.
func (g *Guard) CheckURL(u *url.URL, o Options) error {
	switch {
	case u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("url has no host")
	case u.User != nil:
		return fmt.Errorf("url to %s has a user or password", u.Host)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if literal := err == nil; literal {
		if err := g.policy.Check(addr); err != nil {
			return fmt.Errorf("url to %s: %w", u.Host, err)
		}
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		if o.PlainHTTP || (g.policy.AllowLoopback && (addr.IsLoopback() || u.Hostname() == "localhost")) {
			return nil
		}
		return fmt.Errorf("url to %s is plain http", u.Host)
	}
	return fmt.Errorf("url to %s has scheme %q, want https", u.Host, u.Scheme)
}

// Options shape a client or transport. The zero value trusts the machine's roots and allows 10 s.
type Options struct {
	Timeout    time.Duration  // of a whole request, its body included; 0: 10 s
	Roots      *x509.CertPool // alone trusted; nil: the machine's
	ServerName string         // expected in the certificate; empty: the URL's host
	PlainHTTP  bool           // http to any allowed address
}

// Transport gives an HTTP transport: guarded dials, TLS 1.2 or newer, verified, and no proxy from the environment. Where the
// policy has a proxy, it alone is dialled, and asked for the rest.
func (g *Guard) Transport(o Options) *http.Transport {
	t := g.direct(o)
	if g.policy.Proxy != nil {
		t.Proxy, t.DialContext = http.ProxyURL(g.policy.Proxy), (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return t
}

func (g *Guard) direct(o Options) *http.Transport {
	return &http.Transport{
		DialContext:            g.DialContext,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, ServerName: o.ServerName},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  o.timeout(),
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    2,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Client gives an HTTP client over Transport whose requests are checked by CheckURL and end after o.Timeout. A redirect
// is an error that wraps ErrRedirect.
func (g *Guard) Client(o Options) *http.Client {
	return &http.Client{
		Transport:     &checked{guard: g, options: o, next: g.Transport(o)},
		Timeout:       o.timeout(),
		CheckRedirect: Refuse,
	}
}

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 10 * time.Second
}

// ErrRedirect is wrapped by the error for an answer that redirects.
var ErrRedirect = errors.New("redirects are refused")

// Refuse is a CheckRedirect that follows nothing; its error names scheme and host of the target only.
func Refuse(req *http.Request, _ []*http.Request) error {
	return fmt.Errorf("redirect to %s://%s: %w", req.URL.Scheme, req.URL.Host, ErrRedirect)
}

// checked looks at each request's URL before anything is dialled.
type checked struct {
	guard   *Guard
	options Options
	next    *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.guard.CheckURL(req.URL, c.options); err != nil {
		return nil, err
	}
	if c.guard.policy.Proxy != nil {
		if err := c.guard.Vet(req.Context(), req.URL.Hostname()); err != nil {
			return nil, fmt.Errorf("asking the proxy for %s: %w", req.URL.Host, err)
		}
	}
	return c.next.RoundTrip(req)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (c *checked) CloseIdleConnections() { c.next.CloseIdleConnections() }
