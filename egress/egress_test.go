package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/egress"
)

func TestPolicy_vectors(t *testing.T) {
	t.Parallel()
	standalone := egress.Policy{AllowLoopback: true}
	strict := egress.Policy{DenyPrivate: true, Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	server := egress.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("10.96.0.1/32")}}
	for _, row := range []struct {
		addr    string
		policy  egress.Policy
		allowed bool
	}{
		{"192.0.2.1", egress.Policy{}, true},
		{"2001:db8::1", egress.Policy{}, true},
		{"10.0.0.5", egress.Policy{}, true},
		{"192.168.1.1", egress.Policy{}, true},
		{"fc00::1", egress.Policy{}, true},
		{"127.0.0.1", egress.Policy{}, false},
		{"127.8.9.10", egress.Policy{}, false},
		{"::1", egress.Policy{}, false},
		{"::ffff:127.0.0.1", egress.Policy{}, false},
		{"::127.0.0.1", egress.Policy{}, false},
		{"0.0.0.0", egress.Policy{}, false},
		{"0.1.2.3", egress.Policy{}, false},
		{"::", egress.Policy{}, false},
		{"169.254.169.254", egress.Policy{}, false},
		{"::ffff:169.254.169.254", egress.Policy{}, false},
		{"64:ff9b::a9fe:a9fe", egress.Policy{}, false},
		{"64:ff9b::c000:201", egress.Policy{}, true},
		{"64:ff9b:1::a9fe:a9fe", egress.Policy{}, false},
		{"2002:a9fe:a9fe::1", egress.Policy{}, false},
		{"2002:7f00:1::1", standalone, true},
		{"2002:7f00:1::1", egress.Policy{}, false},
		{"fe80::1%eth0", egress.Policy{}, false},
		{"224.0.0.1", egress.Policy{}, false},
		{"ff02::1", egress.Policy{}, false},
		{"255.255.255.255", egress.Policy{}, false},
		{"100.100.100.200", egress.Policy{}, false},
		{"fd00:ec2::254", egress.Policy{}, false},
		{"127.0.0.1", standalone, true},
		{"::1", standalone, true},
		{"::ffff:127.0.0.1", standalone, true},
		{"169.254.169.254", standalone, false},
		{"0.0.0.0", standalone, false},
		{"10.0.0.5", strict, false},
		{"10.1.0.5", strict, true},
		{"100.64.0.1", strict, false},
		{"fd12::1", strict, false},
		{"192.0.2.1", strict, true},
		{"10.96.0.1", server, false},
		{"::ffff:10.96.0.1", server, false},
		{"10.96.0.2", server, true},
	} {
		err := row.policy.Check(netip.MustParseAddr(row.addr))
		if (err == nil) != row.allowed || (err != nil && !errors.Is(err, egress.ErrDenied)) {
			t.Errorf("%s under %+v: %v, want allowed %v", row.addr, row.policy, err, row.allowed)
		}
	}
	if err := standalone.Check(netip.Addr{}); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("no address: %v, want it denied", err)
	}
}

// names resolves from a list.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range n[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

// silent accepts connections and counts them.
func silent(t *testing.T) (port string, accepted func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := make(chan int, 1)
	go func() {
		n := 0
		for {
			conn, err := l.Accept()
			if err != nil {
				count <- n
				return
			}
			n++
			conn.Close()
		}
	}()
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, func() int { l.Close(); return <-count }
}

func TestDial_oneDeniedAddressRefusesAll(t *testing.T) {
	t.Parallel()
	port, accepted := silent(t)
	guard := egress.NewWithResolver(egress.Policy{}, names{
		"mixed.example": {"192.0.2.1", "127.0.0.1"},
		"meta.example":  {"192.0.2.1", "169.254.169.254"},
		"local.example": {"127.0.0.1"},
		"none.example":  {},
	})
	for _, host := range []string{"mixed.example", "meta.example", "local.example", "127.0.0.1", "::ffff:127.0.0.1", "none.example"} {
		conn, err := guard.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			conn.Close()
			t.Errorf("%s was dialled", host)
		} else if host != "none.example" && !errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: %v, want it denied", host, err)
		}
	}
	if n := accepted(); n != 0 {
		t.Errorf("%d connections arrived, want none", n)
	}
}

func TestDial_triesTheNextAddress(t *testing.T) {
	t.Parallel()
	port, accepted := silent(t)
	guard := egress.NewWithResolver(egress.Policy{AllowLoopback: true}, names{"two.example": {"::1", "127.0.0.1"}})
	conn, err := guard.DialContext(t.Context(), "tcp", "two.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := guard.DialContext(t.Context(), "udp", "two.example:"+port); err == nil {
		t.Error("udp was dialled")
	}
	if n := accepted(); n != 1 {
		t.Errorf("%d connections arrived, want 1", n)
	}
}

func TestClient_refusesRedirectsAndForeignSchemes(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "http://127.0.0.1:1/secret?token=x", http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	client := egress.New(egress.Policy{AllowLoopback: true}).Client(egress.Options{Timeout: 5 * time.Second})
	_, err := client.Get(srv.URL)
	if !errors.Is(err, egress.ErrRedirect) {
		t.Errorf("got %v, want the redirect refused", err)
	}
	for _, bad := range []string{"gopher://x", "https://a@b", "http://192.0.2.1/", "http:///x", "https://169.254.169.254/"} {
		resp, err := client.Get(bad)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s was asked", bad)
		}
	}
	if n := hits.Load(); n != 1 {
		t.Errorf("%d requests arrived, want 1", n)
	}
}

func TestCheckURL_plainHTTP(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url     string
		policy  egress.Policy
		options egress.Options
		ok      bool
	}{
		{"https://10.0.0.5", egress.Policy{}, egress.Options{}, true},
		{"http://10.0.0.5", egress.Policy{}, egress.Options{}, false},
		{"http://10.0.0.5", egress.Policy{}, egress.Options{PlainHTTP: true}, true},
		{"http://127.0.0.1:80", egress.Policy{AllowLoopback: true}, egress.Options{}, true},
		{"http://[::1]:80", egress.Policy{AllowLoopback: true}, egress.Options{}, true},
		{"http://localhost:80", egress.Policy{AllowLoopback: true}, egress.Options{}, true},
		{"http://localhost:80", egress.Policy{}, egress.Options{}, false},
		{"http://localhost.example:80", egress.Policy{AllowLoopback: true}, egress.Options{}, false},
		{"http://[::ffff:169.254.169.254]", egress.Policy{AllowLoopback: true}, egress.Options{PlainHTTP: true}, false},
	} {
		u, err := url.Parse(row.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := egress.New(row.policy).CheckURL(u, row.options); (err == nil) != row.ok {
			t.Errorf("%s under %+v %+v: %v, want ok %v", row.url, row.policy, row.options, err, row.ok)
		}
	}
}

func TestClient_verifiesTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	srv.StartTLS()
	t.Cleanup(srv.Close)
	old := httptest.NewUnstartedServer(srv.Config.Handler)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	guard := egress.New(egress.Policy{AllowLoopback: true})
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())

	if _, err := guard.Client(egress.Options{}).Get(srv.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown root: %v, want it refused", err)
	}
	resp, err := guard.Client(egress.Options{Roots: roots}).Get(srv.URL)
	if err != nil {
		t.Fatalf("the named root: %v", err)
	}
	resp.Body.Close()
	if _, err := guard.Client(egress.Options{Roots: roots}).Get(old.URL); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v, want it refused", err)
	}
}

func TestClient_endsInTime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	client := egress.New(egress.Policy{AllowLoopback: true}).Client(egress.Options{Timeout: 50 * time.Millisecond})
	_, err := client.Get(srv.URL)
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}
