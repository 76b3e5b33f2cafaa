package istio

import (
	"testing"

	"github.com/sluice-dev/sluice/xds/ir"
)

func TestFacts_sayWhatTheSplitDoesNotDivide(t *testing.T) {
	header := map[string]any{"headers": map[string]any{"tester": map[string]any{"exact": "yes"}}}
	mirror := func(subset string) map[string]any {
		rule := ruleOf(nil, "H")
		rule["mirror"] = map[string]any{"host": "reviews", "subset": subset}
		return rule
	}
	named := func(name string, rule map[string]any) map[string]any {
		rule["name"] = name
		return rule
	}
	for _, c := range []struct {
		name           string
		in             Input
		routes         []string
		canary, stable bool
	}{
		{"one rule", withRules(testMesh(), ruleOf(nil, "H")), nil, false, false},
		{"testers keep to the canary", withRules(testMesh(), ruleOf(header, "v2"), ruleOf(nil, "H")), nil, true, false},
		{"a mirror to the canary", withRules(testMesh(), mirror("v2")), nil, true, false},
		{"a mirror to stable", withRules(testMesh(), mirror("v1")), nil, false, true},
		{"a rule to stable that takes no part", withRules(testMesh(), named("other", ruleOf(header, "v1")), named("primary", ruleOf(nil, "H"))), []string{"primary"}, false, true},
		{"a rule to the bare host has a cluster of its own", withRules(testMesh(), named("other", ruleOf(header, "H")), named("primary", ruleOf(nil, "H"))), []string{"primary"}, false, false},
		{"a rule to another version", withRules(testMesh(), ruleOf(header, "v3"), ruleOf(nil, "H")), nil, false, false},
	} {
		f := Facts(c.in, ir.Split{Key: "shop/reviews", Host: "reviews", Stable: "v1", Canary: "v2", Routes: c.routes})
		if f.CanaryBesides != c.canary || f.StableBesides != c.stable {
			t.Errorf("%s: canary %v, stable %v; want %v, %v", c.name, f.CanaryBesides, f.StableBesides, c.canary, c.stable)
		}
	}
}
