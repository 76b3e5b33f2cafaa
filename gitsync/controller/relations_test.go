package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// another creates a second Source of the same repository.
func (w *world) another(name, path string, depends ...string) {
	w.Helper()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Spec: v1alpha1.SourceSpec{
		URL: w.git.URL("app"), Ref: v1alpha1.SourceRef{Branch: "main"}, Path: path, Interval: v1alpha1.DurationOf(time.Hour)}}
	for _, d := range depends {
		src.Spec.DependsOn = append(src.Spec.DependsOn, v1alpha1.LocalRef{Name: d})
	}
	if err := w.client.Create(w.Context(), src); err != nil {
		w.Fatal(err)
	}
}

func (w *world) of(name string) *v1alpha1.Source {
	w.Helper()
	src := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, src); err != nil {
		w.Fatal(err)
	}
	return src
}

// reason waits for a reason of Ready of any Source.
func (w *world) reason(name, reason string) *v1alpha1.Source {
	w.Helper()
	var src *v1alpha1.Source
	kube.Eventually(w, soon, func() error {
		src = w.of(name)
		if c := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady); c == nil || c.Reason != reason {
			return fmt.Errorf("%s: %+v, want %s", name, src.Status.Conditions, reason)
		}
		return nil
	})
	return src
}

// change edits the spec of a Source.
func (w *world) change(name string, edit func(*v1alpha1.SourceSpec)) {
	w.Helper()
	src := w.of(name)
	base := src.DeepCopy()
	edit(&src.Spec)
	if err := w.client.Patch(w.Context(), src, client.MergeFrom(base)); err != nil {
		w.Fatal(err)
	}
}

func TestDependsOn_waitsAndIsWokenByTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "late/b.yaml": configMap("b", "one")})
	w.another("late", "late", "shop")
	waiting := w.reason("late", v1alpha1.ReasonDependencyNotReady)
	if c := v1alpha1.Condition(waiting.Status.Conditions, v1alpha1.ConditionReady); c.Status != metav1.ConditionUnknown || !strings.Contains(c.Message, "no Source of that name") || w.data("b") != nil {
		t.Errorf("%s %s, b = %v; want it to wait with nothing applied", c.Status, c.Message, w.data("b"))
	}
	w.source(nil)
	w.reason("late", v1alpha1.ReasonApplied)
	if w.data("a") == nil || w.data("b") == nil {
		t.Errorf("a = %v, b = %v; want both", w.data("a"), w.data("b"))
	}
}

func TestDependsOn_cycleIsNamedOnEachMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("first", map[string]string{"a/a.yaml": configMap("a", "one"), "b/b.yaml": configMap("b", "one")})
	w.another("x", "a", "y")
	w.another("y", "b", "x")
	for _, name := range []string{"x", "y"} {
		src := w.reason(name, v1alpha1.ReasonDependencyCycle)
		if len(src.Status.Problems) != 1 || src.Status.Problems[0].Code != "S213" || v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionStalled) == nil {
			t.Errorf("%s: %+v, want S213 and Stalled", name, src.Status)
		}
	}
	w.change("x", func(s *v1alpha1.SourceSpec) { s.DependsOn = nil })
	w.reason("x", v1alpha1.ReasonApplied)
	w.reason("y", v1alpha1.ReasonApplied)
}

func TestPrune_aboveTheLimitWaitsForItsCommitToBeAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files, gone := map[string]string{"app/a.yaml": configMap("a", "one")}, map[string]string{}
	for i := range 5 {
		files[fmt.Sprintf("app/b%d.yaml", i)] = configMap(fmt.Sprint("b", i), "one")
		gone[fmt.Sprintf("app/b%d.yaml", i)] = ""
	}
	first := w.push("first", files)
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", gone)
	w.hint(second)
	s := w.ready(v1alpha1.ReasonApplied, second)
	if s.PruneHeld == nil || s.PruneHeld.Reason != v1alpha1.ReasonLimitExceeded || s.PruneHeld.Count != 5 || w.data("b0") == nil {
		t.Fatalf("status %+v, want five objects held above the limit of three", s)
	}
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.Accept = &v1alpha1.SourceAccept{Prune: first} })
	kube.Eventually(t, soon, func() error {
		if src := w.of("shop"); src.Status.ObservedGeneration != src.Generation {
			return fmt.Errorf("not handled yet")
		}
		return nil
	})
	if w.data("b0") == nil {
		t.Error("the acceptance of another commit has pruned")
	}
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.Accept = &v1alpha1.SourceAccept{Prune: second} })
	kube.Eventually(t, soon, func() error {
		if s := w.status(); len(s.Inventory) != 1 || s.PruneHeld != nil {
			return fmt.Errorf("inventory %v, held %v", s.Inventory, s.PruneHeld)
		}
		return nil
	})
	if w.data("b0") != nil || w.data("a") == nil {
		t.Errorf("b0 = %v, a = %v; want only a", w.data("b0"), w.data("a"))
	}
}

func TestPrune_orphansOfALostInventoryAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	src := w.of("shop")
	if err := w.client.Delete(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, soon, func() error {
		err := w.client.Get(t.Context(), client.ObjectKeyFromObject(src), &v1alpha1.Source{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there: %w", err)
	})
	second := w.push("second", map[string]string{"app/b.yaml": ""})
	w.source(func(s *v1alpha1.SourceSpec) { s.Interval = v1alpha1.DurationOf(10 * time.Second) })
	w.ready(v1alpha1.ReasonApplied, second)
	var held *v1alpha1.PruneHeld
	kube.Eventually(t, soon, func() error {
		if held = w.status().PruneHeld; held == nil {
			return fmt.Errorf("nothing held")
		}
		return nil
	})
	if held.Reason != v1alpha1.ReasonOrphans || !slices.Equal(held.Names, []string{"ConfigMap/" + w.ns + "/b"}) || w.data("b") == nil {
		t.Errorf("held %+v, b = %v; want b named and left alone", held, w.data("b"))
	}
	if inventory := w.status().Inventory; len(inventory) != 1 || !strings.HasSuffix(inventory[0], "Adopted") {
		t.Errorf("inventory %v, want a taken over as Adopted", inventory)
	}
}

func TestDeletion_orphanLeavesAndDeleteTakesAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := strings.Replace(configMap("kept", "one"), "metadata:\n", "metadata:\n  annotations: {sluice.dev/prune: disabled}\n", 1)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/kept.yaml": kept, "app/r.yaml": rolloutV1, "app/dr.yaml": routing})
	w.source(func(s *v1alpha1.SourceSpec) { s.DeletionPolicy = v1alpha1.DeletionDelete })
	w.ready(v1alpha1.ReasonApplied, first)
	if f := w.of("shop").Finalizers; !slices.Contains(f, v1alpha1.SourceFinalizer) {
		t.Errorf("finalizers %v, want ours with deletionPolicy Delete", f)
	}
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.DeletionPolicy = v1alpha1.DeletionOrphan })
	kube.Eventually(t, soon, func() error {
		if f := w.of("shop").Finalizers; len(f) > 0 {
			return fmt.Errorf("finalizers %v with deletionPolicy Orphan", f)
		}
		return nil
	})
	w.change("shop", func(s *v1alpha1.SourceSpec) { s.DeletionPolicy = v1alpha1.DeletionDelete })
	kube.Eventually(t, soon, func() error {
		if f := w.of("shop").Finalizers; len(f) == 0 {
			return fmt.Errorf("no finalizer with deletionPolicy Delete")
		}
		return nil
	})
	w.git.Close()
	src := w.of("shop")
	if err := w.client.Delete(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, soon, func() error {
		err := w.client.Get(t.Context(), client.ObjectKeyFromObject(src), &v1alpha1.Source{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		return nil
	})
	if w.data("a") != nil || w.data("kept") == nil {
		t.Errorf("a = %v, kept = %v; want a gone and what Git said to keep left", w.data("a"), w.data("kept"))
	}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, &v1alpha1.Rollout{}); !apierrors.IsNotFound(err) {
		t.Errorf("Rollout: %v, want it gone", err)
	}
}
