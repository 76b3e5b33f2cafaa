package controller

import (
	"runtime"
	"testing"
	"weak"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestKeep_holdsNothingElseOfThePass: what is remembered of ten thousand objects is not what their last passes saw.
func TestKeep_holdsNothingElseOfThePass(t *testing.T) {
	j := &judged{}
	seen := func() weak.Pointer[v1alpha1.Rollout] {
		g := &given{object: &v1alpha1.Rollout{}}
		j.keep(&g.templates)
		return weak.Make(g.object)
	}()
	runtime.GC()
	if seen.Value() != nil {
		t.Error("the object of the pass is still held")
	}
	runtime.KeepAlive(j)
}
