package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/kube"
)

// tamper changes a ConfigMap as somebody else.
func (w *world) tamper(name, patch string) {
	w.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	if err := w.client.Patch(w.Context(), cm, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("meddler")); err != nil {
		w.Fatal(err)
	}
}

// restored waits until the value of a ConfigMap is as wanted.
func (w *world) restored(name, want string) {
	w.Helper()
	kube.Eventually(w, soon, func() error {
		if got := w.data(name)["k"]; got != want {
			return fmt.Errorf("%s = %q, want %q", name, got, want)
		}
		return nil
	})
}

func TestDrift_isRepairedWithoutGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one"), "app/c.yaml": configMap("c", "one")})
	w.source(nil)
	before := w.ready(v1alpha1.ReasonApplied, first)
	w.git.SetFault("/app.git", gitserver.Fault{Status: 503})
	w.tamper("a", `{"data":{"k":"nine"}}`)
	w.restored("a", "one")
	w.tamper("b", `{"metadata":{"labels":null},"data":{"k":"nine"}}`)
	w.restored("b", "one")
	if err := w.client.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "c"}}); err != nil {
		t.Fatal(err)
	}
	w.restored("c", "one")
	kube.Eventually(t, soon, func() error {
		s := w.status()
		if len(s.Inventory) != 3 || s.Inventory[2] == before.Inventory[2] || !strings.HasSuffix(s.Inventory[2], "Created") {
			return fmt.Errorf("inventory %v, want the new object c in the place of %s", s.Inventory, before.Inventory[2])
		}
		return nil
	})
	if s := w.status(); v1alpha1.Condition(s.Conditions, v1alpha1.ConditionDrifted) != nil || v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady).Status != metav1.ConditionTrue {
		t.Errorf("conditions %v, want Ready and nothing contested", s.Conditions)
	}
}

func TestDrift_heldUnitGetsWhatItHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": strings.Replace(configMap("a", "two"), "data:", "dota:", 1)})
	w.hint(second)
	w.ready(v1alpha1.ReasonContentInvalid, second)
	w.tamper("a", `{"data":{"k":"nine"}}`)
	w.restored("a", "one")
}

func TestDrift_contestedIsNotFoughtFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	for range 3 {
		w.tamper("a", `{"data":{"k":"nine"}}`)
		w.restored("a", "one")
	}
	var s v1alpha1.SourceStatus
	kube.Eventually(t, soon, func() error {
		s = w.status()
		if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionDrifted); c == nil || c.Reason != v1alpha1.ReasonContested {
			return errors.New("not said to be contested")
		}
		return nil
	})
	c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionDrifted)
	if !strings.Contains(c.Message, "meddler keeps changing data.k") || len(s.Problems) != 1 || s.Problems[0].Code != "S411" || s.ProblemCount != 1 {
		t.Errorf("%s; problems %v; want who and what", c.Message, s.Problems)
	}
	w.tamper("a", `{"data":{"k":"ten"}}`)
	w.tamper("b", `{"data":{"k":"ten"}}`)
	w.restored("b", "one") // by then a would have been restored, too
	if got := w.data("a")["k"]; got != "ten" {
		t.Errorf("a = %s, want it left alone for now", got)
	}
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	if got := w.data("a")["k"]; got != "two" {
		t.Errorf("a = %s, want what Git newly wants at once", got)
	}
}
