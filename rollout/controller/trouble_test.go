package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/poll"
)

// A server that takes no writes, because it is asked too much or because its etcd is full, keeps no rollback from acting:
// the canary is braked, and the rollback is stored once writes are taken again.
func TestFault_noWritesAreTaken(t *testing.T) {
	for _, mode := range []fault.Mode{fault.TooMany, fault.Full} {
		t.Run(mode.String(), func(t *testing.T) {
			w := newWorld(t)
			proxy := fault.Start(t, w.config)
			w.config = proxy.Open(t, "one").Config()
			w.lead = func(l *controller.Lead) { l.Patience.Rollback = time.Second }
			w.run()
			w.atFifteen()
			rule := proxy.Add(fault.Rule{Match: statusPatch, Mode: mode})
			began := time.Now()
			w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
			w.untilBraked(1)
			t.Logf("braked %v after a proxy rejected the version", time.Since(began).Round(time.Millisecond))
			if st := w.get().Status; st.Weight != 15 || st.Phase == v1alpha1.PhaseRollingBack {
				t.Errorf("%s at %d%% while nothing can be stored", st.Phase, st.Weight)
			}
			rule.Remove()
			ended := w.until("rolled back", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeRolledBack })
			w.untilBraked(0)
			if st := ended.Status; st.Attempt != 1 || len(st.Rejected) != 1 || len(st.History) != 2 {
				t.Errorf("attempt %d, rejected %+v, history %+v: the attempt is to end once", st.Attempt, st.Rejected, st.History)
			}
		})
	}
}

// Watches are cut each half second, with every other connection: a release is complete by the same transitions, and that
// an object is gone is not missed.
func TestFault_watchesAreCut(t *testing.T) {
	w := newWorld(t)
	direct := w.client
	proxy := fault.Start(t, w.config)
	door := proxy.Open(t, "one")
	w.config = door.Config()
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	cut := func(what string, done func() error) {
		t.Helper()
		for n := range 240 {
			door.Shut()
			door.Reopen(t)
			if poll.Until(time.Second/8, done) == nil { // which may take half a second
				t.Logf("%s after %d cuts", what, n+1)
				return
			}
		}
		t.Fatalf("not %s: %v", what, done())
	}
	cut("completed", func() error {
		if st := w.get().Status; st.Outcome != v1alpha1.OutcomeCompleted {
			return fmt.Errorf("%s at %d%%", st.Phase, st.Weight)
		}
		return nil
	})
	st := w.get().Status
	if st.Seq != 7 || st.Stable.Name != "v2" || len(st.History) != 2 {
		t.Errorf("seq %d, stable %s, history %+v", st.Seq, st.Stable.Name, st.History)
	}
	reasons := w.reasons()
	if once := slices.Compact(slices.Sorted(slices.Values(reasons))); len(once) != len(reasons) {
		t.Errorf("a transition was made twice: %v", reasons)
	}
	must(t, direct.Delete(t.Context(), w.get()))
	cut("gone", func() error {
		err := direct.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, &v1alpha1.Rollout{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
}
