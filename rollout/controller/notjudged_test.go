package controller_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestNotJudged_withoutAServerAttemptsPromoteAndTheConditionSaysIt(t *testing.T) {
	w := newWorld(t)
	w.loads.set(func(l *loads) { l.silent, l.share = false, 15 })
	w.prom.set(func(p *prometheus) { p.err = unconfigured{} })
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "attempts", Window: v1alpha1.DurationOf(time.Second), Warmup: v1alpha1.DurationOf(0),
			Harmful: &v1alpha1.Harmful{Rate: "10%"}}}
	})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.until("judged without errors and latency", func(ro *v1alpha1.Rollout) bool {
		c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionNotJudged)
		rows := ro.Status.Analysis != nil && slices.ContainsFunc(ro.Status.Analysis.Metrics, func(m v1alpha1.MetricStatus) bool {
			return m.Name == "latency" && m.NotJudged == string(analysis.NotConfigured)
		})
		return rows && c != nil && c.Reason == string(analysis.NotConfigured) &&
			c.Message == "judged without errors, latency: no Prometheus is configured (--prometheus=URL); attempts stand in for errors"
	})
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	if v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionNotJudged) != nil {
		t.Error("the condition outlives the attempt")
	}
}

// unconfigured is the failure of a server that nobody named.
type unconfigured struct{}

func (unconfigured) Error() string { return "no Prometheus is configured" }

func (unconfigured) BlindReason() analysis.Reason { return analysis.NotConfigured }
