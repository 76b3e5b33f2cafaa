package controller

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// attempted is the stored state of an attempt.
func attempted(uid types.UID, attempt, seq int64, weight int32, outcome v1alpha1.Outcome) *v1alpha1.Rollout {
	ro := stored(uid, seq, weight)
	ro.Status.Attempt, ro.Status.Outcome = attempt, outcome
	return ro
}

// brakes is a controller without loop, and what proxies would be given of the Rollout shop/reviews.
func brakes() (c *Controller, rendered func() (weight int, braked bool)) {
	c = crowd(0)
	c.config.Log = slog.New(slog.DiscardHandler)
	return c, func() (int, bool) {
		s := c.world.snapshot().Splits
		if len(s) == 0 {
			return -1, false
		}
		return s[0].Weight, s[0].Braked
	}
}

func TestBrake_holdsUntilTheEndOfTheAttemptIsStored(t *testing.T) {
	const open, failed = v1alpha1.OutcomeOpen, v1alpha1.OutcomeRolledBack
	set := func(ro *v1alpha1.Rollout) func(*Controller) {
		return func(c *Controller) { c.world.setRollout(ro) }
	}
	brake := func(uid string, attempt int64) func(*Controller) {
		return func(c *Controller) { c.Brake("shop/reviews", uid, attempt) }
	}
	release := func(uid string) func(*Controller) {
		return func(c *Controller) { c.Release("shop/reviews", uid) }
	}
	type step struct {
		name   string
		do     func(*Controller)
		weight int
		braked bool
	}
	for name, steps := range map[string][]step{
		"stored in the end": {
			{"a weight", set(attempted("a", 3, 7, 15, open)), 15, false},
			{"brake", brake("a", 3), 0, true},
			{"again", brake("a", 3), 0, true},
			{"another leader steps on", set(attempted("a", 3, 9, 50, open)), 0, true},
			{"a stale read", set(attempted("a", 3, 8, 15, open)), 0, true},
			{"released before this process has seen why", release("a"), 0, true},
			{"the end is stored", set(attempted("a", 3, 10, 0, failed)), 0, false},
			{"released", release("a"), 0, false},
			{"a retry", set(attempted("a", 4, 11, 15, open)), 15, false},
		},
		"the end was stored, and the next attempt began": {
			{"a weight", set(attempted("a", 3, 7, 15, open)), 15, false},
			{"brake", brake("a", 3), 0, true},
			{"the next attempt", set(attempted("a", 4, 12, 5, open)), 5, false},
		},
		"before the attempt is seen here": {
			{"the attempt before", set(attempted("a", 2, 5, 0, failed)), 0, false},
			{"brake", brake("a", 3), 0, false},
			{"the attempt", set(attempted("a", 3, 7, 15, open)), 0, true},
			{"an older one is braked, too", brake("a", 2), 0, true},
		},
		"of another object": {
			{"a weight", set(attempted("a", 3, 7, 15, open)), 15, false},
			{"brake of the one before", brake("z", 3), 15, false},
			{"brake", brake("a", 3), 0, true},
			{"another one's brake is released", release("z"), 0, true},
			{"deleted", func(c *Controller) {
				c.world.dropRollout(types.NamespacedName{Namespace: "shop", Name: "reviews"})
			}, -1, false},
			{"seen once more", set(attempted("a", 3, 7, 15, open)), 0, true},
			{"made anew", set(attempted("b", 3, 7, 15, open)), 15, false},
			{"released", release("a"), 15, false},
			{"the old one once more", set(attempted("a", 3, 8, 15, open)), 15, false},
		},
		"nothing is known": {
			{"brake", brake("a", 3), -1, false},
			{"released", release("a"), -1, false},
			{"the attempt", set(attempted("a", 3, 7, 15, open)), 15, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, rendered := brakes()
			for _, s := range steps {
				s.do(c)
				if weight, braked := rendered(); weight != s.weight || braked != s.braked {
					t.Fatalf("%s: weight %d, braked %t, want %d, %t", s.name, weight, braked, s.weight, s.braked)
				}
			}
		})
	}
}

// TestBrake_goesByTheLaneOfWeights holds that a brake touches one table, at once.
func TestBrake_goesByTheLaneOfWeights(t *testing.T) {
	c, on := compiling(3)
	ctx := t.Context()
	ro := attempted("s0", 1, 2, 60, v1alpha1.OutcomeOpen)
	ro.Name, ro.Spec.Host = "s0", "s0"
	c.note(c.world.setRollout(ro))
	c.note(atOnce)
	c.work(ctx, on.classes)
	before := on.last()
	c.Brake("shop/s0", "s0", 1)
	if !c.pace.weights.first.Equal(c.config.Now()) {
		t.Error("the brake waits for something else")
	}
	c.work(ctx, on.classes)
	after := on.last()
	if got, want := published(t, after), "outbound|80|v1|s0.shop.svc.cluster.local=100 "; !strings.HasPrefix(got, want) || strings.Contains(got, "v2|s0.") {
		t.Errorf("weights %s, want %s", got, want)
	}
	if !sameSlice(before.Clusters, after.Clusters) || !sameSlice(before.Endpoints, after.Endpoints) || !sameSlice(before.Listeners, after.Listeners) {
		t.Error("a brake made more than its table anew")
	}
	if use := after.Splits[0]; !use.Braked || use.Seq != 2 || use.Weight != 0 {
		t.Errorf("the split is published as %+v", *use)
	}
	c.Brake("shop/s0", "s0", 1)
	c.work(ctx, on.classes)
	if len(on.published) != 2 {
		t.Errorf("published %d times, want 2: the same brake changes nothing", len(on.published))
	}
	ended := attempted("s0", 1, 3, 0, v1alpha1.OutcomeRolledBack)
	ended.Name, ended.Spec.Host = "s0", "s0"
	c.note(c.world.setRollout(ended))
	c.work(ctx, on.classes)
	last := on.last()
	if use := last.Splits[0]; use.Braked || use.Seq != 3 || !slices.EqualFunc(last.Routes, after.Routes, func(a, b envoy.Resource) bool { return a.Version == b.Version }) {
		t.Errorf("the stored end is published as %+v; tables must be the same", *use)
	}
}

func TestBraked_sendsTheCanaryNothing(t *testing.T) {
	s := ir.Split{Key: "shop/reviews", Canary: "v2", Weight: 15, Seq: 7, Extra: ir.Extra{
		Match: []ir.ClientMatch{{Headers: []ir.HeaderMatch{{Name: "who"}}}}, Copies: &ir.Copies{Percent: 10}, Preview: &ir.Preview{Host: "next"}}}
	want := ir.Split{Key: "shop/reviews", Canary: "v2", Seq: 7, Braked: true, Extra: ir.Extra{Preview: s.Preview}}
	if got := *braked(s); !reflect.DeepEqual(got, want) || s.Weight != 15 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
