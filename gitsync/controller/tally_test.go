package controller

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// followedUp is an Applier after whose work something may happen.
type followedUp struct {
	gitsync.Applier
	world *world
}

func (f followedUp) Apply(ctx context.Context, set gitsync.Set) (gitsync.Outcome, error) {
	out, err := f.Applier.Apply(ctx, set)
	if len(out.Changed) > 0 {
		if then := f.world.after.Swap(nil); then != nil {
			(*then)()
		}
	}
	return out, err
}

// What a run has changed is in the history although the write that would have told of it met a conflict: the next run finds nothing
// left to change.
func TestSource_historyHasWhatAConflictKeptBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/b.yaml": ""})
	touch := func() {
		src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"1"}}}`))
		if err := w.client.Patch(context.WithoutCancel(w.Context()), src, patch); err != nil {
			w.Error(err)
		}
	}
	w.after.Store(&touch)
	w.hint(second)
	s := w.ready(v1alpha1.ReasonApplied, second)
	if w.after.Load() != nil {
		t.Fatal("nothing was in the way of the write")
	}
	if len(s.History) != 2 || !strings.HasSuffix(s.History[0].Revision, second) || s.History[0].Changed != 1 || s.History[0].Pruned != 1 {
		t.Errorf("history %+v, want the second commit in front, with one change and one deletion", s.History)
	}
}
