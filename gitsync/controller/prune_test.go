package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What was there before Git had it stays when Git no longer has it.
func TestPrune_adoptedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "old"}, Data: map[string]string{"k": "hand"}})
	first := w.push("first", map[string]string{"app/old.yaml": configMap("old", "one"), "app/new.yaml": configMap("new", "one"), "app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	if w.data("old")["k"] != "one" {
		t.Errorf("old = %v, want it taken over", w.data("old"))
	}
	second := w.push("second", map[string]string{"app/old.yaml": "", "app/new.yaml": ""})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonApplied, second)
	if w.data("old") == nil || w.data("new") != nil || s.History[0].Pruned != 1 {
		t.Errorf("old = %v, new = %v, %+v; want only what we made pruned", w.data("old"), w.data("new"), s.History[0])
	}
}
