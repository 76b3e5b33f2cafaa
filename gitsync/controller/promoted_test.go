package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// passed makes the Source look, and waits until it has.
func (w *world) passed(mark string) v1alpha1.SourceStatus {
	w.Helper()
	w.look(mark)
	return w.until("looked", func(s v1alpha1.SourceStatus) bool { return s.LastHandledReconcile == mark })
}

// A workload that Git drops stays while its version is stable, while it was stable and is kept warm, and while a proxy may
// still send requests there; then it goes by itself.
func TestPrune_afterThePromotion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deployment := func(version string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: reviews-" + version + "}\nspec:\n  selector: {matchLabels: {app: reviews, version: " + version + "}}\n" +
			"  template:\n    metadata: {labels: {app: reviews, version: " + version + "}}\n    spec: {containers: [{name: c, image: one}]}\n"
	}
	first := w.push("first", map[string]string{"app/v1.yaml": deployment("v1"), "app/v2.yaml": deployment("v2"), "app/s.yaml": reviewsService, "app/dr.yaml": routing, "app/r.yaml": rolloutV1})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	w.judged(rest)
	w.hint(w.push("second", map[string]string{"app/v1.yaml": "", "app/r.yaml": rolloutV2}))
	there := func() bool {
		t.Helper()
		err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews-v1"}, &appsv1.Deployment{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	w.until("held", func(s v1alpha1.SourceStatus) bool {
		return s.PruneHeld != nil && s.PruneHeld.Reason == string(gitsync.WithheldStable) && strings.Contains(fmt.Sprint(s.PruneHeld.Names), "reviews-v1")
	})
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhasePreparing, v1alpha1.PhaseBaking} { // an attempt that only observes needs no plan
		w.judged(func(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) {
			s.Phase, s.Attempt, s.Outcome, s.Attempted, s.Observe = phase, 1, v1alpha1.OutcomeOpen, ro.Annotations[v1alpha1.AnnotationDigest], true
			s.Canary = &v1alpha1.VersionStatus{Name: "v2", Digest: s.Attempted}
		})
	}
	serves := func(previous *v1alpha1.PreviousStatus, acked int32) {
		w.judged(func(ro *v1alpha1.Rollout, s *v1alpha1.RolloutStatus) {
			rest(ro, s)
			s.Outcome, s.Previous = v1alpha1.OutcomeCompleted, previous
			s.Traffic.Seq, s.SettledSeq = 3, 3
			s.Proxies = &v1alpha1.ProxiesStatus{Connected: 2, Acked: acked}
		})
	}
	serves(&v1alpha1.PreviousStatus{VersionStatus: v1alpha1.VersionStatus{Name: "v1"}, Until: metav1.NewMicroTime(time.Now().Add(time.Hour))}, 2)
	if w.passed("warm"); !there() {
		t.Fatal("v1 is gone though it is kept warm")
	}
	serves(nil, 1)
	if s := w.passed("unacked"); !there() || s.PruneHeld == nil {
		t.Fatal("v1 is gone though a proxy has not acknowledged the routes without it")
	}
	serves(nil, 2)
	s := w.until("pruned", func(s v1alpha1.SourceStatus) bool { return s.PruneHeld == nil && !there() })
	if strings.Contains(strings.Join(s.Inventory, " "), "reviews-v1") || s.ProblemCount != 0 {
		t.Errorf("inventory %q, problems %+v; want v1 gone and nothing wrong", s.Inventory, s.Problems)
	}
}
