package controller

import (
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestAction_wakesItsRollout: whatever is asked for is looked at when it is asked for, and not at the next tick, which an
// object at rest has once in a minute.
func TestAction_wakesItsRollout(t *testing.T) {
	for _, verb := range []v1alpha1.ActionVerb{v1alpha1.ActionPause, v1alpha1.ActionPromote, v1alpha1.ActionApprove, v1alpha1.ActionRetry, v1alpha1.ActionAbort} {
		o := newOne(t, nil)
		a := &v1alpha1.RolloutAction{}
		a.Namespace, a.Spec.Rollout, a.Spec.Verb = named(1).Namespace, named(1).Name, verb
		got := o.ofAction(t.Context(), a)
		if len(got) != 1 || got[0].NamespacedName != named(1) {
			t.Errorf("%s wakes %v, want %v", verb, got, named(1))
		}
	}
}
