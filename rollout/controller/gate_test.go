package controller_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// gate stores the MetricTemplate "queue", a threshold.
func (w *world) gate() {
	w.t.Helper()
	m := &v1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "queue"}}
	m.Spec.Condition = &v1alpha1.ConditionTemplate{
		Query: `sum(queue_depth{version="{{subset}}"})`, Pass: "value < 100.0",
		Interval: v1alpha1.DurationOf(5 * time.Second), InitialDelay: v1alpha1.DurationOf(0),
	}
	if err := w.client.Create(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// byGate adds the threshold to what judges a Rollout.
func byGate(ro *v1alpha1.Rollout) {
	ro.Spec.Analysis.Metrics = append(ro.Spec.Analysis.Metrics, v1alpha1.Metric{Name: "queue", Template: "queue"})
}

// gated is a world with a Rollout that rests at v1 and has the threshold.
func gated(t *testing.T, value func() (float64, error)) *world {
	t.Helper()
	w := newWorld(t)
	w.named()
	w.prom.set(func(p *prometheus) { p.value = value })
	w.gate()
	w.run()
	w.rollout("v1", byGate)
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	return w
}

func TestGate_thatFailsRollsBack(t *testing.T) {
	w := gated(t, func() (float64, error) { return 250, nil })
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	if a := ro.Status.Analysis; a == nil || a.Reason != string(analysis.GateFailed) || ro.Status.Weight != 0 {
		t.Errorf("analysis %+v at %d%%, want a rollback by the gate", a, ro.Status.Weight)
	}
	var q analysis.Query
	w.prom.set(func(p *prometheus) { q = p.gate })
	if q.Condition == nil || q.Oldest != 15*time.Second || len(q.Arms.CanaryVars) == 0 {
		t.Errorf("asked %+v, want the condition, with what tells the versions apart and samples of three intervals", q)
	}
}

func TestGate_thatCannotBeMeasuredIsBlind(t *testing.T) {
	w := gated(t, func() (float64, error) {
		return 0, &prom.Failure{Reason: analysis.NotFinite, Detail: "the value is NaN"}
	})
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonBlind)
	if a := ro.Status.Analysis; ro.Status.Weight != 15 || a == nil || len(a.Metrics) == 0 {
		t.Errorf("at %d%%, analysis %+v, want it frozen and the gate named", ro.Status.Weight, a)
	}
	w.prom.set(func(p *prometheus) { p.value = func() (float64, error) { return 7, nil } })
	w.until("seeing again", func(ro *v1alpha1.Rollout) bool {
		return ro.Status.Analysis != nil && ro.Status.Analysis.Verdict != string(analysis.Blind)
	})
}
