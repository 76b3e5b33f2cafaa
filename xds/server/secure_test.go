package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/ir"
)

const shopGateway = "spiffe://cluster.local/ns/shop/sa/gateway"

// notary is a Prover whose knowledge can change.
type notary struct {
	mu sync.Mutex
	of map[Claim]Proof
}

func (p *notary) Prove(c Claim) (Proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, ok := p.of[c]
	return out, ok
}

func (p *notary) set(c Claim, proof Proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[c] = proof
}

// secured is a server with a door for certificates and one for this machine.
type secured struct {
	*harness
	ca    *authority.Authority
	files authority.Files
	plain string
}

func startSecured(t *testing.T, prover Prover) *secured { return openSecured(t, prover, nil) }

// startHeld is one whose certificates are held in memory; those of its files are not put there.
func startHeld(t *testing.T, held *Held) *secured { return openSecured(t, nil, held) }

func openSecured(t *testing.T, prover Prover, held *Held) *secured {
	t.Helper()
	s, err := New(Config{Now: time.Now, Prover: prover})
	if err != nil {
		t.Fatal(err)
	}
	ca := authority.New(t)
	h := &secured{harness: &harness{Server: s, t: t}, ca: ca, files: ca.Issue(t, t.TempDir(), "127.0.0.1"), plain: "unix:" + filepath.Join(shortDir(t), "xds.sock")}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	front := Door{Addr: "127.0.0.1:0", Held: held}
	if held == nil {
		certificates := Certificates(h.files)
		front.Certificates = &certificates
	}
	entries, err := s.open(ctx, front, Door{Addr: h.plain})
	if err != nil {
		t.Fatal(err)
	}
	h.addr = entries[0].listener.Addr().String()
	go func() { ended <- s.serveAll(ctx, entries) }()
	t.Cleanup(func() {
		cancel()
		if err := poll.End(patience, "ListenAndServe", ended); err != nil {
			t.Errorf("ListenAndServe: %v", err)
		}
	})
	s.Open()
	h.publish(guarded("k1"))
	return h
}

// shortDir is a directory whose name is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// as is a proxy that comes with the certificate of files.
func (h *secured) as(id string, files authority.Files) *proxy {
	h.t.Helper()
	return converse(h.t, discovery.NewAggregatedDiscoveryServiceClient(reach(h.t, h.addr, h.with(files))), id, false)
}

// with are the credentials of a proxy that has the certificate of files.
func (h *secured) with(files authority.Files) credentials.TransportCredentials {
	h.t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	data, err := os.ReadFile(h.files.CA)
	if err != nil || !pool.AppendCertsFromPEM(data) {
		h.t.Fatal(err, "no authority")
	}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool})
}

func reach(t *testing.T, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// turnedAway reports the code that a stream over such a connection ends with.
func turnedAway(t *testing.T, addr string, creds credentials.TransportCredentials) codes.Code {
	t.Helper()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(reach(t, addr, creds)).DeltaAggregatedResources(bounded(t))
	if err == nil {
		_, err = stream.Recv()
	}
	return status.Code(err)
}

func TestSecure_certificateBindsTheNode(t *testing.T) {
	h := startSecured(t, nil)
	tests := []struct {
		name  string
		id    string
		names []string // of the certificate
		want  codes.Code
	}{
		{"its own namespace", "g1", []string{shopGateway}, codes.OK},
		{"an id of Istio in its namespace", "router~10.0.0.1~g-1.shop~shop.svc.cluster.local", []string{shopGateway}, codes.OK},
		{"another namespace", "g1", []string{"spiffe://cluster.local/ns/bank/sa/gateway"}, codes.PermissionDenied},
		{"an id of another namespace", "router~10.0.0.1~g-1.bank~bank.svc.cluster.local", []string{shopGateway}, codes.PermissionDenied},
		{"another trust domain", "g1", []string{"spiffe://elsewhere/ns/shop/sa/gateway"}, codes.PermissionDenied},
		{"no URI name", "g1", []string{"g1.shop"}, codes.PermissionDenied},
		{"two URI names", "g1", []string{shopGateway, "spiffe://cluster.local/ns/bank/sa/gateway"}, codes.PermissionDenied},
		{"a URI that is no identity", "g1", []string{"https://cluster.local/ns/shop/sa/gateway"}, codes.PermissionDenied},
		{"an identity without account", "g1", []string{"spiffe://cluster.local/ns/shop"}, codes.PermissionDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := h.as(tt.id, h.ca.Issue(t, t.TempDir(), tt.names...))
			p.send(ask{kind: secrets, sub: []string{"s1"}})
			if tt.want == codes.OK {
				if got := p.next().String(); got != "sds s1=k1" {
					t.Errorf("got %q", got)
				}
				return
			}
			if got := status.Code(p.fails()); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSecure_strangersAreTurnedAway(t *testing.T) {
	h := startSecured(t, nil)
	own := h.ca.Issue(t, t.TempDir(), shopGateway)
	pair, err := tls.LoadX509KeyPair(own.Cert, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	data, err := os.ReadFile(h.files.CA)
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatal(err, "no authority")
	}
	tests := []struct {
		name  string
		creds credentials.TransportCredentials
	}{
		{"a certificate of another authority", h.with(authority.New(t).Issue(t, t.TempDir(), shopGateway))},
		{"no certificate", credentials.NewTLS(&tls.Config{RootCAs: pool})},
		{"TLS 1.2", credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})},
		{"plain text", insecure.NewCredentials()},
	}
	for _, tt := range tests {
		if got := turnedAway(t, h.addr, tt.creds); got != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", tt.name, got)
		}
	}
}

func TestSecure_plainDoorBesideIt(t *testing.T) {
	h := startSecured(t, nil)
	runScript(t, h.harness, connect(t, h.plain, "n1", false), routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1")})
}

func TestSecure_labelsCountWhenTheyAreProven(t *testing.T) {
	known := &notary{of: map[Claim]Proof{}}
	claim := Claim{Identity: shopGateway, Namespace: "shop", Name: "g1"}
	h := startSecured(t, known)
	h.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	p := h.as("g1", h.ca.Issue(t, t.TempDir(), shopGateway))
	p.send(ask{kind: secrets, sub: []string{"s1"}})
	if got := p.next().String(); got != "sds s1=k1" {
		t.Fatalf("labels that are not proven count: got %q", got)
	}
	labelled := gateway
	labelled.Labels = "istio=ingressgateway"
	known.set(claim, Proof{Labels: map[string]string{"istio": "ingressgateway", "other": "x"}})
	h.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	if err := wait(h.harness, func(classes []ir.ProxyClass) bool { return slices.Contains(classes, labelled) }); err != nil {
		t.Fatal(err)
	}
	known.set(claim, Proof{Kind: ir.KindSidecar})
	h.SetClassKeys(ir.ClassKeys{Labels: []string{"istio"}})
	if got := status.Code(p.fails()); got != codes.PermissionDenied {
		t.Errorf("of another kind than proven: got %v, want PermissionDenied", got)
	}
}

// bomb is a Prover that fails for one proxy.
type bomb struct{ name string }

func (b bomb) Prove(c Claim) (Proof, bool) {
	if c.Name == b.name {
		panic("a fault of ours")
	}
	return Proof{}, false
}

func TestStream_panicEndsItAndNoOther(t *testing.T) {
	h := startSecured(t, bomb{"g2"})
	files := h.ca.Issue(t, t.TempDir(), shopGateway)
	p := h.as("g1", files)
	runScript(t, h.harness, p, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1"), say(ask{kind: secrets, nonce: "last"})})
	broken := h.as("g2", files)
	broken.send(ask{kind: secrets, sub: []string{"s1"}})
	if got := status.Code(broken.fails()); got != codes.Internal {
		t.Errorf("got %v, want Internal", got)
	}
	runScript(t, h.harness, p, routes, []step{give(guarded("k2"), "sds s1=k2")})
	if n := len(h.writers.turns); n != 0 {
		t.Errorf("%d turns are taken for ever", n)
	}
}

func TestSecure_newCertificatesCountForNewConnections(t *testing.T) {
	h := startSecured(t, nil)
	mine := h.ca.Issue(t, t.TempDir(), shopGateway)
	p := h.as("g1", mine)
	runScript(t, h.harness, p, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1"), say(ask{kind: secrets, nonce: "last"})})

	if err := os.WriteFile(h.files.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	half := h.as("g2", mine)
	runScript(t, h.harness, half, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1")})

	other := authority.New(t)
	other.Issue(t, filepath.Dir(h.files.Cert), "127.0.0.1")
	if got := turnedAway(t, h.addr, h.with(mine)); got != codes.Unavailable {
		t.Errorf("a certificate of the former authority: got %v, want Unavailable", got)
	}
	next := h.as("g4", other.Issue(t, t.TempDir(), shopGateway))
	runScript(t, h.harness, next, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1")})
	runScript(t, h.harness, p, routes, []step{give(guarded("k2"), "sds s1=k2")})
}

func TestListenAndServe_refusals(t *testing.T) {
	dir := t.TempDir()
	good := authority.New(t).Issue(t, dir, "127.0.0.1")
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(change func(c *Certificates)) *Certificates {
		c := Certificates(good)
		change(&c)
		return &c
	}
	tests := []struct {
		name string
		door Door
		want string
	}{
		{"plain text for everybody", Door{Addr: "0.0.0.0:0"}, "not a loopback address"},
		{"no port", Door{Addr: "127.0.0.1"}, "missing port"},
		{"no certificate", Door{Addr: "0.0.0.0:0", Certificates: with(func(c *Certificates) { c.Cert = filepath.Join(dir, "none") })}, "none"},
		{"a key that is none", Door{Addr: "0.0.0.0:0", Certificates: with(func(c *Certificates) { c.Key = empty })}, "its key"},
		{"no authority", Door{Addr: "0.0.0.0:0", Certificates: with(func(c *Certificates) { c.CA = empty })}, "no certificate in PEM"},
	}
	for _, tt := range tests {
		s, err := New(Config{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		err = s.ListenAndServe(t.Context(), Door{Addr: "127.0.0.1:0"}, tt.door)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}
