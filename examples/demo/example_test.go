package example_test

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	example "github.com/sluice-dev/sluice/examples/demo"
)

func render(t *testing.T) map[string]string {
	t.Helper()
	files, err := example.Render(example.Values{Gateway: 18080, Subset: "v1", Receiver: "http://127.0.0.1:9000/notes",
		Versions: []example.Version{{Name: "v1", Ports: []int{9101, 9102, 9103}}, {Name: "v2", Ports: []int{9201, 9202, 9203}}}})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRender_givesSixObjectsOfTheNamespace(t *testing.T) {
	t.Parallel()
	var kinds []string
	for name, text := range render(t) {
		var object struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := yaml.UnmarshalStrict([]byte(text), &struct{}{}); err == nil {
			t.Errorf("%s is empty", name)
		}
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if object.Metadata.Namespace != example.Namespace || object.Metadata.Name == "" {
			t.Errorf("%s: got %+v, want a name in namespace %s", name, object.Metadata, example.Namespace)
		}
		kinds = append(kinds, object.Kind)
	}
	slices.Sort(kinds)
	want := []string{"DestinationRule", "Gateway", "Notifier", "Rollout", "ServiceEntry", "VirtualService"}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds: got %v, want %v", kinds, want)
	}
}

func TestRender_rolloutAndNotifierDecodeStrictly(t *testing.T) {
	t.Parallel()
	files := render(t)
	var ro v1alpha1.Rollout
	if err := yaml.UnmarshalStrict([]byte(files["deploy/rollout.yaml"]), &ro); err != nil {
		t.Fatal(err)
	}
	if ro.Name != example.Rollout || ro.Spec.Subset != "v1" || len(ro.Spec.Steps) != 3 || ro.Spec.Steps[0].Bake.Min.Seconds() != 8 {
		t.Errorf("rollout: got %+v", ro.Spec)
	}
	var n v1alpha1.Notifier
	if err := yaml.UnmarshalStrict([]byte(files["deploy/notifier.yaml"]), &n); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, k := range n.Spec.Kinds {
		kinds = append(kinds, strings.ToLower(string(k)))
	}
	if n.Name != example.Notifier || n.Spec.Webhook.SigningSecretRef.Name != example.Secret || !slices.Equal(kinds, example.NotedKinds()) {
		t.Errorf("notifier: got %s, %+v with kinds %v, want %s, secret %s and kinds %v",
			n.Name, n.Spec, kinds, example.Notifier, example.Secret, example.NotedKinds())
	}
}

func TestRender_onlyTheRolloutChangesWithTheSubset(t *testing.T) {
	t.Parallel()
	v := example.Values{Gateway: 1, Subset: "v1", Receiver: "http://127.0.0.1:1/"}
	before, err := example.Render(v)
	if err != nil {
		t.Fatal(err)
	}
	v.Subset = "v2"
	after, err := example.Render(v)
	if err != nil {
		t.Fatal(err)
	}
	for name := range after {
		if changed := before[name] != after[name]; changed != (name == "deploy/rollout.yaml") {
			t.Errorf("%s changed: %t", name, changed)
		}
	}
}
