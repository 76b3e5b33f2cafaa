package crd_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

type apiDefinition = apiextensionsv1.CustomResourceDefinition

// older is a Rollout of another group, whose definition a test may change.
func older(ns, name string, steps []any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "older.sluice.dev/v1alpha1", "kind": v1alpha1.KindRollout,
		"metadata": map[string]any{"namespace": ns, "name": name},
		"spec":     map[string]any{"host": "reviews", "subset": "v2", "steps": steps},
	}}
}

func patchOf(t *testing.T, st *v1alpha1.RolloutStatus) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"status": st})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// waitRefused returns when the server runs the rule that refuses obj.
func waitRefused(t *testing.T, c client.Client, obj *unstructured.Unstructured) {
	t.Helper()
	kube.Eventually(t, 10*time.Second, func() error {
		err := c.Create(t.Context(), obj.DeepCopy(), client.DryRunAll)
		if apierrors.IsInvalid(err) {
			return nil
		}
		if err == nil {
			err = errors.New("still accepted")
		}
		return err
	})
}

func TestGuards_letAStatusThroughThatANewerSpecRuleWouldRefuse(t *testing.T) {
	c, ns := clientOf(t, kube.Alone(t)) // its kind has the name of ours, which kubectl's short names would meet
	own, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	def := own[slices.IndexFunc(own, func(d *apiDefinition) bool { return d.Spec.Names.Kind == v1alpha1.KindRollout })].DeepCopy()
	def.Spec.Group = "older.sluice.dev"
	def.Name = def.Spec.Names.Plural + "." + def.Spec.Group
	spec := def.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	steps := spec.Properties["steps"]
	rules := steps.XValidations
	steps.XValidations = nil
	spec.Properties["steps"] = steps
	install(t, c, def)
	old := older(ns, "old", []any{map[string]any{"weight": int64(50)}, map[string]any{"weight": int64(15)}})
	if err := c.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	write := func(st *v1alpha1.RolloutStatus) error {
		data := patchOf(t, st)
		return c.Status().Patch(t.Context(), old.DeepCopy(), client.RawPatch(types.MergePatchType, data))
	}
	if err := write(baking()); err != nil {
		t.Fatal(err)
	}
	steps.XValidations = rules
	spec.Properties["steps"] = steps
	install(t, c, def)
	newer := older(ns, "new", []any{map[string]any{"weight": int64(50)}, map[string]any{"weight": int64(15)}})
	waitRefused(t, c, newer)
	if err := write(baking(failed)); err != nil {
		t.Errorf("the rollback write: %v", err)
	}
	if err := write(baking(failed, weight(1, 15), seq(10))); err == nil || !strings.Contains(err.Error(), "G5 ") {
		t.Errorf("a raise after it: %v, want G5", err)
	}
}
