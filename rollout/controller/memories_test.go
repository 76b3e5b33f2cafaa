package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestMemories_areOfOneObject: a Rollout that is made again under its name, before anybody saw that the old one was gone, has a first
// attempt of its own: neither the verdict on the old one's nor what was written of it counts.
func TestMemories_areOfOneObject(t *testing.T) {
	var m memories
	key := types.NamespacedName{Namespace: "shop", Name: "reviews"}
	old, gone := m.of(key, "first")
	old.judged.known, old.judged.attempt, old.wrote = true, 1, "7"
	if again, _ := m.of(key, "first"); again != old || gone != "" {
		t.Errorf("the same object has another memory, or %q is gone", gone)
	}
	next, gone := m.of(key, "second")
	if next == old || next.judged.known || next.wrote != "" || gone != "first" {
		t.Errorf("made again it remembers %+v; gone is %q", next.judged, gone)
	}
}
