package controller_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// A process that has just started has seen no verdict yet: what one held before must not move until the first is there.
func TestRestart_raisesNothingBeforeTheFirstVerdict(t *testing.T) {
	w := newWorld(t)
	stop := w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	paused := make(chan struct{}) // nothing is judged before: the step must not pass
	w.prom.set(func(p *prometheus) { p.blocks = paused })
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true })
	close(paused)
	w.until("held with a gate", func(ro *v1alpha1.Rollout) bool {
		return ro.Status.Phase == v1alpha1.PhaseHolding && len(ro.Status.Gates) == 1
	})
	stop()
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = false })
	blocks := make(chan struct{})
	w.prom.set(func(p *prometheus) { p.blocks, p.asked = blocks, 0 })
	w.run()
	kube.Eventually(t, patience, func() error {
		if w.prom.queries() == 0 {
			return errors.New("no query is under way")
		}
		return nil
	})
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	<-timer.C
	if st := w.get().Status; st.Weight != 15 {
		t.Errorf("%s at %d%% without a verdict, want 15%%", st.Phase, st.Weight)
	}
	close(blocks)
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
}

// After a restart the proxies come back one by one. The first is not the fleet.
func TestRestart_waitsForTheProxiesThatWereThere(t *testing.T) {
	w := newWorld(t)
	stop := w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Bake = v1alpha1.DurationOf(2 * time.Second) })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	goOn := w.unjudged()
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	stop()
	goOn()
	w.fleet.set(func(f *fleet) { f.proxies = 1 })
	w.run()
	ro := w.until("held, or raised", func(ro *v1alpha1.Rollout) bool {
		return ro.Status.Weight > 15 || ro.Status.Phase == v1alpha1.PhaseHolding
	})
	if ro.Status.Weight > 15 || ro.Status.Progress.Hold != "DataPlaneBehind" {
		t.Errorf("%s at %d%% with one of two proxies back, want Holding for the other", ro.Status.Phase, ro.Status.Weight)
	}
	w.fleet.set(func(f *fleet) { f.proxies = 2 })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
}
