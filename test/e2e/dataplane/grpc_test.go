package dataplane

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/xds"

	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

var grpcClass = ir.ProxyClass{Kind: ir.KindGRPC, Namespace: "shop"}

// backend is a gRPC server that says in a header which version it is.
func backend(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, metadata.Pairs("version", version)); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}))
	healthgrpc.RegisterHealthServer(s, health.NewServer())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serving %s: %v", version, err)
		}
	}()
	t.Cleanup(func() { s.Stop(); <-ended })
	return l.Addr().String()
}

// dial makes a channel whose targets gRPC resolves by asking the plane.
func dial(t *testing.T, p *plane) healthgrpc.HealthClient {
	t.Helper()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGRPC, ID: "client-1", Namespace: "shop", XDS: p.addr})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := xds.NewXDSResolverWithConfigForTesting(file)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///"+host+":8080", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return healthgrpc.NewHealthClient(conn)
}

// call makes n calls and counts the answers of v2. Every call must be answered.
func call(t *testing.T, c healthgrpc.HealthClient, n int) (canary int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for range n {
		var header metadata.MD
		if _, err := c.Check(ctx, &healthgrpc.HealthCheckRequest{}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		switch version := header.Get("version"); {
		case slices.Equal(version, []string{"v2"}):
			canary++
		case !slices.Equal(version, []string{"v1"}):
			t.Fatalf("answer %q comes from no version", version)
		}
	}
	return canary
}

func TestGRPC_dividesCallsAsTheSplitSays(t *testing.T) {
	p := serve(t, "127.0.0.1:0")
	in := mesh(t, 9999, "GRPC", backends{"v1": backend(t, "v1"), "v2": backend(t, "v2")})
	resources := func(seq uint64, weight int) envoy.Resources {
		return compile(t, in, grpcClass, at(seq, weight))
	}
	first := resources(1, 0)
	p.publish(grpcClass, first)
	c := dial(t, p)
	if got := call(t, c, 100); got != 0 {
		t.Errorf("at weight 0 the canary answered %d times", got)
	}
	p.done(1)
	for i, weight := range []int{15, 50, 100, 0} {
		seq := uint64(i + 2)
		next := resources(seq, weight)
		for _, pair := range [][2][]envoy.Resource{{first.Listeners, next.Listeners}, {first.Clusters, next.Clusters}, {first.Endpoints, next.Endpoints}} {
			if !slices.EqualFunc(pair[0], pair[1], func(a, b envoy.Resource) bool { return a.Version == b.Version }) {
				t.Errorf("weight %d changes more than routes", weight)
			}
		}
		p.publish(grpcClass, next)
		p.done(seq)
		const n = 2000
		within(t, weight, n, call(t, c, n))
	}
}
