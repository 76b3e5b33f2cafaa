package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/server"
)

// lag is a connection to the API server whose watches can be held up.
type lag struct {
	http.RoundTripper
	lists atomic.Int32

	mu   sync.Mutex
	free chan struct{} // closed while watches pass
}

func (l *lag) gate() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.free
}

func (l *lag) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = make(chan struct{})
}

func (l *lag) thaw() { close(l.gate()) }

// RoundTrip implements http.RoundTripper.
func (l *lag) RoundTrip(r *http.Request) (*http.Response, error) {
	watching := r.URL.Query().Get("watch") != ""
	if !watching && r.Method == http.MethodGet {
		l.lists.Add(1)
	}
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && watching {
		resp.Body = &heldBody{ReadCloser: resp.Body, lag: l, ctx: r.Context()}
	}
	return resp, err
}

type heldBody struct {
	io.ReadCloser
	lag *lag
	ctx context.Context
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	select {
	case <-b.lag.gate():
	case <-b.ctx.Done():
	}
	return n, err
}

// replica is an xDS server that is fed from the API server.
type replica struct {
	addr string
	lag  *lag
	mesh *Controller
}

func (s *site) replica(t *testing.T, cfg *rest.Config) *replica {
	t.Helper()
	r := &replica{lag: &lag{free: make(chan struct{})}}
	r.lag.thaw()
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { r.lag.RoundTripper = rt; return r.lag })
	sch := s.client.Scheme()
	mapper := newMapper(t, cfg)
	mapper.here.Store(true)
	c, err := cache.New(cfg, cache.Options{Scheme: sch, Mapper: mapper, DefaultNamespaces: map[string]cache.Config{s.namespace: {}}})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.New(cfg, client.Options{Scheme: sch, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	xds, err := server.New(server.Config{Now: time.Now, Barrier: func(ctx context.Context) error { return r.mesh.Barrier(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	r.mesh, err = New(Config{
		Cache: c, Reader: client.NewNamespacedClient(direct, s.namespace), Publisher: xds, Demand: xds, Now: time.Now,
		Ready: func() { xds.Open(); close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, f := range []func() error{
		func() error { return c.Start(ctx) },
		func() error { return xds.Serve(ctx, l) },
		func() error { return r.mesh.Start(ctx) },
	} {
		running.Go(func() {
			if err := f(); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	<-ready
	return r
}

// follower is a proxy that subscribes to one table and takes whatever comes.
type follower struct {
	t        *testing.T
	end      context.CancelFunc
	versions chan string
}

// follow opens a stream; has is the version of the table that the proxy brings, empty: none.
func (s *site) follow(t *testing.T, r *replica, id, has string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := grpc.NewClient(r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := structpb.NewStruct(map[string]any{"NAMESPACE": s.namespace, "LABELS": map[string]any{"istio": "ingressgateway"}})
	if err != nil {
		t.Fatal(err)
	}
	first := &discovery.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: id, Metadata: meta}, TypeUrl: envoy.TypeRoute, ResourceNamesSubscribe: []string{"http.80"},
	}
	if has != "" {
		first.InitialResourceVersions = map[string]string{"http.80": has}
	}
	if err := stream.Send(first); err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, versions: make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			in, err := stream.Recv()
			if err != nil {
				return
			}
			for _, one := range in.GetResources() {
				f.versions <- one.GetVersion()
			}
			if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: envoy.TypeRoute, ResponseNonce: in.GetNonce()}); err != nil {
				return
			}
		}
	}()
	f.end = func() { cancel(); <-done; conn.Close() }
	t.Cleanup(f.end)
	return f
}

func (f *follower) next() string {
	f.t.Helper()
	select {
	case v := <-f.versions:
		return v
	case <-time.After(time.Minute):
		f.t.Fatal("no version has come")
		return ""
	}
}

// edit changes what the table of the gateway says.
func (s *site) edit() {
	s.t.Helper()
	vs := &unstructured.Unstructured{}
	vs.SetAPIVersion("networking.istio.io/v1")
	vs.SetKind("VirtualService")
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "reviews"}, vs); err != nil {
		s.t.Fatal(err)
	}
	if err := unstructured.SetNestedStringSlice(vs.Object, []string{"reviews.example"}, "spec", "hosts"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.client.Update(s.t.Context(), vs); err != nil {
		s.t.Fatal(err)
	}
}

// TestReplicas_noProxyGoesBackInTime lets a proxy change from a replica that is up to date to one whose watches lag.
func TestReplicas_noProxyGoesBackInTime(t *testing.T) {
	s := open(t)
	s.mapper.here.Store(true)
	s.apply(shop)
	s.store(baking)
	cfg := kube.Start(t)
	ahead, behind := s.replica(t, cfg), s.replica(t, cfg)

	p := s.follow(t, ahead, "gw-1", "")
	seen := []string{p.next()}
	behind.lag.freeze()
	s.store(failed)
	seen = append(seen, p.next())
	p.end()

	p = s.follow(t, behind, "gw-1", seen[1])
	if old := s.follow(t, behind, "gw-2", "").next(); old != seen[0] {
		t.Fatalf("a fresh proxy of the replica that lags got version %s, want the old one %s", old, seen[0])
	}
	lists := behind.lag.lists.Load()
	kube.Eventually(t, 10*time.Second, func() error {
		if n := behind.lag.lists.Load() - lists; n < 20 {
			return fmt.Errorf("the replica has listed %d times", n)
		}
		return nil
	})
	behind.lag.thaw()
	s.edit()
	seen = append(seen, p.next())
	if slices.Contains(seen[:2], seen[2]) || len(p.versions) > 0 {
		t.Errorf("the proxy was given %v and %d more", seen, len(p.versions))
	}
}

// TestBarrier_failsWhileTheServerCannotBeAsked holds that silence of the API server is no proof.
func TestBarrier_failsWhileTheServerCannotBeAsked(t *testing.T) {
	s := open(t)
	s.mapper.here.Store(true)
	s.apply(shop)
	r := s.replica(t, kube.Start(t))
	if err := r.mesh.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.mesh.Barrier(ctx); err == nil {
		t.Error("a barrier has passed without asking the server")
	}
	r.mesh.config.Reader = nil
	if err := r.mesh.Barrier(t.Context()); err == nil {
		t.Error("a barrier has passed with nobody to ask")
	}
}
