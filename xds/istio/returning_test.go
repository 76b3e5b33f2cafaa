package istio

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Without their Rollout rules mean what is written: those that do not name stable alone send elsewhere from then on.
func TestFacts_nameTheRoutesThatReturn(t *testing.T) {
	named := func(name string, destinations ...string) map[string]any {
		rule := ruleOf(nil, destinations...)
		rule["name"] = name
		return rule
	}
	own := ruleOf(nil, "v1") // inside the mesh, too: no client has the default route
	for _, c := range []struct {
		name  string
		in    Input
		split ir.Split
		want  []string
	}{
		{"stable by name", withMeshRules(testMesh(), own), ir.Split{Stable: "v1"}, nil},
		{"a former version by name", withMeshRules(testMesh(), own), ir.Split{Stable: "v2", Managed: []string{"v1"}}, []string{"VirtualService/shop/reviews spec.http[0] to v1"}},
		{"the bare host", withMeshRules(testMesh(), ruleOf(nil, "H")), ir.Split{Stable: "v1"}, []string{"VirtualService/shop/reviews spec.http[0] to all versions"}},
		{"weights of their own", withMeshRules(testMesh(), ruleOf(nil, "v1 80", "v2 20")), ir.Split{Stable: "v2", Managed: []string{"v1"}},
			[]string{"VirtualService/shop/reviews spec.http[0] to v1"}},
		{"a rule that is no part of it", withMeshRules(testMesh(), own).plus(object("VirtualService", "else", map[string]any{
			"hosts": []any{"else.example"}, "gateways": []any{"front"}, "http": []any{named("else", "H")}})), ir.Split{Stable: "v1", Routes: []string{"primary"}}, nil},
		{"clients without a rule", withRules(testMesh(), own), ir.Split{Stable: "v1"}, []string{"clients without a rule of their own to all versions"}},
		{"an attempt", withMeshRules(testMesh(), ruleOf(nil, "H")), ir.Split{Stable: "v1", Canary: "v2"}, nil},
		{"many", withMeshRules(testMesh(), own).plus(object("VirtualService", "front", map[string]any{"hosts": []any{"*"}, "gateways": []any{"front"}, "http": []any{
			named("a", "H"), named("b", "H"), named("c", "H"), named("d", "H"), named("e", "H"), named("f", "H")}})), ir.Split{Stable: "v1"},
			[]string{"VirtualService/shop/front spec.http[0] to all versions", "VirtualService/shop/front spec.http[1] to all versions",
				"VirtualService/shop/front spec.http[2] to all versions", "VirtualService/shop/front spec.http[3] to all versions", "2 more"}},
	} {
		c.split.Key, c.split.Host = "shop/reviews", "reviews"
		if diff := cmp.Diff(c.want, Facts(c.in, c.split).Returning); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
