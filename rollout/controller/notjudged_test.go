package controller_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// unlisted leaves latency to be on by itself.
func unlisted(ro *v1alpha1.Rollout) {
	ro.Spec.Analysis.Metrics = ro.Spec.Analysis.Metrics[:1]
}

func TestNotJudged_withoutAServerAttemptsPromoteAndTheConditionSaysIt(t *testing.T) {
	w := newWorld(t)
	w.loads.set(func(l *loads) { l.silent, l.share = false, 15 })
	w.prom.set(func(p *prometheus) { p.err = unconfigured{} })
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "attempts", Window: v1alpha1.DurationOf(time.Second), Warmup: v1alpha1.DurationOf(0)}}
	})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	c := w.untilCondition(v1alpha1.ConditionNotJudged, metav1.ConditionTrue, string(analysis.NotConfigured))
	if want := "judged without errors, latency: no Prometheus is configured (--prometheus=URL); attempts stand in for errors"; c.Message != want {
		t.Errorf("message %q, want %q", c.Message, want)
	}
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	rows := map[string]string{}
	for _, m := range ro.Status.Analysis.Metrics {
		rows[m.Name] = m.NotJudged
	}
	if rows["errors"] != "NotConfigured" || rows["latency"] != "NotConfigured" || rows["attempts"] != "" || len(rows) != 3 {
		t.Errorf("rows %v", rows)
	}
	if v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionNotJudged) != nil {
		t.Error("the condition outlives the attempt")
	}
}

// unconfigured is the failure of a server that nobody named.
type unconfigured struct{}

func (unconfigured) Error() string { return "no Prometheus is configured" }

func (unconfigured) BlindReason() analysis.Reason { return analysis.NotConfigured }

func TestNotJudged_withoutBucketsErrorsPromote(t *testing.T) {
	w := newWorld(t)
	w.prom.set(func(p *prometheus) { p.plain = true })
	w.run()
	w.rollout("v1", unlisted)
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.until("judged without latency", func(ro *v1alpha1.Rollout) bool {
		c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionNotJudged)
		return c != nil && c.Reason == string(analysis.NoSeries) && strings.Contains(c.Message, "latency: Prometheus has no series of either version")
	})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
}
