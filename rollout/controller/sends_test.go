package controller_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// A canary that chosen clients alone reach, or copies, or whom only others send traffic, is judged as one with a weight.
func TestCanaryWithoutWeight_isJudged(t *testing.T) {
	long := &v1alpha1.Bake{Min: v1alpha1.DurationOf(time.Hour)}
	for name, edit := range map[string]func(*v1alpha1.RolloutSpec){
		"match": func(s *v1alpha1.RolloutSpec) {
			beta := v1alpha1.ClientMatch{Headers: []v1alpha1.ValueMatch{{Name: "x-beta", Exact: "1"}}}
			s.Steps = []v1alpha1.Step{{Bake: long, Match: []v1alpha1.ClientMatch{beta}}, {Weight: 100}}
		},
		"mirror": func(s *v1alpha1.RolloutSpec) {
			s.Steps = []v1alpha1.Step{{Bake: long, Mirror: &v1alpha1.Mirror{Percent: 10}}, {Weight: 100}}
		},
		"dryRun": func(s *v1alpha1.RolloutSpec) { s.DryRun = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.prom.set(func(p *prometheus) { p.bad = 1 })
			w.run()
			w.rollout("v1", func(ro *v1alpha1.Rollout) { edit(&ro.Spec) })
			w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
			w.push("v2", "digest-v2")
			w.until("rolled back", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeRolledBack })
		})
	}
}

// A shadow that does no harm completes by its evidence.
func TestDryRun_completes(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) { ro.Spec.DryRun = true })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.until("completed", func(ro *v1alpha1.Rollout) bool { return ro.Status.Stable.Name == "v2" })
}

// A second that proxies have reported wakes those whose canary gets traffic.
func TestLoads_wake(t *testing.T) {
	w := newWorld(t)
	w.run()
	kube.Eventually(t, patience, func() error {
		w.loads.mu.Lock()
		defer w.loads.mu.Unlock()
		if w.loads.followed == 0 {
			return errors.New("nobody follows the reports")
		}
		return nil
	})
}
