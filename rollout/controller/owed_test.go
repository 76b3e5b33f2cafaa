package controller_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/fault"
)

// TestRollback_thatIsNotStoredGoesFirst: until it is, whether the server fails, or refuses it and is asked again later.
func TestRollback_thatIsNotStoredGoesFirst(t *testing.T) {
	for name, mode := range map[string]fault.Mode{"failed": fault.Before, "refused": fault.Invalid} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			proxy := fault.Start(t, w.config)
			pass := w.behind(proxy)
			priority := func() int {
				return w.it.Priority(types.NamespacedName{Namespace: w.ns, Name: "reviews"})
			}
			w.rollout("v1")
			must(t, pass())
			w.push("v2", "digest-v2")
			must(t, pass(), pass())
			if got := priority(); got != 0 {
				t.Errorf("priority %d of a canary that is well", got)
			}
			rule := proxy.Add(fault.Rule{Match: statusPatch, Mode: mode})
			w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
			for range 3 {
				_ = pass() // nothing can be stored
				if got := priority(); got == 0 {
					t.Error("a rollback that is not stored stands in turn")
				}
			}
			rule.Remove()
			for range 4 {
				must(t, pass())
			}
			if st := w.get().Status; st.Outcome != v1alpha1.OutcomeRolledBack || priority() != 0 {
				t.Errorf("%s, outcome %s, priority %d after the rollback is stored", st.Phase, st.Outcome, priority())
			}
		})
	}
}
