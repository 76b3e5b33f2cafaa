package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestArms_fillTheVariablesOncePerPort(t *testing.T) {
	const host = "reviews.bookinfo.svc.cluster.local"
	p := &pass{
		given: &given{key: types.NamespacedName{Namespace: "bookinfo", Name: "stars"}},
		state: rollout.State{Stable: rollout.Version{Name: "v1"}, Canary: rollout.Version{Name: "v2"}},
		facts: ir.SplitFacts{
			CanaryClusters: []string{ir.ClusterName(8080, "v2", host), ir.ClusterName(9090, "v2", host)},
			StableClusters: []string{ir.ClusterName(8080, "v1", host), ir.ClusterName(9090, "v1", host)},
		},
	}
	vars := func(subset, port string) map[string]string {
		return map[string]string{"namespace": "bookinfo", "rollout": "stars", "host": host, "subset": subset, "port": port,
			"cluster": "outbound|" + port + "|" + subset + "|" + host}
	}
	want := analysis.Arms{
		Canary: p.facts.CanaryClusters, CanaryVars: []map[string]string{vars("v2", "8080"), vars("v2", "9090")},
		Stable: p.facts.StableClusters, StableVars: []map[string]string{vars("v1", "8080"), vars("v1", "9090")},
	}
	if diff := cmp.Diff(want, p.arms()); diff != "" {
		t.Errorf("arms (-want +got):\n%s", diff)
	}
}
