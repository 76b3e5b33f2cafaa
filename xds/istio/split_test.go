package istio

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// reviews is a service of namespace shop with subsets v1, v2 and v3; other.host is another one.
func testMesh() Input {
	port := []registry.Port{{Name: "http", Number: 80, Protocol: registry.HTTP}}
	endpoints := make([]registry.Endpoint, 0, 3)
	for i, v := range []string{"v1", "v2", "v3"} {
		endpoints = append(endpoints, registry.Endpoint{Address: fmt.Sprintf("10.0.0.%d", i+1), Labels: map[string]string{"version": v}, Ready: true})
	}
	in := Input{Registry: registry.Snapshot{Services: []registry.Service{
		{Host: "other.host", Namespace: "shop", Ports: port, Endpoints: []registry.Endpoint{{Address: "10.0.0.9", Ready: true}}, Origin: registry.Origin{Kind: "Service", Namespace: "shop", Name: "other"}},
		{Host: "reviews.shop.svc.cluster.local", Namespace: "shop", Ports: port, Endpoints: endpoints, Origin: registry.Origin{Kind: "Service", Namespace: "shop", Name: "reviews"}},
	}}}
	in.Objects = []Object{
		object("Gateway", "front", map[string]any{"servers": []any{map[string]any{
			"port": map[string]any{"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": []any{"*"}}}}),
		object("DestinationRule", "reviews", map[string]any{"host": "reviews", "subsets": []any{
			map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}},
			map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}},
			map[string]any{"name": "v3", "labels": map[string]any{"version": "v3"}},
		}}),
	}
	return in
}

func object(kind, name string, spec map[string]any) Object {
	return Decode(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": spec,
	})
}

// to is a destination in the short form of the vectors: "v1 80", "H 1" for the bare host, "other 20".
func to(text string) map[string]any {
	name, weight, _ := strings.Cut(text, " ")
	d := map[string]any{"host": "reviews"}
	switch name {
	case "H":
	case "other":
		d["host"] = "other.host"
	default:
		d["subset"] = name
	}
	out := map[string]any{"destination": d}
	if weight != "" {
		var n int
		fmt.Sscan(weight, &n)
		out["weight"] = n
	}
	return out
}

func ruleOf(match map[string]any, destinations ...string) map[string]any {
	var route []any
	for _, d := range destinations {
		route = append(route, to(d))
	}
	out := map[string]any{"name": "primary", "route": route}
	if match != nil {
		out["match"] = []any{match}
	}
	return out
}

func withRules(in Input, rules ...map[string]any) Input {
	var http []any
	for _, r := range rules {
		http = append(http, r)
	}
	in.Objects = append(slices.Clone(in.Objects), object("VirtualService", "reviews", map[string]any{
		"hosts": []any{"*"}, "gateways": []any{"front"}, "http": http}))
	return in
}

var gatewayClass = ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop"}

// weights prints the destinations of the first route: "v1 85, v2 15", or "cluster v2".
func weights(t *testing.T, cfg ir.Config) string {
	t.Helper()
	f := cfg.Tables[0].VirtualHosts[0].Routes[0].Forward
	var out []string
	for _, d := range f.Destinations {
		_, subset, host, _ := ir.ParseClusterName(d.Cluster)
		switch {
		case host == "other.host":
			subset = "other"
		case subset == "":
			subset = "H"
		}
		out = append(out, fmt.Sprintf("%s %d", subset, d.Weight))
	}
	if !f.Weighted {
		name, _, _ := strings.Cut(out[0], " ")
		return "cluster " + name
	}
	return strings.Join(out, ", ")
}

func TestTranslate_laysSplitsOverRulesAsTheVectorsSay(t *testing.T) {
	header := map[string]any{"headers": map[string]any{"x-tester": map[string]any{"exact": "yes"}}}
	v1v2 := ir.Split{Stable: "v1", Canary: "v2"}
	idle2 := ir.Split{Stable: "v2", Managed: []string{"v1"}}
	for _, c := range []struct {
		name  string
		split ir.Split
		w     int
		match map[string]any
		rule  []string
		want  string
		code  string
	}{
		{"bare host", v1v2, 15, nil, []string{"H"}, "v1 85, v2 15", ""},
		{"both arms written", v1v2, 15, nil, []string{"v1 90", "v2 10"}, "v1 85, v2 15", ""},
		{"another host", v1v2, 15, nil, []string{"v1 80", "other 20"}, "v1 340, v2 60, other 100", ""},
		{"a pinned third", v1v2, 50, nil, []string{"v1 1", "v3 1"}, "v1 50, v2 50, v3 100", ""},
		{"weight 0", v1v2, 0, nil, []string{"v1"}, "v1 100", ""},
		{"weight 100", v1v2, 100, nil, []string{"v1"}, "v2 100", ""},
		{"header match to the canary", v1v2, 15, header, []string{"v2"}, "cluster v2", "S067"},
		{"catch-all to the canary", v1v2, 15, nil, []string{"v2"}, "v1 85, v2 15", "S065"},
		{"main with weight 0", v1v2, 15, nil, []string{"v1 0", "v3 100"}, "v3 100", ""},
		{"idle after promotion", idle2, 0, nil, []string{"v1"}, "v2 100", ""},
		{"back to a managed subset", ir.Split{Stable: "v2", Canary: "v1", Managed: []string{"v1"}}, 15, nil, []string{"v1"}, "v2 85, v1 15", ""},
		{"two mains", ir.Split{Stable: "v2", Canary: "v3", Managed: []string{"v1"}}, 50, nil, []string{"H 1", "v1 1"}, "v2 50, v3 50", ""},
		{"canary before main", v1v2, 25, nil, []string{"v2 1", "other 1", "v1 1"}, "v1 150, v2 50, other 100", ""},
		{"main 0 and canary, unconditional", v1v2, 15, nil, []string{"v1 0", "v2 100"}, "v1 85, v2 15", "S065"},
		{"main 0 and canary, on a header", v1v2, 15, header, []string{"v1 0", "v2 100"}, "v2 100", "S067"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := withRules(testMesh(), ruleOf(c.match, c.rule...))
			c.split.Key, c.split.Host, c.split.Weight = "shop/reviews", "reviews", c.w
			in.Splits = []ir.Split{c.split}
			cfg, problems := Translate(in, gatewayClass)
			if got := weights(t, cfg); got != c.want {
				t.Errorf("%v at %d: got %q, want %q", c.rule, c.w, got, c.want)
			}
			var codes []string
			for _, p := range problems {
				codes = append(codes, p.Code)
			}
			if c.code != "" && !slices.Contains(codes, c.code) {
				t.Errorf("problems %v lack %s", problems, c.code)
			}
			if c.code == "" && slices.ContainsFunc(codes, func(s string) bool { return s == "S065" || s == "S067" }) {
				t.Errorf("unexpected problems %v", problems)
			}
		})
	}
}

func TestTranslate_twoRolloutsInOneRuleDivideTheirOwnShares(t *testing.T) {
	in := withRules(testMesh(), ruleOf(nil, "H 1", "other 1"))
	in.Objects = append(in.Objects, object("DestinationRule", "other", map[string]any{"host": "other.host", "subsets": []any{
		map[string]any{"name": "a"}, map[string]any{"name": "b"}}}))
	in.Splits = []ir.Split{
		{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2", Weight: 15, Seq: 3},
		{Key: "shop/other", Host: "other.host", Stable: "a", Canary: "b", Weight: 50, Seq: 9},
	}
	cfg, _ := Translate(in, gatewayClass)
	var got []string
	for _, d := range cfg.Tables[0].VirtualHosts[0].Routes[0].Forward.Destinations {
		_, subset, _, _ := ir.ParseClusterName(d.Cluster)
		got = append(got, fmt.Sprintf("%s %d", subset, d.Weight))
	}
	if diff := cmp.Diff([]string{"v1 85", "v2 15", "a 50", "b 50"}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	want := []*ir.SplitUse{
		{Key: "shop/other", Seq: 9, Weight: 50, Tables: []string{"http.80"},
			Clusters: []string{"outbound|80|a|other.host", "outbound|80|b|other.host"}},
		{Key: "shop/reviews", Seq: 3, Weight: 15, Tables: []string{"http.80"},
			Clusters: []string{"outbound|80|v1|reviews.shop.svc.cluster.local", "outbound|80|v2|reviews.shop.svc.cluster.local"}},
	}
	if diff := cmp.Diff(want, cfg.Splits); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
}

func TestTranslate_tooLargeWeightsLeaveTheRuleAsWritten(t *testing.T) {
	in := withRules(testMesh(), ruleOf(nil, "v1 2147483647", "v3 2147483646"))
	in.Splits = []ir.Split{{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2", Weight: 15}}
	cfg, problems := Translate(in, gatewayClass)
	if got := weights(t, cfg); got != "v1 2147483647, v3 2147483646" {
		t.Errorf("got %q", got)
	}
	if !slices.ContainsFunc(problems, func(p problem.Problem) bool { return p.Code == "S069" }) || len(cfg.Splits) != 0 {
		t.Errorf("problems %v, uses %v: want S069 and no use", problems, cfg.Splits)
	}
}

// TestSplit_bucketsAreNested draws rules and checks what makes a weight safe to change: the total and the order of the destinations
// stay, and no request that the canary has at w goes back to stable at a larger w.
func TestSplit_bucketsAreNested(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rule []string
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"H", "v1", "v2", "v3", "other"}), 1, 5).Draw(t, "rule") {
			rule = append(rule, fmt.Sprintf("%s %d", name, rapid.IntRange(0, 7).Draw(t, "weight")))
		}
		low := rapid.IntRange(0, 100).Draw(t, "low")
		high := rapid.IntRange(low, 100).Draw(t, "high")
		in := withRules(testMesh(), ruleOf(nil, rule...))
		at := func(w int) (ir.Config, []string) {
			in.Splits = []ir.Split{{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2", Weight: w}}
			cfg, _ := Translate(in, gatewayClass)
			return cfg, bucketsOf(cfg)
		}
		lowCfg, lows := at(low)
		highCfg, highs := at(high)
		if len(lows) != len(highs) {
			t.Fatalf("%v: the total is %d at %d and %d at %d", rule, len(lows), low, len(highs), high)
		}
		for i := range lows {
			if lows[i] != highs[i] && (lows[i] != "v1" || highs[i] != "v2") {
				t.Fatalf("%v: bucket %d goes from %s at %d to %s at %d", rule, i, lows[i], low, highs[i], high)
			}
		}
		if diff := cmp.Diff(withoutWeights(lowCfg), withoutWeights(highCfg)); diff != "" {
			t.Fatalf("%v: more than destinations differs:\n%s", rule, diff)
		}
	})
}

// bucketsOf lists the subset of every bucket of the first route, in order.
func bucketsOf(cfg ir.Config) []string {
	var out []string
	if len(cfg.Tables[0].VirtualHosts[0].Routes) == 0 {
		return nil
	}
	for _, d := range cfg.Tables[0].VirtualHosts[0].Routes[0].Forward.Destinations {
		_, subset, host, _ := ir.ParseClusterName(d.Cluster)
		for range d.Weight {
			out = append(out, subset+strings.TrimPrefix(host, "reviews.shop.svc.cluster.local"))
		}
	}
	return out
}

func withoutWeights(cfg ir.Config) ir.Config {
	for _, h := range cfg.Tables[0].VirtualHosts {
		for _, r := range h.Routes {
			r.Forward.Destinations = nil
		}
	}
	cfg.Splits = nil
	return cfg
}
