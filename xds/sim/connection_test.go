package sim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

func to(name, cluster string, match ir.ChainMatch) ir.Chain {
	return ir.Chain{Name: name, Match: match, Proxy: &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: cluster, Weight: 1}}}}
}

func proxyOf(t *testing.T, listeners ...*ir.Listener) *sim.Proxy {
	t.Helper()
	res, err := envoy.Build(ir.Config{
		Kind: ir.KindSidecar, Listeners: listeners,
		Tables: []*ir.RouteTable{{Name: "80", VirtualHosts: []*ir.VirtualHost{{Name: "h", Domains: []string{"*"}}}}},
		Clusters: []*ir.Cluster{
			{Name: "outbound|6379|v1|redis"}, {Name: "outbound|6379|v2|redis"},
			{Name: "PassthroughCluster", Discovery: ir.DiscoveryOriginal}, {Name: "BlackHoleCluster", Discovery: ir.DiscoveryNothing},
		},
		Endpoints: []*ir.Endpoints{{Cluster: "outbound|6379|v1|redis", Localities: []ir.Locality{{Endpoints: []ir.Endpoint{{Address: "10.0.0.1", Port: 1, Weight: 1}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sim.New(res)
}

func TestProxy_forwardsConnectionsByWeight(t *testing.T) {
	split := ir.Chain{Name: "split", Proxy: &ir.TCPProxy{Weighted: true, Hash: true, Destinations: []ir.Destination{
		{Cluster: "outbound|6379|v1|redis", Weight: 85}, {Cluster: "outbound|6379|v2|redis", Weight: 15},
	}}}
	p := proxyOf(t, &ir.Listener{Name: "0.0.0.0_6379", Address: "127.0.0.1", Port: 6379, Chains: []ir.Chain{split}},
		&ir.Listener{Name: "0.0.0.0_80", Address: "127.0.0.1", Port: 80, Chains: []ir.Chain{{Table: "80"}}},
		&ir.Listener{Name: "0.0.0.0_81", Address: "127.0.0.1", Port: 81, Chains: []ir.Chain{to("dead", "outbound|6379|v2|redis", ir.ChainMatch{})}})
	got := p.Route(sim.Request{Port: 6379, Raw: true})
	want := []sim.Destination{
		{Cluster: "outbound|6379|v1|redis", Host: "redis", Subset: "v1", Port: 6379, Probability: 0.85, LB: "LEAST_REQUEST", MaxConnections: 4294967295},
		{Cluster: "outbound|6379|v2|redis", Host: "redis", Subset: "v2", Port: 6379, Probability: 0.15, LB: "LEAST_REQUEST", MaxConnections: 4294967295},
	}
	if diff := cmp.Diff(want, got.Destinations); diff != "" || got.Outcome != sim.Routed || got.RouteName != "split" || got.Listener != "0.0.0.0_6379" || got.VirtualHost != "" {
		t.Errorf("%s by %q at %q, destinations (-want +got):\n%s", got.Outcome, got.RouteName, got.Listener, diff)
	}
	if diff := cmp.Diff([]sim.Hash{{SourceIP: true}}, got.Hash); diff != "" {
		t.Errorf("hash (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		req  sim.Request
		want sim.Outcome
	}{
		{sim.Request{Port: 6379, TLS: true, SNI: "x"}, sim.Routed}, // it does not look inside
		{sim.Request{Port: 6379, Method: "GET", Host: "h", Path: "/"}, sim.Routed},
		{sim.Request{Port: 80, Raw: true}, sim.NoListener}, // HTTP only
		{sim.Request{Port: 81, Raw: true}, sim.NoHealthyUpstream},
		{sim.Request{Port: 82, Raw: true}, sim.NoListener},
	} {
		if got := p.Route(c.req); got.Outcome != c.want || got.Status != 0 {
			t.Errorf("%+v: %s %d, want %s 0", c.req, got.Outcome, got.Status, c.want)
		}
	}
}

// TestProxy_choosesAChainWithoutGoingBack has chains that the server name would choose, were the address not first.
func TestProxy_choosesAChainWithoutGoingBack(t *testing.T) {
	c := "outbound|6379|v1|redis"
	p := proxyOf(t, &ir.Listener{Name: "l", Address: "0.0.0.0", Port: 443, Chains: []ir.Chain{
		to("name", c, ir.ChainMatch{ServerNames: []string{"a.example"}}),
		to("block", c, ir.ChainMatch{Prefixes: []string{"10.1.0.0/16"}, ServerNames: []string{"b.example"}}),
		to("narrow", c, ir.ChainMatch{Prefixes: []string{"10.1.2.0/24"}}),
		to("port", c, ir.ChainMatch{Port: 444}),
	}, Default: &ir.Chain{Name: "rest", Proxy: &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: c, Weight: 1}}}}})
	for _, q := range []struct{ address, sni, want string }{
		{"", "a.example", "name"},
		{"10.2.0.1", "a.example", "name"},
		{"10.1.0.1", "a.example", "rest"},
		{"10.1.0.1", "b.example", "block"},
		{"10.1.2.1", "b.example", "narrow"},
		{"10.1.2.1", "", "narrow"},
		{"10.2.0.1", "b.example", "rest"},
		{"", "", "rest"},
	} {
		if got := p.Route(sim.Request{Port: 443, TLS: true, SNI: q.sni, Raw: true, Address: q.address}); got.RouteName != q.want {
			t.Errorf("%s for %q goes by %q, want %q", q.address, q.sni, got.RouteName, q.want)
		}
	}
}

func TestProxy_capturesGoToTheListenerOfTheAddress(t *testing.T) {
	c := "outbound|6379|v1|redis"
	p := proxyOf(t,
		&ir.Listener{Name: "virtualOutbound", Address: "0.0.0.0", Port: 15001, Capture: ir.HandsOver,
			Chains: []ir.Chain{to("blackhole", "BlackHoleCluster", ir.ChainMatch{Port: 15001}), to("allow_any", "PassthroughCluster", ir.ChainMatch{})}},
		&ir.Listener{Name: "0.0.0.0_80", Address: "0.0.0.0", Port: 80, Capture: ir.HandedOnly, Chains: []ir.Chain{to("any", c, ir.ChainMatch{})}},
		&ir.Listener{Name: "10.0.0.9_80", Address: "10.0.0.9", Port: 80, Capture: ir.HandedOnly, Chains: []ir.Chain{to("vip", c, ir.ChainMatch{})}})
	for _, q := range []struct {
		address string
		port    int
		listen  string
		by      string
		outcome sim.Outcome
	}{
		{"10.0.0.9", 80, "10.0.0.9_80", "vip", sim.Routed},
		{"10.0.0.8", 80, "0.0.0.0_80", "any", sim.Routed},
		{"10.0.0.9", 81, "virtualOutbound", "allow_any", sim.Routed},
		{"127.0.0.1", 15001, "virtualOutbound", "blackhole", sim.NoHealthyUpstream},
	} {
		got := p.Route(sim.Request{Port: q.port, Raw: true, Address: q.address})
		if got.Listener != q.listen || got.RouteName != q.by || got.Outcome != q.outcome {
			t.Errorf("%s:%d: %s by %q at %q, want %s by %q at %q", q.address, q.port, got.Outcome, got.RouteName, got.Listener, q.outcome, q.by, q.listen)
		}
	}
	bound := proxyOf(t, &ir.Listener{Name: "l", Address: "127.0.0.1", Port: 80, Chains: []ir.Chain{to("any", "PassthroughCluster", ir.ChainMatch{})}})
	if got := bound.Route(sim.Request{Port: 80, Raw: true}); got.Outcome != sim.NoHealthyUpstream {
		t.Errorf("without capture nobody knows where the client meant to go: %s", got.Outcome)
	}
}
