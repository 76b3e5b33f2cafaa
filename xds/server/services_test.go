package server

import (
	"testing"

	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

type (
	sotwClient  = grpc.BidiStreamingClient[discovery.DiscoveryRequest, discovery.DiscoveryResponse]
	deltaClient = grpc.BidiStreamingClient[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]
)

func TestServices_ofOneKindServeThatKind(t *testing.T) {
	h := start(t, Timing{})
	h.publish(guarded("k1"))
	conn, err := grpc.NewClient(h.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := t.Context()
	cds, eds, sds := clusterservice.NewClusterDiscoveryServiceClient(conn), endpointservice.NewEndpointDiscoveryServiceClient(conn), secretservice.NewSecretDiscoveryServiceClient(conn)
	lds, rds := listenerservice.NewListenerDiscoveryServiceClient(conn), routeservice.NewRouteDiscoveryServiceClient(conn)
	tests := []struct {
		kind  kind
		names []string
		sotw  func() (sotwClient, error)
		delta func() (deltaClient, error)
		want  string
	}{
		{clusters, nil, func() (sotwClient, error) { return cds.StreamClusters(ctx) }, func() (deltaClient, error) { return cds.DeltaClusters(ctx) }, "cds a=c1 b=c1"},
		{endpoints, []string{"a"}, func() (sotwClient, error) { return eds.StreamEndpoints(ctx) }, func() (deltaClient, error) { return eds.DeltaEndpoints(ctx) }, "eds a=e1"},
		{secrets, []string{"s1"}, func() (sotwClient, error) { return sds.StreamSecrets(ctx) }, func() (deltaClient, error) { return sds.DeltaSecrets(ctx) }, "sds s1=k1"},
		{listeners, nil, func() (sotwClient, error) { return lds.StreamListeners(ctx) }, func() (deltaClient, error) { return lds.DeltaListeners(ctx) }, "lds 0.0.0.0_80=l1"},
		{routes, []string{"http.80"}, func() (sotwClient, error) { return rds.StreamRoutes(ctx) }, func() (deltaClient, error) { return rds.DeltaRoutes(ctx) }, "rds http.80=t1"},
	}
	for _, tt := range tests {
		sotw, err := tt.sotw()
		if err != nil {
			t.Fatal(err)
		}
		delta, err := tt.delta()
		if err != nil {
			t.Fatal(err)
		}
		for form, p := range map[string]*proxy{"state of the world": {sotw: sotw}, "delta": {delta: delta}} {
			p.t, p.id, p.last = t, "n1", map[kind]answer{}
			p.send(ask{kind: tt.kind, names: tt.names, sub: tt.names})
			got, err := p.receive()
			if err != nil || got.String() != tt.want {
				t.Errorf("%s: got %q, %v; want %q", form, got, err, tt.want)
			}
			p.send(ask{kind: (tt.kind + 1) % kinds})
			if _, err = p.receive(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s %s: another type ends with %v, want InvalidArgument", tt.kind, form, err)
			}
		}
	}
}
