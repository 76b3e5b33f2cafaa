package sim_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"

	"github.com/sluice-dev/sluice/xds/sim"
)

const (
	wirePatience = 40 * time.Second
	// unknownAddress is where captured connections go of which a case says no address.
	unknownAddress = "127.255.0.1"
	tlsHandshake   = 0x16 // the first byte of TLS
)

// forwarded reports whether a connection was forwarded as it is, or should have been.
func forwarded(want sim.Result) bool {
	return want.VirtualHost == "" && (want.Outcome == sim.Routed || want.Outcome == sim.NoHealthyUpstream)
}

// compareConnection opens connections until every cluster that they may go to was seen.
func (r *rig) compareConnection(t *testing.T, mesh, asked string, req sim.Request, want sim.Result) {
	t.Helper()
	unseen := map[string]bool{}
	for _, d := range want.Destinations {
		unseen[r.meshes[mesh].shown(d)] = true
	}
	for range triesOfSplit {
		got := dead
		if resp, err := r.open(t, mesh, want.Listener, req); err == nil {
			got = r.meshes[mesh].seen(resp)
		}
		if !slices.ContainsFunc(want.Destinations, func(d sim.Destination) bool { return r.meshes[mesh].shown(d) == got }) {
			t.Errorf("%s: Envoy chose %q, which is not among %v", asked, got, want.Destinations)
			return
		}
		if delete(unseen, got); len(unseen) == 0 {
			return
		}
	}
	t.Errorf("%s: Envoy never chose %v of %v", asked, unseen, want.Destinations)
}

// open opens a connection to a listener, asks who is at its other end, and closes it.
func (r *rig) open(t *testing.T, mesh, listener string, req sim.Request) (*http.Response, error) {
	t.Helper()
	conn, err := r.dial(mesh, listener, req)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return ask(conn)
}

// ask says over a connection who is at its other end.
func ask(conn net.Conn) (*http.Response, error) {
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: who\r\n\r\n"); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// dial connects as the client of a request does.
func (r *rig) dial(mesh, listener string, req sim.Request) (net.Conn, error) {
	address, at := "127.0.0.1", r.ports[mesh+"/"+listener]
	if r.captures != "" {
		at = r.ports[r.captures+"/virtualOutbound"]
	} else if port, ok := r.ports[mesh+"/"+listener+"@"+req.Address]; ok {
		address, at = req.Address, port
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(at)), wirePatience)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(wirePatience)); err != nil {
		return nil, err
	}
	if r.captures != "" {
		to := cmp.Or(req.Address, unknownAddress)
		if _, err := fmt.Fprintf(conn, "PROXY TCP4 127.0.0.1 %s 1234 %d\r\n", to, req.Port); err != nil {
			return nil, err
		}
	}
	if req.TLS {
		return tls.Client(conn, &tls.Config{ServerName: req.SNI, InsecureSkipVerify: true}), nil //nolint:gosec // whom a test speaks to is not the question
	}
	return conn, nil
}

// capturedClient is a client whose connections are captured.
func (r *rig) capturedClient(req sim.Request) *http.Client {
	plain := req
	plain.TLS = false
	return &http.Client{Timeout: wirePatience, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return r.dial("", "", plain) },
	}}
}

// original is what the server at the address that a client meant says of itself.
const original = "original"

// expectOriginal listens where connections are meant to go, if they are to go there.
func (r *rig) expectOriginal(req sim.Request, want sim.Result) {
	r.t.Helper()
	at := net.JoinHostPort(cmp.Or(req.Address, unknownAddress), strconv.Itoa(req.Port))
	if r.originals[at] || !slices.ContainsFunc(want.Destinations, isOriginal) || want.Outcome != sim.Routed {
		return
	}
	s := httptest.NewUnstartedServer(sayAll(original))
	l, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", at)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = newEither(l)
	s.Start()
	r.t.Cleanup(s.Close)
	r.originals[at] = true
}

func isOriginal(d sim.Destination) bool { return d.LB == clusterv3.Cluster_CLUSTER_PROVIDED.String() }

// place puts a listener where the rig can reach it: on ports of Envoy's choice, at the addresses that its chains tell
// apart, too. Where connections are captured only the listener that captures is bound; what iptables would tell it of a
// connection comes by the PROXY protocol.
func (r *rig) place(l *listenerv3.Listener) {
	r.t.Helper()
	switch {
	case l.GetUseOriginalDst().GetValue():
		l.Address = loopback(0)
		l.ListenerFilters = append([]*listenerv3.ListenerFilter{{
			Name: "proxy_protocol", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(r.t, &proxyprotocolv3.ProxyProtocol{})},
		}}, l.GetListenerFilters()...)
		return
	case l.GetBindToPort() != nil && !l.GetBindToPort().GetValue():
		return
	}
	l.Address = loopback(0)
	for _, c := range l.GetFilterChains() {
		for _, p := range c.GetFilterChainMatch().GetPrefixRanges() {
			a, err := netip.ParseAddr(p.GetAddressPrefix())
			if err != nil || !a.IsLoopback() || !a.Is4() || int(p.GetPrefixLen().GetValue()) == a.BitLen() {
				continue
			}
			more := loopback(0)
			more.GetSocketAddress().Address = a.Next().String()
			l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: more})
		}
	}
}

// either takes connections that begin with TLS and others alike.
type either struct {
	net.Listener
	config *tls.Config
}

func newEither(l net.Listener) net.Listener {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return either{l, &tls.Config{Certificates: s.TLS.Certificates}} //nolint:gosec // what a test offers is not the question
}

func (e either) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: c, config: e.config}, nil
}

// eitherConn finds out with the first byte.
type eitherConn struct {
	net.Conn
	config *tls.Config
	first  sync.Once
	inner  net.Conn
	err    error
}

// replayed reads a byte again that was read before.
type replayed struct {
	net.Conn
	from *bufio.Reader
}

func (c replayed) Read(p []byte) (int, error) { return c.from.Read(p) }

func (c *eitherConn) Read(p []byte) (int, error) {
	c.first.Do(func() {
		from := bufio.NewReader(c.Conn)
		first, err := from.Peek(1)
		c.inner, c.err = replayed{c.Conn, from}, err
		if err == nil && first[0] == tlsHandshake {
			c.inner = tls.Server(c.inner, c.config)
		}
	})
	if c.err != nil {
		return 0, c.err
	}
	return c.inner.Read(p)
}

func (c *eitherConn) Write(p []byte) (int, error) {
	if c.inner == nil {
		return c.Conn.Write(p)
	}
	return c.inner.Write(p)
}
