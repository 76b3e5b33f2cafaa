package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	promclient "github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/kube"
)

// series gives what a controller shows by name and label values: values of counters and gauges, counts of histograms.
func series(t *testing.T, c *controller.Controller) map[string]float64 {
	t.Helper()
	r := promclient.NewPedanticRegistry()
	r.MustRegister(c.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "sluice_")
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// untilSeries waits for values; the name of the world's namespace is left out.
func (w *world) untilSeries(want map[string]float64) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		got := series(w.t, w.it)
		for name, value := range want {
			is, there := got[strings.Replace(name, "NS", w.ns, 1)]
			if is != value || !there {
				return fmt.Errorf("%s = %v (there: %v), want %v; all: %v", name, is, there, value, got)
			}
		}
		return nil
	})
}

// justNow says that every commit was heard of a second ago, and what was done since.
func justNow(types.NamespacedName, string) controller.Arrival {
	now := time.Now()
	return controller.Arrival{Heard: now.Add(-time.Second), Phases: []controller.Phase{
		{Name: "fetch", From: now.Add(-900 * time.Millisecond), To: now.Add(-800 * time.Millisecond)}, {Name: "apply", From: now.Add(-800 * time.Millisecond), To: now.Add(-700 * time.Millisecond)}}}
}

func TestMetrics_followARolloutUntilItIsGone(t *testing.T) {
	w := newWorld(t)
	w.prom.set(func(p *prometheus) { p.bad = 0.2 })
	mgr := w.manager()
	w.it.Tell(controller.Telling{Arrival: justNow})
	w.start(mgr)
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.untilSeries(map[string]float64{
		"rollout_weight_percent NS reviews wanted": 0, "rollout_step NS reviews": 0, "rollout_rejected NS reviews": 0, "rollout_brake NS reviews": 0,
		"rollout_ready NS Stable reviews True": 1, "rollout_info  c07aa19f00 reviews NS reviews v1": 1, "rollout_transitions_total NS Adopted reviews": 1,
	})
	for name := range series(t, w.it) {
		if strings.HasPrefix(name, "rollout_deadline") || strings.HasPrefix(name, "analysis_blind") {
			t.Errorf("%s is shown at rest", name)
		}
	}
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	w.untilSeries(map[string]float64{
		"rollout_attempts_total NS rolledback reviews": 1, "rollout_rejected NS reviews": 1, "analysis_verdicts_total NS reviews Rollback": 1,
		"rollout_push_to_weight_seconds": 1, "rollout_detect_seconds": 1, "rollout_zero_seconds": 1, "rollout_step_seconds": 1,
	})
	w.prom.set(func(p *prometheus) { p.bad = 0 })
	w.push("v2", "digest-v2-fixed")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	w.untilSeries(map[string]float64{
		"rollout_attempts_total NS completed reviews": 1, "rollout_rejected NS reviews": 0, "rollout_push_to_weight_seconds": 2, "rollout_detect_seconds": 1,
		"rollout_zero_seconds": 1, "rollout_step_seconds": 3, "rollout_weight_percent NS reviews acked": 0,
	})
	got := series(t, w.it)
	if got["analysis_requests_total canary "+w.ns+" reviews"] == 0 || got["analysis_query_seconds"] == 0 || got["rollout_decision_seconds"] < 9 {
		t.Errorf("no requests, queries or decisions: %v", got)
	}
	if err := w.client.Delete(t.Context(), w.get()); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, patience, func() error {
		for name := range series(t, w.it) {
			if strings.Contains(name, w.ns) {
				return fmt.Errorf("%s stays after the Rollout is gone", name)
			}
		}
		return nil
	})
}

func TestMetrics_togetherNameNoRollout(t *testing.T) {
	w := newWorld(t)
	w.prom.set(func(p *prometheus) { p.bad = 0.2 })
	mgr := w.manager()
	w.it.Tell(controller.Telling{Together: true})
	w.start(mgr)
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.untilSeries(map[string]float64{"rollout_ready Stable True": 1, "rollout_transitions_total Adopted": 1, "rollout_rejected": 0, "rollout_brake": 0})
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	w.untilSeries(map[string]float64{"rollout_rejected": 1, "rollout_attempts_total rolledback": 1, "rollout_ready RolledBack False": 1})
	for name := range series(t, w.it) {
		if strings.Contains(name, w.ns) || strings.Contains(name, "reviews") {
			t.Errorf("%s names a Rollout", name)
		}
	}
	if err := w.client.Delete(t.Context(), w.get()); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, patience, func() error {
		got := series(t, w.it)
		if got["rollout_rejected"] != 0 || got["rollout_attempts_total rolledback"] != 1 {
			return fmt.Errorf("after the Rollout is gone: %v, want none rejected, and what was counted", got)
		}
		return nil
	})
}

func TestMetrics_ofAProcessThatDoesNotRunNameNothing(t *testing.T) {
	w := newWorld(t)
	w.manager()
	for name, v := range series(t, w.it) {
		if v != 0 || strings.Contains(name, " ") && !strings.HasPrefix(name, "invariant_violations_total C") {
			t.Errorf("%s = %v before anything runs", name, v)
		}
	}
}
