package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/server"
)

// system is one of those that are compared. Its clients are connected.
type system interface {
	name() string
	// push makes the table that of the scene, and returns when all n clients have acknowledged it.
	push(ctx context.Context, s scene, n int) error
}

// serving is a server on loopback, and its end.
type serving struct {
	addr string
	stop func() error
}

func serveGRPC(g *grpc.Server) (serving, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return serving{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	return serving{addr: l.Addr().String(), stop: func() error { g.Stop(); return <-ended }}, nil
}

// windows and connectionWindows are those of xds/server: gRPC does not measure the connection with pings then. All have
// the same, so that only what is done with a change differs.
func windows() grpc.ServerOption { return grpc.InitialWindowSize(256 << 10) }

func connectionWindows() grpc.ServerOption { return grpc.InitialConnWindowSize(256 << 10) }

// sluice is xds/server.
type sluice struct {
	*server.Server
	serving
}

func newSluice(ctx context.Context, first scene) (*sluice, error) {
	return newSluiceAt(ctx, "127.0.0.1:0", first)
}

func newSluiceAt(ctx context.Context, addr string, first scene) (*sluice, error) {
	s, err := server.New(server.Config{Now: time.Now})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	serve, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(serve, l) }()
	out := &sluice{Server: s, serving: serving{addr: l.Addr().String(), stop: func() error { cancel(); return <-ended }}}
	if err := s.Publish(ctx, gateway(), first.resources()); err != nil {
		return nil, errors.Join(err, out.stop())
	}
	s.Open()
	return out, nil
}

func (*sluice) name() string { return "sluice" }

func (s *sluice) push(ctx context.Context, next scene, n int) error {
	if err := s.Publish(ctx, gateway(), next.resources()); err != nil {
		return err
	}
	return s.settled(ctx, next.seq, n)
}

// settled waits until n clients have acknowledged a seq.
func (s *sluice) settled(ctx context.Context, seq uint64, n int) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		changed := s.Changed()
		c := s.Convergence(splitName, splitUID, seq)
		if c.Done() && c.Acked >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("still not acknowledged by all %d: %+v", n, c)
		}
	}
}

// counted counts down the acknowledgements of a push.
type counted struct {
	left atomic.Int64
	done chan struct{}
}

// newCounted begins with those of the first state: one per type and client.
func newCounted(n int) *counted {
	c := &counted{done: make(chan struct{}, 1)}
	c.left.Store(int64(n * len(subscriptions())))
	return c
}

func (c *counted) one() {
	if c.left.Add(-1) == 0 {
		c.done <- struct{}{}
	}
}

func (c *counted) wait(ctx context.Context) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return fmt.Errorf("%d clients have still not acknowledged", c.left.Load())
	}
}

// floor writes ready bytes to its streams and reads their replies. It has no state but those streams.
type floor struct {
	serving
	acks    *counted
	mu      sync.Mutex // guards streams
	streams map[chan *frame]struct{}
	first   []*frame
}

func newFloor(first scene, n int) (*floor, error) {
	f := &floor{acks: newCounted(n), streams: map[chan *frame]struct{}{}}
	r := first.resources()
	f.first = []*frame{ready(r.Clusters), ready(r.Endpoints), ready(r.Listeners), ready(r.Routes)}
	g := grpc.NewServer(windows(), connectionWindows(), grpc.ForceServerCodecV2(codec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return f.talk(s) }))
	var err error
	f.serving, err = serveGRPC(g)
	return f, err
}

func (f *floor) talk(s grpc.ServerStream) error {
	out := make(chan *frame, 1)
	f.mu.Lock()
	f.streams[out] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.streams, out)
		f.mu.Unlock()
	}()
	go func() {
		var in frame
		for asked := 0; s.RecvMsg(&in) == nil; asked++ {
			if asked >= len(f.first) { // the subscriptions come first
				f.acks.one()
			}
		}
	}()
	for _, one := range f.first {
		if err := s.SendMsg(one); err != nil {
			return err
		}
	}
	for {
		select {
		case one := <-out:
			if err := s.SendMsg(one); err != nil {
				return err
			}
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

func (*floor) name() string { return "floor" }

func (f *floor) push(ctx context.Context, next scene, n int) error {
	f.acks.left.Store(int64(n))
	one := ready([]envoy.Resource{resource(tableName, envoy.TypeRoute, next.table())})
	f.mu.Lock()
	for out := range f.streams {
		out <- one
	}
	f.mu.Unlock()
	return f.acks.wait(ctx)
}

// ready is a whole response as bytes.
func ready(resources []envoy.Resource) *frame {
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: resources[0].Any.GetTypeUrl(), Nonce: "1", ControlPlane: &corev3.ControlPlane{Identifier: "floor"}}
	for _, one := range resources {
		r.Resources = append(r.Resources, &discovery.Resource{Name: one.Name, Version: one.Version, Resource: one.Any})
	}
	text, err := proto.Marshal(r)
	if err != nil {
		panic(err) // a message of our own making
	}
	return &frame{text}
}

// snapshots is the SnapshotCache of go-control-plane in its best form: differences only, one node for all.
type snapshots struct {
	serving
	cache cachev3.SnapshotCache
	acks  *counted
}

// everyone is the name of the one node.
const everyone = "all"

// constant is a hash that takes all nodes for one.
type constant struct{}

// ID implements the NodeHash of the cache.
func (constant) ID(*corev3.Node) string { return everyone }

func newSnapshots(ctx context.Context, first scene, n int) (*snapshots, error) {
	s := &snapshots{cache: cachev3.NewSnapshotCache(false, constant{}, nil), acks: newCounted(n)}
	if err := s.set(ctx, first); err != nil {
		return nil, err
	}
	handler := serverv3.NewServer(ctx, s.cache, serverv3.CallbackFuncs{StreamDeltaRequestFunc: func(_ int64, r *discovery.DeltaDiscoveryRequest) error {
		if r.GetResponseNonce() != "" {
			s.acks.one()
		}
		return nil
	}})
	g := grpc.NewServer(windows(), connectionWindows())
	discovery.RegisterAggregatedDiscoveryServiceServer(g, handler)
	var err error
	s.serving, err = serveGRPC(g)
	return s, err
}

func (s *snapshots) set(ctx context.Context, next scene) error {
	clusters, endpoints := make([]types.Resource, 0), make([]types.Resource, 0)
	for _, name := range clusterNames() {
		clusters, endpoints = append(clusters, cluster(name)), append(endpoints, next.endpoints(name))
	}
	snapshot, err := cachev3.NewSnapshot(fmt.Sprint(next.seq), map[string][]types.Resource{
		envoy.TypeCluster: clusters, envoy.TypeEndpoint: endpoints,
		envoy.TypeListener: {next.listener()}, envoy.TypeRoute: {next.table()},
	})
	if err != nil {
		return err
	}
	return s.cache.SetSnapshot(ctx, everyone, snapshot)
}

func (*snapshots) name() string { return "snapshot" }

func (s *snapshots) push(ctx context.Context, next scene, n int) error {
	s.acks.left.Store(int64(n))
	if err := s.set(ctx, next); err != nil {
		return err
	}
	return s.acks.wait(ctx)
}

// contest is the three, each with its clients.
type contest struct {
	systems []system
	stops   []func() error // in order
	bytes   func() int64   // that the clients of the first system have got; 0 where they are apart
}

// connect gives a server its clients.
func (c *contest) connect(ctx context.Context, addr string, n int, apart bool) (leave func() error, err error) {
	if apart {
		return startApart(ctx, addr, n)
	}
	f, err := start(ctx, addr, n)
	if err != nil {
		return nil, err
	}
	if len(c.stops) == 0 {
		c.bytes = f.bytes.Load
	}
	return f.close, nil
}

func newContest(ctx context.Context, first scene, n int, apart bool) (*contest, error) {
	c := &contest{bytes: func() int64 { return 0 }}
	ours, err1 := newSluice(ctx, first)
	least, err2 := newFloor(first, n)
	theirs, err3 := newSnapshots(ctx, first, n)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	c.systems = []system{ours, least, theirs}
	for _, at := range []serving{ours.serving, least.serving, theirs.serving} {
		leave, err := c.connect(ctx, at.addr, n, apart)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.stops = append(c.stops, leave, at.stop)
	}
	return c, errors.Join(ours.settled(ctx, first.seq, n), least.acks.wait(ctx), theirs.acks.wait(ctx))
}

func (c *contest) close() error {
	var errs []error
	for _, stop := range c.stops {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
