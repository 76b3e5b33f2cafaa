package v1alpha1

import (
	"fmt"

	"github.com/sluice-dev/sluice/api/problem"
)

// Unserved gives the fields of the spec that ask for traffic which this build does not render. A Rollout that uses one is not
// accepted: silently serving less than what is written would be worse.
func (r *Rollout) Unserved() []problem.Problem {
	f := &findings{object: KindRollout + "/" + r.Namespace + "/" + r.Name}
	unserved := func(field string) {
		f.bound(field, "remove it", "this build does not render it yet")
	}
	for i := range r.Spec.Steps {
		if len(r.Spec.Steps[i].Match) > 0 {
			unserved(fmt.Sprintf("spec.steps[%d].match", i))
		}
		if r.Spec.Steps[i].Mirror != nil {
			unserved(fmt.Sprintf("spec.steps[%d].mirror", i))
		}
	}
	if r.Spec.Affinity != nil {
		unserved("spec.affinity")
	}
	if r.Spec.PreviewHost != "" {
		unserved("spec.previewHost")
	}
	return f.list
}
