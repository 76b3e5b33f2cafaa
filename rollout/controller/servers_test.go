package controller_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestServers_anUnknownOneStartsNothingUntilItIsNamedRight(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	name := func(name string) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Prometheus = &v1alpha1.PrometheusReference{Name: name} }
	}
	w.push("v2", "digest-v2", name("unknown"))
	c := w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonPrometheusNotFound)
	if !strings.Contains(c.Message, "spec.analysis.prometheus: no Prometheus is named unknown") {
		t.Errorf("message %q", c.Message)
	}
	w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonRefsNotResolved)
	w.push("v2", "digest-v2", name("team-a"), func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Bake = v1alpha1.DurationOf(0) })
	w.untilCondition(v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolvedRefs)
	w.until("at 15", func(ro *v1alpha1.Rollout) bool { return ro.Status.Weight >= 15 })
}
