package view_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// What to revert is the commit that asks for the version now. It need not be the one that it was rejected with.
func TestUndo_namesTheCommitThatAsksNow(t *testing.T) {
	c := v1alpha1.NewConditions(nil, 1, metav1.Now().Time)
	c.Stalled(v1alpha1.ReasonRolledBack, "Git wants v3")
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "reviews", Annotations: map[string]string{v1alpha1.AnnotationCommit: "57798a1ffff"}},
		Spec: v1alpha1.RolloutSpec{Subset: "v3"}}
	ro.Status = &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseRolledBack, Conditions: c.List(),
		Rejected: []v1alpha1.RejectedVersion{{Name: "v4", Commit: "4444444ffff"}, {Name: "v3", Commit: "285ce7effff"}}}
	v := view.Status(ro)
	if v.Rejected == nil || v.Rejected.Name != "v3" {
		t.Errorf("rejected is %+v, want v3, which Git wants", v.Rejected)
	}
	for want, commit := range map[string]string{
		"revert 57798a1 in Git, or push a version with other content": "57798a1ffff",
		"revert 285ce7e in Git, or push a version with other content": "",
	} {
		ro.Annotations[v1alpha1.AnnotationCommit] = commit
		if got := view.Status(ro).Undo(); got != want {
			t.Errorf("with commit %q: %q, want %q", commit, got, want)
		}
	}
	if got := (view.StatusView{}).Undo(); got != "push a version with other content" {
		t.Errorf("of nothing: %q", got)
	}
}
