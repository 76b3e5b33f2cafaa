package controller

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func stored(uid types.UID, seq int64, weight int32) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reviews", UID: uid},
		Spec:       v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"},
		Status: &v1alpha1.RolloutStatus{
			Seq: seq, Weight: weight, Traffic: v1alpha1.TrafficStatus{Seq: seq},
			Stable: v1alpha1.VersionStatus{Name: "v1"}, Canary: &v1alpha1.VersionStatus{Name: "v2"},
		},
	}
}

func weights(w *world) []int {
	var out []int
	for _, s := range w.snapshot().Splits {
		out = append(out, s.Weight)
	}
	return out
}

func TestWorld_onlyStoredStatesAreSplitsAndNoneGoesBack(t *testing.T) {
	w := newWorld("", "")
	bare := stored("a", 0, 0)
	bare.Status = nil
	steps := []struct {
		name string
		ro   *v1alpha1.Rollout
		want urgency
		have []int
	}{
		{"without status", bare, unchanged, nil},
		{"adopted, nothing stable yet", func() *v1alpha1.Rollout { r := stored("a", 1, 0); r.Status.Stable.Name = ""; return r }(), unchanged, nil},
		{"a weight", stored("a", 7, 15), atOnce, []int{15}},
		{"the same with other evidence", stored("a", 7, 15), unchanged, []int{15}},
		{"an older state of the object", stored("a", 6, 50), unchanged, []int{15}},
		{"a newer one", stored("a", 8, 50), weighed, []int{50}},
		{"another object of the name", stored("b", 1, 0), atOnce, []int{0}},
	}
	for _, s := range steps {
		if got := w.setRollout(s.ro); got != s.want {
			t.Errorf("%s: urgency %v, want %v", s.name, got, s.want)
		}
		if got := weights(w); !slices.Equal(got, s.have) {
			t.Errorf("%s: weights %v, want %v", s.name, got, s.have)
		}
	}
	if got := w.dropRollout(types.NamespacedName{Namespace: "shop", Name: "reviews"}); got != atOnce || len(weights(w)) != 0 {
		t.Errorf("deleted: urgency %v, weights %v", got, weights(w))
	}
}

func TestWorld_podsMatterByTheirLabels(t *testing.T) {
	w := newWorld("", "")
	name := types.NamespacedName{Namespace: "shop", Name: "p"}
	for i, tt := range []struct {
		labels map[string]string
		exists bool
		want   urgency
	}{
		{map[string]string{"version": "v1"}, true, moved},
		{map[string]string{"version": "v1"}, true, unchanged},
		{map[string]string{"version": "v2"}, true, moved},
		{nil, false, moved},
		{nil, false, unchanged},
	} {
		if got := w.setPod(name, tt.labels, tt.exists); got != tt.want {
			t.Errorf("change %d: urgency %v, want %v", i, got, tt.want)
		}
	}
}
