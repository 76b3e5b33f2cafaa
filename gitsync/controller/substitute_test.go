package controller

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

func (w *world) create(objects ...client.Object) {
	w.Helper()
	for _, o := range objects {
		o.SetNamespace(w.ns)
		if err := w.client.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
	}
}

// look asks for a look by annotation.
func (w *world) look(value string) {
	w.Helper()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"sluice.dev/reconcile":"`+value+`"}}}`))
	if err := w.client.Patch(w.Context(), src, patch); err != nil {
		w.Fatal(err)
	}
}

func TestSource_substitutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const canary = "canary-of-a-secret"
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "vars"}, Data: map[string]string{"REGION": "north", "TIER": "gold", "not-a-name": "x"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vars"}, StringData: map[string]string{"TOKEN": canary, "TIER": "silver"}})
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "${REGION}/${TIER}/${OWN}")})
	w.source(func(s *v1alpha1.SourceSpec) {
		s.Substitute = &v1alpha1.SourceSubstitute{Vars: map[string]string{"OWN": "mine", "REGION": "south"}, From: []v1alpha1.SubstituteFrom{
			{Kind: "ConfigMap", Name: "vars"}, {Kind: "Secret", Name: "vars"}, {Kind: "Secret", Name: "none", Optional: true}}}
	})
	w.ready(v1alpha1.ReasonApplied, first)
	if got := w.data("a")["k"]; got != "south/silver/mine" {
		t.Errorf("k = %q, want vars over the Secret over the ConfigMap", got)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vars"}}
	if err := w.client.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.look("1")
	s := w.ready("BuildFailed", first)
	if len(s.Problems) != 1 || s.Problems[0].Code != "S325" || s.Problems[0].Field != "spec.substitute.from[0]" || w.data("a")["k"] != "south/silver/mine" {
		t.Errorf("without the ConfigMap: %+v, want S325 and nothing changed", s.Problems)
	}
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "vars"}})
	second := w.push("second", map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: \"1\"}\nimmutable: ${TOKEN}\n", "app/b.yaml": configMap("b", "${NOBODY}")})
	w.hint(second)
	s = w.ready(v1alpha1.ReasonContentInvalid, second)
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), canary) || len(s.Problems) != 2 {
		t.Errorf("problems = %+v, want S504 and S325 without the value", s.Problems)
	}
	events := &corev1.EventList{}
	if err := w.client.List(t.Context(), events, client.InNamespace(w.ns)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if strings.Contains(e.Message, canary) {
			t.Errorf("an event shows the value: %s", e.Message)
		}
	}
	third := w.push("third", map[string]string{"app/a.yaml": configMap("a", "${TIER}"), "app/b.yaml": ""})
	w.hint(third)
	w.ready(v1alpha1.ReasonApplied, third)
	sec := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vars"}}
	if err := w.client.Patch(t.Context(), sec, client.RawPatch(types.MergePatchType, []byte(`{"stringData":{"TIER":"bronze"}}`))); err != nil {
		t.Fatal(err)
	}
	w.look("2")
	kube.Eventually(t, soon, func() error {
		if got := w.data("a")["k"]; got != "bronze" {
			return &valueError{got}
		}
		return nil
	})
}

type valueError struct{ got string }

func (e *valueError) Error() string { return "k is still " + e.got }
