package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// drawUses draws splits in tables t0 to t3 and listeners l0 to l1; those equal to a use before are that use now and then.
func drawUses(t *rapid.T, before []*ir.SplitUse) []*ir.SplitUse {
	var out []*ir.SplitUse
	for i := range 4 {
		key := fmt.Sprintf("s%d", i)
		old := useOf(before, key)
		if old != nil && rapid.Bool().Draw(t, "kept") {
			out = append(out, old)
			continue
		}
		next := &ir.SplitUse{Key: key}
		if old != nil {
			*next = *old
		}
		if old == nil || rapid.IntRange(0, 3).Draw(t, "moved") == 0 {
			next.Tables = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"t0", "t1", "t2", "t3"}), 0, 2, rapid.ID[string]).Draw(t, "tables")
			next.Listeners = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"l0", "l1"}), 0, 1, rapid.ID[string]).Draw(t, "listeners")
			slices.Sort(next.Tables)
			next.Clusters = []string{key + "-stable", key + "-canary"}
		}
		next.Weight, next.Seq = rapid.IntRange(0, 2).Draw(t, "weight"), next.Seq+1
		if rapid.IntRange(0, 9).Draw(t, "there") > 0 {
			out = append(out, next)
		}
	}
	return out
}

// drawResources draws resources of the names given, mostly all; the same list as before now and then.
func drawResources(t *rapid.T, k kind, before []envoy.Resource, names ...string) []envoy.Resource {
	if rapid.Bool().Draw(t, "same list") {
		return before
	}
	var out []envoy.Resource
	for _, name := range names {
		if rapid.IntRange(0, 9).Draw(t, "there") > 0 {
			out = append(out, res(k, name, rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "version")))
		}
	}
	return out
}

// What is made of the changes since the set before is what would be made from nothing.
func TestPublish_followsAsFromNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(time.Now, Timing{}.withDefaults())
		one := l.join(identity{id: "n"}, gateway)
		bytes := newRegistry()
		var prev *set
		var r envoy.Resources
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			r.Splits = drawUses(t, r.Splits)
			r.Routes = drawResources(t, routes, r.Routes, "t0", "t1", "t2", "t3")
			r.Listeners = drawResources(t, listeners, r.Listeners, "l0", "l1")
			r.Clusters = drawResources(t, clusters, r.Clusters, "a", "b")
			next, err := newSet(prev, r)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := newSet(nil, r)
			if err != nil {
				t.Fatal(err)
			}
			sameSets(t, next, whole)
			bytes.adoptBytes(next, prev)
			bytes.count(next, prev, 1)
			bytes.count(prev, next, -1)
			counted := newRegistry()
			counted.count(whole, nil, 1)
			for at, of := range counted.bytes {
				if have := bytes.bytes[at]; have == nil || have.uses != of.uses || len(bytes.bytes) != len(counted.bytes) {
					t.Fatalf("%v is counted as %+v, want %+v", at, have, of)
				}
			}
			l.publish(gateway, next)
			sameAccounts(t, l.books[gateway])
			if i := next.of[routes].get("t0"); i != nil {
				l.record(one, []outcome{{kind: routes, name: "t0", item: i, what: rapid.SampledFrom([]verdict{acked, rejected}).Draw(t, "answer")}})
			}
			sameAccounts(t, l.books[gateway])
			prev = next
		}
	})
}

func sameSets(t *rapid.T, got, want *set) {
	for k := range kinds {
		same := slices.EqualFunc(got.of[k].items, want.of[k].items, func(a, b *item) bool {
			return a.name == b.name && a.version == b.version && a.carries.alike(b.carries) && got.of[k].get(a.name) == a
		})
		if !same {
			t.Fatalf("%s: got %+v, want %+v", k, got.of[k].items, want.of[k].items)
		}
	}
}

// sameAccounts holds the accounts of a book against those opened from nothing.
func sameAccounts(t *rapid.T, b *book) {
	whole := &book{set: b.set, rows: b.rows, rejects: b.rejects, variants: b.variants}
	whole.reopen(nil)
	for _, use := range b.set.uses {
		_, got := b.account(use.Key)
		_, want := whole.account(use.Key)
		if got == nil || !slices.Equal(got.keys, want.keys) || !slices.Equal(got.wants, want.wants) || len(got.answers) != len(want.answers) || got.acked != want.acked || got.nacked != want.nacked {
			t.Fatalf("%s: got %+v, want %+v", use.Key, got, want)
		}
	}
	if len(b.accounts) != len(whole.accounts) || len(b.by) != len(whole.by) {
		t.Fatalf("%d accounts of %d resources, want %d of %d", len(b.accounts), len(b.by), len(whole.accounts), len(whole.by))
	}
}
