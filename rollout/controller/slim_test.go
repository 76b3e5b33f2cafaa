package controller

import (
	"encoding/json"
	"fmt"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestSlim_keepsAllThatIsRead says what a cache holds of a Rollout: the same, without managed fields, without room at the ends
// of lists, and with one copy of each word.
func TestSlim_keepsAllThatIsRead(t *testing.T) {
	slim := Slim()
	var both [2]*v1alpha1.Rollout
	for i := range both {
		read := func() *v1alpha1.Rollout {
			ro := &v1alpha1.Rollout{}
			if err := json.Unmarshal(fmt.Appendf(nil, `{"metadata":{"name":"r%d","namespace":"shop","labels":{"team":"a"},"annotations":{"sluice.dev/digest":"d"},
				"finalizers":["sluice.dev/rollout"],"managedFields":[{"manager":"kubectl"}]},
				"spec":{"host":"r","subset":"v1","analysis":{"metrics":[{"name":"errors"}]}},
				"status":{"phase":"Idle","reason":"Adopted","stable":{"name":"v1"},"conditions":[{"type":"Ready","status":"True","reason":"Stable","message":"v1 serves 100%%"}]}}`, i), ro); err != nil {
				t.Fatal(err)
			}
			return ro
		}
		got, err := slim(read())
		if err != nil {
			t.Fatal(err)
		}
		both[i] = got.(*v1alpha1.Rollout)
		want := read()
		want.ManagedFields = nil
		if diff := cmp.Diff(want, both[i]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if n := cap(both[i].Spec.Analysis.Metrics); n != 1 {
			t.Errorf("room for %d metrics, there is 1", n)
		}
	}
	words := func(ro *v1alpha1.Rollout) []string {
		c := ro.Status.Conditions[0]
		return []string{ro.Namespace, ro.Finalizers[0], ro.Labels["team"], ro.Spec.Subset, ro.Status.Stable.Name, ro.Status.Reason, c.Type, string(c.Status), c.Reason, c.Message}
	}
	a, b := words(both[0]), words(both[1])
	for i := range a {
		if unsafe.StringData(a[i]) != unsafe.StringData(b[i]) {
			t.Errorf("two Rollouts hold a copy each of %q", a[i])
		}
	}
	pod := &corev1.Pod{}
	if got, err := slim(pod); got != pod || err != nil {
		t.Errorf("a Pod became %v, %v", got, err)
	}
}

// TestSlim_isBounded says that words which never come again are forgotten.
func TestSlim_isBounded(t *testing.T) {
	w := &words{}
	for i := range 3 * maxWords {
		w.one(fmt.Sprint(i))
	}
	if len(w.have) > maxWords {
		t.Errorf("%d words are remembered, want %d at most", len(w.have), maxWords)
	}
}
