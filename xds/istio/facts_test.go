package istio

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

func TestFacts_countsArmsAndNamesTheirClusters(t *testing.T) {
	in := withRules(testMesh(), ruleOf(nil, "H"))
	in.Registry.Services[1].Ports = append(in.Registry.Services[1].Ports, registry.Port{Name: "grpc", Number: 81, Protocol: registry.GRPC})
	in.Registry.Services[1].Endpoints = append(in.Registry.Services[1].Endpoints,
		registry.Endpoint{Address: "10.0.1.1", Labels: map[string]string{"version": "v2"}, Ready: true},
		registry.Endpoint{Address: "10.0.1.2", Labels: map[string]string{"version": "v2"}})
	got := Facts(in, ir.Split{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2"})
	want := ir.SplitFacts{
		Known: true, StableReady: 1, CanaryReady: 2, SubsetDefined: true,
		StableClusters: []string{"outbound|80|v1|reviews.shop.svc.cluster.local", "outbound|81|v1|reviews.shop.svc.cluster.local"},
		CanaryClusters: []string{"outbound|80|v2|reviews.shop.svc.cluster.local", "outbound|81|v2|reviews.shop.svc.cluster.local"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestFacts_sayWhatForbidsToRaise(t *testing.T) {
	split := ir.Split{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2"}
	with := func(change func(*ir.Split)) ir.Split { s := split; change(&s); return s }
	for _, c := range []struct {
		name  string
		in    Input
		split ir.Split
		want  []string
	}{
		{"nothing", withRules(testMesh(), ruleOf(nil, "H")), split, nil},
		{"subset not defined", withRules(testMesh(), ruleOf(nil, "H")), with(func(s *ir.Split) { s.Canary = "v9" }), []string{"S010", "S062"}},
		{"adopted subset not defined", withRules(testMesh(), ruleOf(nil, "H")), with(func(s *ir.Split) { s.Stable, s.Canary = "v9", "" }), []string{"S010", "S062"}},
		{"host without a service", withRules(testMesh(), ruleOf(nil, "H")), with(func(s *ir.Split) { s.Host = "nobody" }), []string{"S011", "S060"}},
		{"named route missing", withRules(testMesh(), ruleOf(nil, "H")), with(func(s *ir.Split) { s.Routes = []string{"nosuch"} }), []string{"S063", "S064"}},
		{"nothing to divide", withMeshRules(testMesh(), ruleOf(nil, "v3")), split, []string{"S064"}},
		{"negative weight on the route", withRules(testMesh(), ruleOf(nil, "H 1", "v3 -1"), ruleOf(nil, "H")), split, []string{"S025"}},
		{"a rule names an unknown subset", withRules(testMesh(), ruleOf(nil, "H 1", "v9 1")), split, []string{"S010"}},
		{"a second Rollout", withOther(withRules(testMesh(), ruleOf(nil, "H"))), split, []string{"S061"}},
		{"an error on a route to another host", withRules(testMesh(), ruleOf(nil, "H")).plus(object("VirtualService", "else", map[string]any{
			"hosts": []any{"else.example"}, "gateways": []any{"front"}, "http": []any{map[string]any{"route": []any{to("other 1")}, "tiemout": "5s"}}})), split, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Facts(c.in, c.split)
			if diff := cmp.Diff(c.want, got.BlockingCodes); diff != "" {
				t.Errorf("codes (-want +got):\n%s\n%s", diff, got.BlockingMessage)
			}
			if (len(c.want) > 0) != (got.BlockingMessage != "") || strings.Contains(got.BlockingMessage, "\n") {
				t.Errorf("message %q", got.BlockingMessage)
			}
		})
	}
}

func (in Input) plus(objects ...Object) Input {
	in.Objects = append(slices.Clone(in.Objects), objects...)
	return in
}

func withMeshRules(in Input, rule map[string]any) Input {
	return in.plus(object("VirtualService", "reviews", map[string]any{"hosts": []any{"reviews"}, "http": []any{rule}}))
}

func withOther(in Input) Input {
	in.Splits = []ir.Split{{Key: "shop/another", Host: "reviews", Stable: "v1"}}
	return in
}

func TestFacts_aDestinationRuleWithATypoBlocks(t *testing.T) {
	in := withRules(testMesh(), ruleOf(nil, "H")).plus(object("DestinationRule", "second", map[string]any{"host": "reviews", "trafficPolcy": map[string]any{}}))
	got := Facts(in, ir.Split{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2"})
	if diff := cmp.Diff([]string{"S001"}, got.BlockingCodes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if !strings.Contains(got.BlockingMessage, `did you mean "trafficPolicy"?`) {
		t.Errorf("message %q lacks the hint", got.BlockingMessage)
	}
}
