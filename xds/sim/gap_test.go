package sim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

func TestGaps_areClustersThatAnswerNobodyAndGetAShare(t *testing.T) {
	to := func(clusters ...string) *ir.Forward {
		f := &ir.Forward{Weighted: true}
		for i, c := range clusters {
			f.Destinations = append(f.Destinations, ir.Destination{Cluster: c, Weight: uint32(i + 1)})
		}
		return f
	}
	cfg := ir.Config{
		Kind: ir.KindSidecar,
		Tables: []*ir.RouteTable{{Name: "80", VirtualHosts: []*ir.VirtualHost{{Name: "a:80", Domains: []string{"a"}, Routes: []ir.Route{
			{Name: "first", Forward: to("good", "empty")}, {Name: "second", Forward: to("empty", "gone", "not asked for")}, {Name: "own", Direct: &ir.Direct{Status: 200}},
		}}}}},
		Listeners: []*ir.Listener{{Name: "l", Address: "127.0.0.1", Port: 90, Chains: []ir.Chain{{Name: "c", Proxy: &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: "tcp", Weight: 1}}}}}}},
		Clusters:  []*ir.Cluster{{Name: "empty"}, {Name: "good"}, {Name: "idle"}, {Name: "tcp"}},
		Endpoints: []*ir.Endpoints{{Cluster: "good", Localities: []ir.Locality{{Endpoints: []ir.Endpoint{{Address: "10.0.0.1", Port: 80, Weight: 1}}}}}},
	}
	res, err := envoy.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range sim.Gaps(res, []string{"good", "empty", "idle", "gone", "tcp"}) {
		got = append(got, g.String())
	}
	want := []string{
		`route "first" of a:80 sends to empty, which has no ready endpoint`,
		`route "second" of a:80 sends to gone, which does not exist`,
		`filter chain "c" of l sends to tcp, which has no ready endpoint`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}
