package istio

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
)

// busyMesh has whatever makes the order of objects matter: shared domains, second rules, second Rollouts.
func busyMesh() Input {
	in := withRules(testMesh(), ruleOf(map[string]any{"uri": map[string]any{"prefix": "/x"}}, "v1 1", "other 1"), ruleOf(nil, "H"))
	in = in.plus(
		object("VirtualService", "b", map[string]any{"hosts": []any{"a.example", "*.example"}, "gateways": []any{"front", "mesh"}, "http": []any{ruleOf(nil, "v3")}}),
		object("VirtualService", "c", map[string]any{"hosts": []any{"a.example", "reviews"}, "gateways": []any{"front", "mesh"}, "http": []any{ruleOf(nil, "v1"), ruleOf(nil, "v9 1", "v1 2")}}),
		object("VirtualService", "d", map[string]any{"hosts": []any{"reviews"}, "http": []any{ruleOf(nil, "v2 -3")}}),
		object("DestinationRule", "second", map[string]any{"host": "reviews", "trafficPolicy": map[string]any{"loadBalancer": map[string]any{"simple": "RANDOM"}},
			"subsets": []any{map[string]any{"name": "v1"}, map[string]any{"name": "v4"}}}),
		object("Gateway", "side", map[string]any{"servers": []any{map[string]any{
			"port": map[string]any{"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": []any{"*.example"}, "tls": map[string]any{"httpsRedirect": true}}}}),
		object("ServiceEntry", "vm", map[string]any{"hosts": []any{"vm.example"}, "resolution": "STATIC", "ports": []any{map[string]any{"number": 80, "name": "http", "protocol": "HTTP"}},
			"workloadSelector": map[string]any{"labels": map[string]any{"app": "vm"}}}),
		object("WorkloadEntry", "vm1", map[string]any{"address": "10.9.0.1", "labels": map[string]any{"app": "vm"}}),
		object("WorkloadEntry", "vm2", map[string]any{"address": "10.9.0.2", "labels": map[string]any{"app": "vm"}}),
	)
	in.Splits = []ir.Split{
		{Key: "shop/a", Host: "reviews", Stable: "v1", Canary: "v2", Weight: 15},
		{Key: "shop/b", Host: "reviews", Stable: "v2", Canary: "v1", Weight: 50, Created: time.Unix(5, 0)},
	}
	return in
}

func TestTranslate_doesNotDependOnTheOrderOfItsInput(t *testing.T) {
	classes := []ir.ProxyClass{gatewayClass, {Kind: ir.KindSidecar, Namespace: "shop"}, {Kind: ir.KindGRPC, Namespace: "other"}}
	rapid.Check(t, func(t *rapid.T) {
		class := rapid.SampledFrom(classes).Draw(t, "class")
		in := busyMesh()
		want, wantProblems := Translate(in, class)
		in.Objects = rapid.Permutation(in.Objects).Draw(t, "objects")
		in.Splits = rapid.Permutation(in.Splits).Draw(t, "splits")
		in.Registry.Services = rapid.Permutation(in.Registry.Services).Draw(t, "services")
		got, gotProblems := Translate(in, class)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("config (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantProblems, gotProblems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	})
}

func TestTranslate_theOlderRolloutKeepsItsHost(t *testing.T) {
	cfg, problems := Translate(busyMesh(), gatewayClass)
	if len(cfg.Splits) != 1 || cfg.Splits[0].Key != "shop/b" {
		t.Errorf("splits %v, want that of shop/b, which has a creation time", cfg.Splits)
	}
	if !slices.ContainsFunc(problems, func(p problem.Problem) bool { return p.Code == "S061" && p.Object == "Rollout/shop/a" }) {
		t.Errorf("problems %v lack S061 on shop/a", problems)
	}
}

func TestTranslate_anOrderAnnotationBeatsTheName(t *testing.T) {
	first := object("VirtualService", "z", map[string]any{"hosts": []any{"*"}, "gateways": []any{"front"}, "http": []any{map[string]any{
		"name": "z", "match": []any{map[string]any{"uri": map[string]any{"prefix": "/z"}}}, "directResponse": map[string]any{"status": 200}}}})
	second := object("VirtualService", "a", map[string]any{"hosts": []any{"*"}, "gateways": []any{"front"}, "http": []any{map[string]any{
		"name": "a", "match": []any{map[string]any{"uri": map[string]any{"prefix": "/z"}}}, "directResponse": map[string]any{"status": 201}}}})
	first.Annotations = map[string]string{"sluice.dev/order": "-1"}
	cfg, _ := Translate(testMesh().plus(first, second), gatewayClass)
	routes := cfg.Tables[0].VirtualHosts[0].Routes
	if len(routes) != 2 || routes[0].Name != "z" {
		t.Errorf("routes %v, want z first", routes)
	}
}

func TestTranslate_aSplitTouchesNothingButRoutes(t *testing.T) {
	in := busyMesh()
	for _, class := range []ir.ProxyClass{gatewayClass, {Kind: ir.KindSidecar, Namespace: "shop"}} {
		with, _ := Translate(in, class)
		bare := in
		bare.Splits = nil
		without, _ := Translate(bare, class)
		for name, pair := range map[string][2]any{
			"listeners": {with.Listeners, without.Listeners}, "clusters": {with.Clusters, without.Clusters}, "endpoints": {with.Endpoints, without.Endpoints},
		} {
			if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
				t.Errorf("%s of %s differ with a split:\n%s", name, class.Kind, diff)
			}
		}
	}
}

// What a rule says besides its destinations holds with a split as without: timeouts, retries, mirrors, faults, headers.
func TestTranslate_aSplitChangesDestinationsOnly(t *testing.T) {
	rule := ruleOf(nil, "H")
	rule["timeout"] = "3s"
	rule["retries"] = map[string]any{"attempts": 4, "perTryTimeout": "1s", "retryOn": "5xx"}
	rule["mirrors"] = []any{map[string]any{"destination": map[string]any{"host": "reviews", "subset": "v3"}, "percentage": map[string]any{"value": 5}}}
	rule["fault"] = map[string]any{"delay": map[string]any{"fixedDelay": "2s", "percentage": map[string]any{"value": 1}}}
	rule["headers"] = map[string]any{"request": map[string]any{"set": map[string]any{"x-team": "shop"}}}
	in := withRules(testMesh(), rule)
	bare, _ := Translate(in, gatewayClass)
	in.Splits = []ir.Split{{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2", Weight: 15}}
	divided, _ := Translate(in, gatewayClass)
	before, after := bare.Tables[0].VirtualHosts[0].Routes[0], divided.Tables[0].VirtualHosts[0].Routes[0]
	if before.Forward.Retry == nil || len(before.Forward.Mirrors) != 1 || before.Forward.Timeout != 3*time.Second {
		t.Fatalf("the rule is not what was written: %+v", before.Forward)
	}
	if len(after.Forward.Destinations) != 2 {
		t.Fatalf("destinations %+v, want two", after.Forward.Destinations)
	}
	with := *after.Forward
	with.Destinations, with.Weighted = before.Forward.Destinations, before.Forward.Weighted
	after.Forward = &with
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("without and with a split:\n%s", diff)
	}
}

func TestDecode_doesNotChangeItsArgumentAndNamesTheField(t *testing.T) {
	from := map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
		"metadata": map[string]any{"name": "x", "namespace": "n", "uid": "u", "generation": int64(4), "creationTimestamp": "2026-01-02T03:04:05Z"},
		"spec":     map[string]any{"hosts": []any{"a"}, "http": []any{map[string]any{"timeout": "1m30s", "route": []any{map[string]any{"destination": map[string]any{"host": "a", "prot": 1}}}}}}}
	o := Decode(from)
	if len(o.Problems) != 1 || o.Problems[0].Code != "S001" || o.Problems[0].Field != "spec.http[0].route[0].destination.prot" {
		t.Errorf("problems %v", o.Problems)
	}
	if o.UID != "u" || o.Generation != 4 || !o.Created.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("meta %+v", o.Meta)
	}
	if from["spec"].(map[string]any)["http"].([]any)[0].(map[string]any)["timeout"] != "1m30s" {
		t.Error("the argument was changed")
	}
	vs := pick[*networking.VirtualService]([]Object{o})[0].Spec
	if got := vs.GetHttp()[0].GetTimeout().AsDuration(); got != 90*time.Second {
		t.Errorf("timeout %v, want 90s", got)
	}
}

func TestDecode_aRuleWhoseMatchesAllFailIsDroppedWhole(t *testing.T) {
	o := object("VirtualService", "x", map[string]any{"hosts": []any{"a"}, "http": []any{
		map[string]any{"match": []any{map[string]any{"port": "many"}}, "directResponse": map[string]any{"status": 200}},
		map[string]any{"directResponse": map[string]any{"status": 201}},
	}})
	rules := o.Spec.(*networking.VirtualService).GetHttp()
	if len(rules) != 1 || rules[0].GetDirectResponse().GetStatus() != 201 {
		t.Errorf("rules %v: a rule without its matches would match everything", rules)
	}
}

func FuzzDecode_neverPanics(f *testing.F) {
	f.Add("http", "route", "weight", int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c string, n int64) {
		o := object("VirtualService", "x", map[string]any{a: []any{map[string]any{b: []any{map[string]any{c: n}, c, nil}}, a}, b: c})
		Translate(testMesh().plus(o), gatewayClass)
	})
}

func TestHosts_coverAndResolve(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"*", "a.b", true}, {"*.b", "a.b", true}, {"*.b", "b", false}, {"*.b", "*.a.b", true}, {"*.a.b", "*.b", false}, {"a.b", "a.b", true}, {"a.b", "*.b", false}, {"*", "*", true},
	} {
		if got := covers(c.a, c.b); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.a, c.b, got)
		}
	}
	for in, want := range map[string]string{"Reviews": "reviews.shop.svc.x", "a.b": "a.b", "*": "*", "10.0.0.1": "10.0.0.1", "::1": "::1"} {
		if got := ResolveHost(in, "shop", "x"); got != want {
			t.Errorf("ResolveHost(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"g": "ns/g", "o/g": "o/g", "./g": "ns/g", "g.o.svc.cluster.local": "o/g", "mesh": "mesh"} {
		if got := gatewayName(in, "ns"); got != want {
			t.Errorf("gatewayName(%q) = %q, want %q", in, got, want)
		}
	}
}
