package controller

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// TestFacts_forbidToRaiseWhereProxiesWouldSendToNothing has clients in namespace front, whose own DestinationRule means
// something else by the canary's subset.
func TestFacts_forbidToRaiseWhereProxiesWouldSendToNothing(t *testing.T) {
	front := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "front", Labels: "app=web"}
	subset := func(name, version string) any {
		return map[string]any{"name": name, "labels": map[string]any{"version": version}}
	}
	for _, c := range []struct {
		name    string
		subsets []any
		canary  string
		code    string // empty: nothing forbids
		message string
	}{
		{"the same labels", []any{subset("v1", "v2"), subset("v2", "v2")}, "v2", "", ""},
		{"labels that no endpoint has", []any{subset("v1", "v2"), subset("v2", "v9")}, "v2", "S018",
			`sidecar proxies of namespace front with app=web: route "" of s0.shop.svc.cluster.local:80 sends to outbound|80|v2|s0.shop.svc.cluster.local, which has no ready endpoint`},
		{"no such subset", []any{subset("v1", "v2")}, "v2", "S062", `port 80 of s0.shop.svc.cluster.local has no subset "v2"`},
		{"at rest", []any{subset("v1", "v2")}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mesh := crowd(1)
			mesh.config.Demand = &proxies{class: front}
			mesh.world.setObject(istio.Decode(map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
				"metadata": map[string]any{"namespace": "front", "name": "s0"}, "spec": map[string]any{"host": "s0.shop.svc.cluster.local", "subsets": c.subsets}}))
			split := splitNamed(0)
			split.Canary = c.canary
			if got := mesh.Facts(split); slices.Contains(got.BlockingCodes, "S018") {
				t.Errorf("before the canary has endpoints it is waited for, not refused: %+v", got)
			}
			endSlice(mesh, types.NamespacedName{Namespace: "shop", Name: "s0"}, 1)
			got := mesh.Facts(split)
			if want := strings.Fields(c.code); !slices.Equal(got.BlockingCodes, want) || !strings.Contains(got.BlockingMessage, c.message) {
				t.Errorf("codes %v, message %q, want %v and %q", got.BlockingCodes, got.BlockingMessage, want, c.message)
			}
		})
	}
}
