package sim_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/server"
)

const (
	callsOfGRPC  = 400
	grpcPatience = 60 * time.Second
)

// TestTranslate_servesGRPCsOwnClient gives the resources of the grpc class to gRPC-Go's xDS client: it dials the host,
// follows the split at each weight, and a header match besides.
func TestTranslate_servesGRPCsOwnClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*grpcPatience)
	defer cancel()
	backends := map[string]string{"v1": backend(t, "v1"), "v2": backend(t, "v2")}
	xdsServer, err := server.New(server.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	serveCtx, stop := context.WithCancel(ctx)
	go func() { served <- xdsServer.Serve(serveCtx, listener) }()
	defer func() { stop(); <-served }()
	class := ir.ProxyClass{Kind: ir.KindGRPC, Namespace: "shop"}
	publish := func(w int, seq uint64) {
		in := grpcMesh(t, backends)
		in.Splits = []ir.Split{{Key: "shop/echo", Host: "echo", Stable: "v1", Canary: "v2", Weight: w, Seq: seq}}
		cfg, _ := istio.Translate(in, class)
		res, err := envoy.Build(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := xdsServer.Publish(ctx, class, res); err != nil {
			t.Fatal(err)
		}
	}
	publish(15, 1)
	xdsServer.Open()

	client := dialXDS(t, listener.Addr().String())
	call(ctx, t, client, "") // it connects with the first call
	checkPolicies(ctx, t, client)
	stopLoad := background(ctx, t, client)
	defer stopLoad()
	for i, w := range []int{15, 50, 100, 0} {
		seq := uint64(i + 1)
		publish(w, seq)
		awaitDone(ctx, t, xdsServer, seq)
		awaitArms(ctx, t, client, w)
		seen := map[string]int{}
		for range callsOfGRPC {
			seen[call(ctx, t, client, "")]++
		}
		// Five standard deviations of the share of the canary.
		if got, want, slack := seen["v2"], callsOfGRPC*w/100, 50; got < want-slack || got > want+slack || (w == 0 && got > 0) || (w == 100 && seen["v1"] > 0) {
			t.Errorf("at %d %%: %v of %d calls, want about %d of v2", w, seen, callsOfGRPC, want)
		}
		if got := call(ctx, t, client, "yes"); got != "v2" {
			t.Errorf("at %d %%: a tester gets %s, want v2", w, got)
		}
	}
}

// checkPolicies asks for a fault, and for users who stay where their hash sends them.
func checkPolicies(ctx context.Context, t *testing.T, c healthgrpc.HealthClient) {
	t.Helper()
	broken := metadata.AppendToOutgoingContext(ctx, "x-broken", "yes")
	if _, err := c.Check(broken, &healthgrpc.HealthCheckRequest{}); status.Code(err) != codes.DataLoss {
		t.Errorf("a call with a fault ends with %v, want DATA_LOSS", err)
	}
	versions := map[string]bool{}
	for i := range 20 {
		user := metadata.AppendToOutgoingContext(ctx, "x-user", fmt.Sprintf("user-%d", i))
		first := call(user, t, c, "")
		versions[first] = true
		for range 10 {
			if got := call(user, t, c, ""); got != first {
				t.Errorf("user %d goes to %s, then to %s", i, first, got)
			}
		}
	}
	if len(versions) != 2 {
		t.Errorf("20 users go to %v only", versions)
	}
}

// background calls without a pause until it is stopped; no call may fail whatever happens to the weights meanwhile.
func background(ctx context.Context, t *testing.T, c healthgrpc.HealthClient) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if _, err := c.Check(ctx, &healthgrpc.HealthCheckRequest{}); err != nil && ctx.Err() == nil {
				t.Errorf("a call fails while the weight changes: %v", err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// backend serves gRPC's health service and says its version in a header.
func backend(t *testing.T, version string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
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
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func grpcMesh(t *testing.T, backends map[string]string) istio.Input {
	t.Helper()
	text := ""
	for _, name := range []string{"echo", "sticky"} {
		text += fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: shop}
spec:
  hosts: [%[1]s.shop.svc.cluster.local]
  ports: [{number: 7070, name: grpc, protocol: GRPC}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints:
`, name)
		for _, v := range []string{"v1", "v2"} {
			host, port, err := net.SplitHostPort(backends[v])
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("  - {address: %s, ports: {grpc: %s}, labels: {version: %s}}\n", host, port, v)
		}
	}
	text += `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: shop}
spec:
  host: echo
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: sticky, namespace: shop}
spec: {host: sticky, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: shop}
spec:
  hosts: [echo]
  http:
  - match: [{headers: {x-tester: {exact: "yes"}}}]
    route: [{destination: {host: echo, subset: v2}}]
  - match: [{headers: {x-broken: {exact: "yes"}}}]
    fault: {abort: {grpcStatus: DATA_LOSS, percentage: {value: 100}}}
    route: [{destination: {host: echo}}]
  - match: [{headers: {x-user: {}}}]
    route: [{destination: {host: sticky}}]
  - timeout: 5s
    route: [{destination: {host: echo}}]
`
	mesh := manifest.New()
	if err := mesh.Read("echo.yaml", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return mesh.Input("", "")
}

func dialXDS(t *testing.T, addr string) healthgrpc.HealthClient {
	t.Helper()
	bootstrap := fmt.Sprintf(`{"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "client", "metadata": {"NAMESPACE": "shop", "GENERATOR": "grpc"}}}`, addr)
	resolver, err := xds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///echo.shop.svc.cluster.local:7070", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
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

func call(ctx context.Context, t *testing.T, c healthgrpc.HealthClient, tester string) string {
	t.Helper()
	if tester != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tester", tester)
	}
	var header metadata.MD
	if _, err := c.Check(ctx, &healthgrpc.HealthCheckRequest{}, grpc.Header(&header), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return strings.Join(header.Get("version"), ",")
}

// awaitArms waits for the moment between the client's acknowledgement and its use of the routes, where one can tell.
func awaitArms(ctx context.Context, t *testing.T, c healthgrpc.HealthClient, w int) {
	t.Helper()
	want, ok := map[int]string{0: "v1", 100: "v2"}[w]
	for inRow := 0; ok && inRow < 50; inRow++ {
		if call(ctx, t, c, "") != want {
			inRow = -1
		}
	}
}

func awaitDone(ctx context.Context, t *testing.T, s *server.Server, seq uint64) {
	t.Helper()
	deadline := time.NewTimer(grpcPatience)
	defer deadline.Stop()
	for {
		changed := s.Changed()
		c := s.Convergence("shop/echo", "", seq)
		if c.Done() {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("seq %d is not acknowledged: %+v", seq, c)
		case <-ctx.Done():
			t.Fatalf("seq %d is not acknowledged: %+v", seq, c)
		}
	}
}
