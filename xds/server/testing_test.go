package server

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

const patience = 40 * time.Second

var gateway = ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop"}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// res makes a resource whose bytes stand for themselves.
func res(k kind, name, content string, refs ...string) envoy.Resource {
	slices.Sort(refs)
	return envoy.Resource{
		Name: name, Version: content, Refs: refs,
		Any: &anypb.Any{TypeUrl: k.typeURL(), Value: []byte(name + "=" + content)},
	}
}

// mesh is a set with the clusters and endpoints named, and one table "http.80" that names them under one listener.
func mesh(seq uint64, weight int, table string, names ...string) envoy.Resources {
	slices.Sort(names)
	r := envoy.Resources{
		Listeners: []envoy.Resource{res(listeners, "0.0.0.0_80", "l1", "http.80")},
		Routes:    []envoy.Resource{res(routes, "http.80", table, names...)},
		Splits:    []*ir.SplitUse{{Key: "shop/reviews", UID: "u", Seq: seq, Weight: weight, Tables: []string{"http.80"}}},
	}
	for _, n := range names {
		r.Clusters = append(r.Clusters, res(clusters, n, "c1"))
		r.Endpoints = append(r.Endpoints, res(endpoints, n, "e1"))
	}
	return r
}

// harness is a server on loopback.
type harness struct {
	*Server
	t    *testing.T
	addr string
	stop func()
}

func start(t *testing.T, timing Timing) *harness {
	t.Helper()
	return startWith(t, Config{Now: time.Now, Timing: timing})
}

func startWith(t *testing.T, cfg Config) *harness {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, l)
}

// run lets a server serve until the end of the test.
func run(t *testing.T, s *Server, l net.Listener) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	var stopped atomic.Bool
	h := &harness{Server: s, t: t, addr: l.Addr().String()}
	h.stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := poll.End(patience, "Serve", ended); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(h.stop)
	s.Open()
	return h
}

func (h *harness) publish(r envoy.Resources) {
	h.t.Helper()
	if err := h.Publish(h.t.Context(), gateway, r); err != nil {
		h.t.Fatal(err)
	}
}

// converged waits until the split's convergence satisfies ok.
func (h *harness) converged(seq uint64, ok func(ir.Convergence) bool) ir.Convergence {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		changed := h.Changed()
		c := h.Convergence("shop/reviews", "u", seq)
		if ok(c) {
			return c
		}
		select {
		case <-changed:
		case <-deadline:
			h.t.Fatalf("convergence of seq %d stays at %+v", seq, c)
		}
	}
}

func node(id string) *corev3.Node {
	meta, err := structpb.NewStruct(map[string]any{"NAMESPACE": "shop", "LABELS": map[string]any{"istio": "ingressgateway", "pod": id}})
	if err != nil {
		panic(err)
	}
	return &corev3.Node{Id: id, Metadata: meta}
}

// answer is a response of either form.
type answer struct {
	kind     kind
	unknown  string // type URL that is not one of the kinds
	nonce    string
	version  string
	versions map[string]string // delta: by name
	bytes    []string          // "name=content", in order
	removed  []string
}

// String is what tables compare: kind, contents, and removals with a minus.
func (a answer) String() string {
	parts := []string{a.kind.String()}
	if a.unknown != "" {
		parts[0] = "?"
	}
	parts = append(parts, a.bytes...)
	for _, n := range a.removed {
		parts = append(parts, "-"+n)
	}
	return strings.Join(parts, " ")
}

// dial opens a connection that lives as long as the test.
func dial(t testing.TB, addr string) discovery.AggregatedDiscoveryServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return discovery.NewAggregatedDiscoveryServiceClient(conn)
}

// bounded is a context for what a test receives from a stream: where nothing comes for long, the stream ends with DeadlineExceeded.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	t.Cleanup(cancel)
	return ctx
}
