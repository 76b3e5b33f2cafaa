package controller_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/ir"
)

const totals = `checkout_total{version="{{subset}}",flow="{{flow}}"}`

// template stores the MetricTemplate "checkout-failures" with that selector of bad events.
func (w *world) template(bad string) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		m := &v1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "checkout-failures"}}
		missing := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(m), m) != nil
		m.Spec.Args = []v1alpha1.Argument{{Name: "flow", Value: "all"}}
		m.Spec.Ratio = &v1alpha1.RatioTemplate{Bad: bad, Total: totals}
		if missing {
			return w.client.Create(w.t.Context(), m)
		}
		return w.client.Update(w.t.Context(), m)
	})
}

func (w *world) dropTemplate() {
	w.t.Helper()
	m := &v1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "checkout-failures"}}
	if err := w.client.Delete(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

const failures = `checkout_total{version="{{subset}}",flow="{{flow}}",result="failed"}`

// byTemplate lets a Rollout be judged by the template alone.
func byTemplate(ro *v1alpha1.Rollout) {
	ro.Spec.Analysis.Metrics = []v1alpha1.Metric{
		{Name: v1alpha1.MetricErrors, Disabled: true}, {Name: v1alpha1.MetricLatency, Disabled: true}, {Name: v1alpha1.MetricAttempts, Disabled: true},
		{Name: "checkout", Template: "checkout-failures", Args: []v1alpha1.Argument{{Name: "flow", Value: "card"}},
			Window: v1alpha1.DurationOf(time.Second), Warmup: v1alpha1.DurationOf(0)},
	}
}

// named gives the clusters of the mesh the names that they have in Envoy.
func (w *world) named() {
	w.mesh.set(func(m *mesh) {
		m.facts.StableClusters = []string{ir.ClusterName(8080, "v1", "reviews.example.com")}
		m.facts.CanaryClusters = []string{ir.ClusterName(8080, "v2", "reviews.example.com")}
	})
}

func TestTemplate_harmRollsBack(t *testing.T) {
	w := newWorld(t)
	w.named()
	w.prom.set(func(p *prometheus) { p.bad = 0.6 })
	w.template(failures)
	w.run()
	w.rollout("v1", byTemplate)
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	if a := ro.Status.Analysis; a == nil || len(a.Metrics) != 1 || a.Metrics[0].Name != "checkout" || a.Reason != "HardFail" && a.Reason != "RegressionDetected" {
		t.Errorf("analysis %+v, want harm by checkout alone", a)
	}
	q := w.prom.newest()
	if q.Metric != "checkout" || q.Ratio == nil || q.Ratio.Bad != failures || q.Ratio.Total != totals || q.Ratio.Args["flow"] != "card" {
		t.Fatalf("asked %+v", q)
	}
	vars := func(subset string) []map[string]string {
		return []map[string]string{{"namespace": w.ns, "rollout": "reviews", "subset": subset, "port": "8080", "host": "reviews.example.com",
			"cluster": "outbound|8080|" + subset + "|reviews.example.com"}}
	}
	if diff := cmp.Diff(vars("v2"), q.Arms.CanaryVars) + cmp.Diff(vars("v1"), q.Arms.StableVars); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestTemplate_missingStartsNothingUntilItIsThere(t *testing.T) {
	w := newWorld(t)
	defer w.unjudged()()
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2", byTemplate)
	c := w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonMetricTemplateNotFound)
	if !strings.Contains(c.Message, "spec.analysis.metrics[3].template: there is no MetricTemplate checkout-failures") {
		t.Errorf("message %q", c.Message)
	}
	ro := w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonRefsNotResolved)
	if ready := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionReady); ro.Status.Weight != 0 || !strings.Contains(ready.Message, "no MetricTemplate") {
		t.Errorf("weight %d, ready %q", ro.Status.Weight, ready.Message)
	}
	w.template(failures)
	w.untilPhase(v1alpha1.PhaseBaking)
	w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolvedRefs)
}

func TestTemplate_wrongStartsNothingUntilItIsMended(t *testing.T) {
	w := newWorld(t)
	defer w.unjudged()()
	w.template(`rate(checkout_total{version="{{subset}}"}[5m])`)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2", byTemplate)
	c := w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec)
	if !strings.Contains(c.Message, "spec.analysis.metrics[3]: MetricTemplate checkout-failures: bad: ") || w.get().Status.Attempt != 0 {
		t.Errorf("attempt %d, message %q", w.get().Status.Attempt, c.Message)
	}
	w.template(failures)
	w.untilPhase(v1alpha1.PhaseBaking)
	w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)

	w.push("v3", "digest-v3", func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Metrics[3].Args[0].Name = "flwo" })
	if c := w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec); !strings.Contains(c.Message, `"flwo"`) {
		t.Errorf("message %q", c.Message)
	}
	if ro := w.get(); ro.Status.Attempt != 1 || ro.Status.Weight != 15 {
		t.Errorf("attempt %d at %d%%, want the open one to go on", ro.Status.Attempt, ro.Status.Weight)
	}
}

func TestTemplate_lostInTheMiddleStopsNothing(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*world){
		"deleted": (*world).dropTemplate,
		"wrong":   func(w *world) { w.template(`checkout_total{version="v2"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.template(failures)
			w.run()
			w.rollout("v1", byTemplate, func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Bake = v1alpha1.DurationOf(10 * time.Second) })
			w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
			w.push("v2", "digest-v2")
			w.untilPhase(v1alpha1.PhaseBaking)
			lose(w)
			ro := w.until("at 100", func(ro *v1alpha1.Rollout) bool { return ro.Status.Weight == 100 })
			if ro.Status.Attempt != 1 || ro.Status.Gates[0].Result != v1alpha1.GatePass {
				t.Errorf("attempt %d, gates %+v", ro.Status.Attempt, ro.Status.Gates)
			}
		})
	}
}

func TestTemplate_lostOverARestartIsBlind(t *testing.T) {
	w := newWorld(t)
	w.template(failures)
	stop := w.run()
	w.rollout("v1", byTemplate, func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Bake = v1alpha1.DurationOf(20 * time.Second) })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	stop()
	w.dropTemplate()
	w.prom.set(func(p *prometheus) { p.err = errors.New("metric is not built in") }) // as the reader says without a ratio
	w.run()
	ro := w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonBlind)
	if ro.Status.Weight != 15 || w.prom.newest().Ratio != nil {
		t.Errorf("weight %d, asked %+v", ro.Status.Weight, w.prom.newest())
	}
}
