package istio

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
)

// Check gives what is wrong with one object on its own, whatever else there is in the mesh: what must not be applied
// from Git, because the part of the object that owns it would have no effect. An object of another kind has no Problem.
func Check(from map[string]any) []problem.Problem {
	apiVersion, _ := from["apiVersion"].(string)
	kind, _ := from["kind"].(string)
	if !Handles(apiVersion, kind) {
		return nil
	}
	o := Decode(from)
	t := &translator{found: &findings{}}
	t.found.add(o.Problems...)
	if spec, ok := o.Spec.(*networking.VirtualService); ok {
		for i, r := range spec.GetHttp() {
			t.checkRule(rule{httpRule: httpRule{r, fmt.Sprintf("spec.http[%d]", i), o.Meta}})
		}
		vs := &virtual{virtualService: virtualService{typed: typed[*networking.VirtualService]{Meta: o.Meta, Spec: spec}}}
		for _, r := range slices.Concat(tcpRules(vs), tlsRules(vs)) {
			t.checkConnections(r)
			for _, m := range r.entries {
				t.compared(r, m, site{})
			}
		}
	}
	if spec, ok := o.Spec.(*networking.Gateway); ok {
		g := gates{planner: &planner{found: t.found}}
		for i, one := range spec.GetServers() {
			g.checkServer(&server{gateway: gateway{Meta: o.Meta, Spec: spec}, spec: one, field: fmt.Sprintf("spec.servers[%d]", i)})
		}
	}
	var out []problem.Problem
	for _, p := range t.found.sorted() {
		if p.Severity == problem.Error && p.Code != "S081" {
			out = append(out, p)
		}
	}
	return out
}
