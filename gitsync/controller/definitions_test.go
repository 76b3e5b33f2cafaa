package controller

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/test/kube"
)

// group gives a group of custom kinds that no other test has.
func (w *world) group() string { return w.ns[len(w.ns)-5:] + ".example.com" }

// rule lets the account of a Source define kinds and apply those of its group. They are gone with the test.
func (w *world) rule() {
	w.Helper()
	meta := metav1.ObjectMeta{Name: w.ns}
	w.create(&rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: []string{"*"}},
		{APIGroups: []string{w.group()}, Resources: []string{"*"}, Verbs: []string{"*"}}}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: w.ns},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.ns, Name: "applier"}}})
}

func custom() decode.Policy {
	return decode.Policy{Kinds: []string{"ConfigMap", "*.sluice.dev", "*", "CustomResourceDefinition.apiextensions.k8s.io"}, CrossNamespace: true}
}

func (w *world) thing(namespace, name string) error {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: w.group(), Version: "v1", Kind: "Thing"})
	return w.client.Get(w.Context(), types.NamespacedName{Namespace: namespace, Name: name}, o)
}

func thingYAML(group, name, spec string) string {
	return "apiVersion: " + group + "/v1\nkind: Thing\nmetadata: {name: " + name + "}\nspec:\n  " + spec + "\n"
}

// A definition and its objects come with one commit; what does not fit is found before the server has the definition, and an
// object of the cluster is one though its file, as all of them, names no namespace.
func TestDefinitions_comeWithTheirObjects(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"Namespaced", "Cluster"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(t, special{policy: custom()})
			w.rule()
			commit := w.push("first", map[string]string{"app/crd.yaml": crdYAML(w.group(), scope), "app/good.yaml": thingYAML(w.group(), "good", "size: 1"),
				"app/bad.yaml": thingYAML(w.group(), "bad", "sise: 1")})
			w.source(func(s *v1alpha1.SourceSpec) { s.Namespaces = []string{w.ns} })
			s := w.ready(v1alpha1.ReasonContentInvalid, commit)
			if len(s.Problems) != 1 || s.Problems[0].Code != "S502" || s.Problems[0].Path != "app/bad.yaml" || s.Problems[0].Line != 5 || s.Problems[0].Field != "spec.sise" {
				t.Errorf("problems %+v, want the misspelt field alone", s.Problems)
			}
			namespace := w.ns
			if scope == "Cluster" {
				namespace = ""
			}
			if err := w.thing(namespace, "good"); err != nil || len(s.Inventory) != 2 {
				t.Errorf("good: %v, inventory %v; want it and the definition", err, s.Inventory)
			}
			second := w.push("second", map[string]string{"app/bad.yaml": thingYAML(w.group(), "bad", "size: 2")})
			w.hint(second)
			w.ready(v1alpha1.ReasonApplied, second)
			if err := w.thing(namespace, "bad"); err != nil {
				t.Errorf("corrected: %v", err)
			}
		})
	}
}

// What only the cluster's definition refuses is applied once that has changed, without a commit.
func TestDefinitions_ofTheClusterAreReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, special{policy: custom()})
	w.rule()
	definition := definitionOf()
	if err := yaml.Unmarshal([]byte(crdYAML(w.group(), "Namespaced")), &definition.Object); err != nil {
		t.Fatal(err)
	}
	w.create(definition)
	kube.Eventually(t, soon, func() error {
		if err := w.thing(w.ns, "none"); client.IgnoreNotFound(err) != nil || strings.Contains(fmt.Sprint(err), "could not find") {
			return err
		}
		return nil
	})
	commit := w.push("first", map[string]string{"app/a.yaml": thingYAML(w.group(), "a", "weight: 1")})
	w.source(nil)
	s := w.ready(v1alpha1.ReasonContentInvalid, commit)
	if len(s.Problems) != 1 || s.Problems[0].Code != "S502" || s.Problems[0].Line != 5 {
		t.Errorf("problems %+v, want the field that the definition lacks, with its line", s.Problems)
	}
	patch := `[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/weight","value":{"type":"integer"}}]`
	if err := w.client.Patch(t.Context(), definition, client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	w.look("again")
	kube.Eventually(t, soon, func() error { return w.thing(w.ns, "a") })
	w.ready(v1alpha1.ReasonApplied, commit)
}

func TestSource_oneBadValueAmongMany(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, special{policy: custom()})
	files := map[string]string{"app/bad.yaml": "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: bad}\nspec:\n  host: a\n  subset: v1\n  steps:\n  - bake: {min: 1e99h}\n"}
	for i := range 99 {
		name := fmt.Sprintf("good-%02d", i)
		files["app/"+name+".yaml"] = configMap(name, "one")
	}
	commit := w.push("first", files)
	w.source(nil)
	s := w.ready(v1alpha1.ReasonContentInvalid, commit)
	if len(s.Problems) != 1 || s.Problems[0].Path != "app/bad.yaml" || len(s.Held) != 1 || len(s.Inventory) != 99 {
		t.Errorf("%d problems (%+v), %d units held, %d objects; want one, one, 99", len(s.Problems), s.Problems, len(s.Held), len(s.Inventory))
	}
}
