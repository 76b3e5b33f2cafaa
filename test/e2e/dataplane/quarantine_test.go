package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// withBadHost adds a virtual host to the table that passes all checks but Envoy's own.
func withBadHost(t *testing.T, r envoy.Resources) envoy.Resources {
	t.Helper()
	host := &routev3.VirtualHost{Name: "bad", Domains: []string{"bad.example"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}},
	}}}
	body, err := proto.Marshal(host)
	if err != nil {
		t.Fatal(err)
	}
	table := r.Routes[0]
	config := &routev3.RouteConfiguration{}
	if err := table.Any.UnmarshalTo(config); err != nil {
		t.Fatal(err)
	}
	config.VirtualHosts = append(config.VirtualHosts, host)
	if table.Any, err = anypb.New(config); err != nil {
		t.Fatal(err)
	}
	table.Version += "-bad"
	table.Parts = append(slices.Clone(table.Parts), envoy.Part{Name: "bad", Version: "bad", Bytes: body})
	r.Routes = []envoy.Resource{table}
	return r
}

// TestEnvoy_badVirtualHostIsKeptFromOthersAndItsNeighbourRollsBack publishes a virtual host that Envoy rejects together
// with a higher weight. The weight, which nobody can object to, is given without it; a second Envoy never gets the bad one,
// and the weight goes back although that is still asked for.
func TestEnvoy_badVirtualHostIsKeptFromOthersAndItsNeighbourRollsBack(t *testing.T) {
	e := start(t, 50)
	e.plane.publish(gatewayClass, withBadHost(t, e.resources(2, 100)))
	e.plane.converged(2, func(c ir.Convergence) bool {
		return c.Acked == 1 && c.Nacked == 0 && c.First != nil && strings.Contains(c.First.Message, "missing )")
	})
	file, err := bootstrap.JSON(bootstrap.Options{
		Kind: ir.KindGateway, ID: "edge-2", Namespace: "shop", Labels: map[string]string{"istio": "ingressgateway"}, XDS: e.plane.addr, Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	second := proxy.Start(t, file)
	second.WaitLive(t)
	e.plane.converged(2, func(c ir.Convergence) bool { return c.Connected == 2 && c.Acked == 2 })
	e.plane.publish(gatewayClass, withBadHost(t, e.resources(3, 0)))
	e.plane.converged(3, func(c ir.Convergence) bool { return c.Done() && c.Connected == 2 })
	err = poll.Until(patience, func() error {
		if n := e.ask(200); n > 0 {
			return fmt.Errorf("%d of 200 requests reached the canary", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for name, want := range map[*proxy.Proxy]string{e.envoy: ": 1\n", second: ": 0\n"} {
		text, err := name.Get("/stats?filter=rds.*update_rejected")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("rejections %q, want %q", text, want)
		}
		if strings.Contains(string(name.ConfigDump(t)), "bad.example") {
			t.Error("the bad virtual host is served")
		}
	}
}
