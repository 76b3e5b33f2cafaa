package controller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// definition is the server's of Rollouts; nil: it has none.
func (w *world) definition() *apiextensionsv1.CustomResourceDefinition {
	w.t.Helper()
	def := &apiextensionsv1.CustomResourceDefinition{}
	err := w.client.Get(w.t.Context(), types.NamespacedName{Name: "rollouts.sluice.dev"}, def)
	if apierrors.IsNotFound(err) {
		return nil
	}
	must(w.t, err)
	return def
}

// defines gives the server this tree's definition of Rollouts without a field of the status; empty: all of it.
func (w *world) defines(without string) {
	w.t.Helper()
	own, err := crd.Own()
	must(w.t, err)
	for _, def := range own {
		if def.Name != "rollouts.sluice.dev" {
			continue
		}
		status := def.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
		delete(status.Properties, without)
		if have := w.definition(); have != nil {
			def.ResourceVersion = have.ResourceVersion
			must(w.t, w.client.Update(w.t.Context(), def))
		} else {
			must(w.t, w.client.Create(w.t.Context(), def))
		}
	}
	elsewhere := kube.Namespace(w.t, w.config)
	kube.Eventually(w.t, patience, func() error { // the server takes a moment to go by it
		ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "probe"}, Spec: v1alpha1.RolloutSpec{Host: "probe", Subset: "v1"}}
		if err := client.IgnoreAlreadyExists(w.client.Create(w.t.Context(), ro)); err != nil {
			return err
		}
		text := `{"status":{"epoch":0,"seq":0,"attempt":0,"phase":"Idle","since":"2026-01-02T03:04:05.000000Z","step":0,"weight":0,"stable":{"name":""},"progress":{"base":1}}}`
		if err := w.client.Status().Patch(w.t.Context(), ro, client.RawPatch(types.MergePatchType, []byte(text))); err != nil {
			return err
		}
		got := &v1alpha1.Rollout{}
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(ro), got); err != nil {
			return err
		}
		if kept := got.Status.Progress != nil; kept == (without == "progress") {
			return fmt.Errorf("progress is kept: %v", kept)
		}
		return w.client.Delete(w.t.Context(), got)
	})
}

// A server whose definition is older than this build drops what it does not know. Nothing is raised from what it kept, a
// rollback is stored all the same, and with the right definition the attempt goes on.
func TestFault_definitionThatIsOlder(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, kube.Alone(t))
	must(t, apiextensionsv1.AddToScheme(w.client.Scheme()))
	w.defines("progress")
	pass := w.driven(&cached{Client: w.client}, nil)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass(), pass())
	ro := w.get()
	ready := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionReady)
	if ro.Status.Phase != v1alpha1.PhasePreparing || ro.Status.Weight != 0 || ready == nil || ready.Reason != v1alpha1.ReasonBlocked {
		t.Fatalf("%s at %d%%, ready %+v; want it to wait, and to say why", ro.Status.Phase, ro.Status.Weight, ready)
	}
	w.defines("")
	must(t, w.until15(pass))
	w.defines("progress")
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass())
	if st := w.get().Status; st.Weight != 0 || st.Outcome != v1alpha1.OutcomeRolledBack || len(st.Rejected) != 1 {
		t.Errorf("%s at %d%%, rejected %+v", st.Phase, st.Weight, st.Rejected)
	}
}

// until15 makes passes until the canary has 15 %.
func (w *world) until15(pass func() error) error {
	for range 20 {
		if err := pass(); err != nil {
			return err
		}
		if w.get().Status.Weight == 15 {
			return nil
		}
	}
	return fmt.Errorf("%s at %d%%", w.get().Status.Phase, w.get().Status.Weight)
}

// Without the definition nothing is done and nothing breaks; its Rollouts go in order, and those that are made when it is there again are new.
func TestFault_definitionThatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, kube.Alone(t))
	must(t, apiextensionsv1.AddToScheme(w.client.Scheme()))
	must(t, w.client.Delete(t.Context(), w.definition()))
	w.undefined()
	w.run()
	w.defines("")
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	w.push("v2", "digest-v2")
	was := w.untilPhase(v1alpha1.PhaseRolledBack)
	w.fleet.set(func(f *fleet) { f.nack = "" })

	must(t, w.client.Delete(t.Context(), w.definition()))
	w.undefined()
	w.defines("")
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	is := w.until("at work on it", func(ro *v1alpha1.Rollout) bool { return ro.Status.Attempt == 1 && raised(ro) })
	if is.UID == was.UID || len(is.Status.Rejected) != 0 {
		t.Errorf("rejected %+v: the object is another one", is.Status.Rejected)
	}
}

// undefined waits until the server has no Rollouts.
func (w *world) undefined() {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		if def := w.definition(); def != nil {
			text, _ := json.Marshal(def.Status.Conditions)
			return fmt.Errorf("it is still there: %s", text)
		}
		if err := w.client.List(w.t.Context(), &v1alpha1.RolloutList{}, client.InNamespace(w.ns)); err == nil {
			return errors.New("Rollouts are still served")
		}
		return nil
	})
}
