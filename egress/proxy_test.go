package egress_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/sluice-dev/sluice/egress"
)

// tunnel is a proxy that takes CONNECT, and notes what for.
func tunnel(t *testing.T) (at *url.URL, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.Host)
		var dialer net.Dialer
		to, err := dialer.DialContext(r.Context(), "tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		defer to.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from) }()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return at, asked
}

// The proxy may be where the guard lets nobody else be; what it is asked for is looked at as if it were dialled.
func TestClient_asksThroughAProxy(t *testing.T) {
	t.Parallel()
	proxy, asked := tunnel(t)
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(receiver.Close)
	roots := receiver.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	denies := egress.New(egress.Policy{Proxy: proxy}).Client(egress.Options{Roots: roots})
	for _, inside := range []string{receiver.URL, "https://169.254.169.254/", "https://localhost:1/"} {
		if resp, err := denies.Get(inside); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: %v, %v, want it denied", inside, resp, err)
		}
	}
	if len(*asked) != 0 {
		t.Fatalf("the proxy was asked for %v", *asked)
	}

	allows := egress.New(egress.Policy{Proxy: proxy, AllowLoopback: true, Deny: []netip.Prefix{netip.MustParsePrefix("10.96.0.1/32")}})
	resp, err := allows.Client(egress.Options{Roots: roots}).Get(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot || len(*asked) != 1 || (*asked)[0] != "CONNECT "+receiver.Listener.Addr().String() {
		t.Errorf("status %d, the proxy was asked for %v", resp.StatusCode, *asked)
	}
}
