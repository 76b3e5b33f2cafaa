package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

func TestMovingUnits_nameTheRolloutsWhoseObjectsChange(t *testing.T) {
	t.Parallel()
	id := func(kind, name string) gitsync.ID { return gitsync.ID{Kind: kind, Namespace: "shop", Name: name} }
	reviews, ratings := id("Rollout", "reviews"), id("Rollout", "ratings")
	item := func(unit int, of gitsync.ID, hash string) gitsync.Item {
		return gitsync.Item{Unit: unit, Hash: hash, Object: gitsync.Object{ID: of}}
	}
	for _, row := range []struct {
		name  string
		items []gitsync.Item
		want  []v1alpha1.HeldUnit
	}{
		{"nothing", []gitsync.Item{item(0, reviews, "a"), item(1, ratings, "b")}, []v1alpha1.HeldUnit{{}}},
		{"another content", []gitsync.Item{item(0, reviews, "other"), item(1, ratings, "b")}, []v1alpha1.HeldUnit{{Rollouts: []string{reviews.Ref()}}}},
		{"a new object of a unit", []gitsync.Item{item(0, reviews, "a"), item(1, ratings, "b"), item(1, id("ConfigMap", "c"), "c")},
			[]v1alpha1.HeldUnit{{Rollouts: []string{ratings.Ref()}}}},
		{"an object of no Rollout", []gitsync.Item{item(2, id("ConfigMap", "c"), "c")}, []v1alpha1.HeldUnit{{}}},
		{"what was applied by another process", []gitsync.Item{item(1, id("Service", "unknown"), "x")}, []v1alpha1.HeldUnit{{Rollouts: []string{ratings.Ref()}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := &pass{memory: &memory{applied: map[gitsync.ID]gitsync.Item{reviews: {Hash: "a"}, ratings: {Hash: "b"}}}}
			r := &result{
				live: map[gitsync.ID]gitsync.Live{reviews: {}, ratings: {}, id("Service", "unknown"): {}},
				set:  gitsync.Set{Units: []gitsync.Unit{{Rollouts: []gitsync.ID{reviews}}, {Rollouts: []gitsync.ID{ratings}}, {}}, Items: row.items},
			}
			if diff := cmp.Diff(row.want, p.movingUnits(r, 20)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
