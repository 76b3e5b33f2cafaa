package controller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
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
	w.until("at 15", raised)
}

// hanging is a server that answers nothing.
type hanging struct{}

func (hanging) Series(ctx context.Context, _ analysis.Query) ([]analysis.Series, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hanging) Base(ctx context.Context, _ analysis.Query) ([]analysis.Bucket, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hanging) Measure(ctx context.Context, _ analysis.Query) (analysis.Measurement, error) {
	<-ctx.Done()
	return analysis.Measurement{}, ctx.Err()
}

func TestServers_oneThatHangsFreezesItsRolloutsAndNoOther(t *testing.T) {
	w := newWorld(t)
	w.run()
	var frozen []types.NamespacedName
	for i := range 20 {
		name := fmt.Sprintf("other-%d", i)
		frozen = append(frozen, types.NamespacedName{Namespace: w.ns, Name: name})
		w.rollout("v1", func(ro *v1alpha1.Rollout) {
			ro.Name, ro.Spec.Host, ro.Spec.InitialStable = name, name, "v0"
			ro.Spec.Analysis.Prometheus = &v1alpha1.PrometheusReference{Name: "hangs"}
		})
	}
	w.rollout("v1")
	each := func(what string, holds func(*v1alpha1.RolloutStatus) bool) {
		t.Helper()
		for _, key := range frozen {
			kube.Eventually(t, patience, func() error {
				ro := &v1alpha1.Rollout{}
				if err := w.client.Get(t.Context(), key, ro); err != nil {
					return err
				}
				if ro.Status == nil || !holds(ro.Status) {
					return fmt.Errorf("%s is not %s: %+v", key.Name, what, ro.Status)
				}
				return nil
			})
		}
	}
	each("baking", func(s *v1alpha1.RolloutStatus) bool { return s.Phase == v1alpha1.PhaseBaking && s.Weight == 15 })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	each("still at 15", func(s *v1alpha1.RolloutStatus) bool { return s.Phase == v1alpha1.PhaseBaking && s.Weight == 15 })
}
