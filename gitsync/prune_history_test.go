package gitsync

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
)

// modelPrunes says in the plainest way whether an object may be deleted: every line of the rules, one after the other. It is
// the model that Prune is compared with, for worlds without Rollouts.
func modelPrunes(p Proof, e Entry) bool {
	live, exists := p.Live[e.ID]
	annotation := Annotation(live.Object.Content, AnnotationPrune)
	data := e.ID.Kind == "Namespace" || e.ID.Kind == "PersistentVolumeClaim" || e.ID.Kind == "CustomResourceDefinition"
	candidate := func(e Entry) bool {
		live, exists := p.Live[e.ID]
		annotation := Annotation(live.Object.Content, AnnotationPrune)
		return exists && !slices.Contains(p.Want, e.ID) && p.Owner.ours(live) && e.UID != "" && e.UID == live.UID && annotation != "disabled" &&
			!slices.Contains(p.Spared, e.ID) && !slices.Contains(p.Unseen, e.ID)
	}
	n := 0
	for _, other := range p.Have {
		odd := Annotation(p.Live[other.ID].Object.Content, AnnotationPrune) == "allow"
		kind := other.ID.Kind == "Namespace" || other.ID.Kind == "PersistentVolumeClaim" || other.ID.Kind == "CustomResourceDefinition"
		if candidate(other) && other.Origin != Pending && (odd || (other.Origin == Created && !kind)) {
			n++
		}
	}
	switch {
	case !p.Enabled, !p.Complete, !p.Descends, !p.Listed, !p.Applied, len(p.Want) == 0:
		return false
	case problem.HasError(p.Problems), p.Held > 0:
		return false
	case !exists, !candidate(e):
		return false
	case n > max(3, len(p.Have)*p.Percent/100) && !p.Accepted:
		return false
	case e.Origin == Adopted && annotation != "allow", e.Origin == Pending:
		return false
	case data && annotation != "allow":
		return false
	}
	return true
}

var pruneKinds = []ID{{"", "ConfigMap", "bookinfo", ""}, {"", "PersistentVolumeClaim", "bookinfo", ""}, {"", "Namespace", "", ""}, {"apps", "Deployment", "bookinfo", ""}}

// drawProof gives a world in which everything may be missing.
func drawProof(t *rapid.T) Proof {
	most := rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 9).Draw(t, "of ten") > 0 })
	p := Proof{Facts: Facts{Enabled: most.Draw(t, "enabled"), Complete: most.Draw(t, "complete"), Descends: most.Draw(t, "descends"),
		Listed: most.Draw(t, "listed"), Applied: most.Draw(t, "applied"), Accepted: rapid.Bool().Draw(t, "accepted")},
		Owner: bookinfo, Domain: "cluster.local", Percent: rapid.IntRange(1, 100).Draw(t, "percent"), Live: map[ID]Live{}}
	if !most.Draw(t, "no problem") {
		p.Problems = []problem.Problem{{Code: "S501", Severity: rapid.SampledFrom([]problem.Severity{problem.Error, problem.Warning}).Draw(t, "severity")}}
	}
	if !most.Draw(t, "nothing held") {
		p.Held = 1
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "objects") {
		id := rapid.SampledFrom(pruneKinds).Draw(t, "kind")
		id.Name = fmt.Sprint("o", i)
		e := Entry{ID: id, Version: "v1", Origin: rapid.SampledFrom([]Origin{Created, Created, Created, Adopted, Pending}).Draw(t, "origin")}
		if e.Origin != Pending {
			e.UID = rapid.SampledFrom([]string{"u1", "u1", "u1", "u2"}).Draw(t, "entry's uid")
		}
		p.Have = append(p.Have, e)
		if most.Draw(t, "exists") {
			p.Live[id] = drawLive(t, id, most)
		}
		switch rapid.IntRange(0, 5).Draw(t, "standing") {
		case 0, 1:
			p.Want = append(p.Want, id)
		case 2:
			p.Spared = append(p.Spared, id)
		case 3:
			p.Unseen = append(p.Unseen, id)
			delete(p.Live, id)
		}
	}
	p.Have = NewInventory(p.Have...)
	return p
}

func drawLive(t *rapid.T, id ID, most *rapid.Generator[bool]) Live {
	labels := map[string]any{LabelSourceName: "shop", LabelSourceNamespace: "bookinfo"}
	if !most.Draw(t, "ours") {
		labels[LabelSourceName] = "other"
	}
	annotations := map[string]any{}
	if a := rapid.SampledFrom([]string{"", "", "", "disabled", "allow"}).Draw(t, "annotation"); a != "" {
		annotations[AnnotationPrune] = a
	}
	return Live{UID: "u1", ResourceVersion: "7", Object: Object{ID: id, Version: "v1",
		Content: map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}}}}
}

func TestPrune_isWhatTheModelSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawProof(t)
		got := Prune(p)
		deleted := map[ID]bool{}
		for _, r := range got.Delete {
			deleted[r.ID] = true
			if r.UID == "" || r.ResourceVersion == "" {
				t.Fatalf("%s is deleted without preconditions", r.ID)
			}
		}
		for _, e := range p.Have {
			if want := modelPrunes(p, e); deleted[e.ID] != want {
				t.Fatalf("%v: deleted %v, the model says %v", e, deleted[e.ID], want)
			}
			if deleted[e.ID] && slices.Contains(got.Forget, e.ID) {
				t.Fatalf("%v is deleted and forgotten at once", e)
			}
		}
		for _, id := range got.Forget {
			if live, exists := p.Live[id]; exists && p.Owner.ours(live) && slices.ContainsFunc(p.Have, func(e Entry) bool { return e.ID == id && e.UID == live.UID }) {
				t.Fatalf("%s is forgotten though it exists and is ours", id)
			}
			if slices.Contains(p.Unseen, id) {
				t.Fatalf("%s is forgotten though nothing is known of it", id)
			}
		}
	})
}

// cluster is a world in which effects happen one by one and a crash may come between any two.
type cluster struct {
	stored Inventory // in the status
	live   map[ID]Live
	uids   int
}

// run brings the cluster to want and stops before effect number crash; it reports whether it came to the end.
func (c *cluster) run(want []Object, crash int) bool {
	effects := 0
	effect := func(do func()) bool {
		if effects == crash {
			return false
		}
		effects++
		do()
		return true
	}
	have := c.stored.Settle(bookinfo, c.live)
	set := Plan(Input{Owner: bookinfo, Commit: Commit{ID: "c"}, Domain: "cluster.local", Want: want, Have: have, Live: maps.Clone(c.live)})
	if !effect(func() { c.stored = set.Union }) {
		return false
	}
	now := set.Union
	for _, it := range set.Items {
		if !effect(func() { now = now.Update(c.apply(it, now)) }) {
			return false
		}
	}
	var ids []ID
	for _, o := range want {
		ids = append(ids, o.ID)
	}
	pruned := Prune(Proof{Facts: Facts{Enabled: true, Complete: true, Descends: true, Listed: true, Applied: true, Accepted: true}, Owner: bookinfo,
		Domain: "cluster.local", Percent: 100, Want: ids, Have: now, Live: c.live})
	for _, r := range pruned.Delete {
		if !effect(func() { delete(c.live, r.ID) }) {
			return false
		}
		now = now.Without(r.ID)
	}
	return effect(func() { c.stored = now.Without(pruned.Forget...) })
}

// apply is what the server makes of an item, and the entry that confirms it.
func (c *cluster) apply(it Item, have Inventory) Entry {
	e, _ := have.Find(it.Object.ID)
	l, exists := c.live[it.Object.ID]
	if !exists {
		c.uids++
		l.UID, e.Origin = fmt.Sprint("uid", c.uids), Created
	}
	maker := Annotation(l.Object.Content, AnnotationMaker)
	if !exists {
		maker = bookinfo.String()
	}
	l.ResourceVersion, l.Object = "1", it.Object
	if maker != "" {
		l.Object.Content = maps.Clone(l.Object.Content)
		meta := maps.Clone(mapping(l.Object.Content, "metadata"))
		annotations := maps.Clone(mapping(meta, "annotations"))
		annotations[AnnotationMaker] = maker
		meta["annotations"], l.Object.Content["metadata"] = annotations, meta
	}
	c.live[it.Object.ID] = l
	if e.UID = l.UID; e.Origin == Pending {
		e.Origin = Adopted // it turned up between planning and applying
	}
	return e
}

func TestHistory_noCrashLosesAnObject(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{live: map[ID]Live{}}
		foreign := object("", "ConfigMap", "foreign", nil)
		c.live[foreign.ID] = Live{UID: "foreign", ResourceVersion: "1", Object: foreign}
		commits := rapid.IntRange(1, 5).Draw(t, "commits")
		for range commits {
			want := []Object{object("", "ConfigMap", "always", nil)}
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "foreign"}), rapid.ID[string]).Draw(t, "names") {
				want = append(want, object("", "ConfigMap", name, map[string]any{"data": map[string]any{"k": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}}))
			}
			done := c.run(want, rapid.IntRange(0, 12).Draw(t, "crash before effect"))
			for id, l := range c.live {
				if _, found := c.stored.Find(id); !found && bookinfo.ours(l) && id != foreign.ID {
					t.Fatalf("%s was applied and no inventory has it", id)
				}
			}
			if !done && !c.run(want, 100) {
				t.Fatal("the run after the crash did not end")
			}
			for id, l := range c.live {
				wanted := slices.ContainsFunc(want, func(o Object) bool { return o.ID == id })
				if bookinfo.ours(l) && !wanted && id != foreign.ID {
					t.Fatalf("%s is left over: %v", id, c.stored)
				}
			}
			if l, there := c.live[foreign.ID]; !there || l.UID != "foreign" {
				t.Fatal("what was adopted is gone")
			}
		}
	})
}

func TestPlan_permutedInputGivesTheSameSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		live := alive(bookinfo, shop()...)
		in := Input{Owner: bookinfo, Commit: Commit{ID: "c1"}, Domain: "cluster.local", Want: shop(), Have: created(live), Live: live,
			Problems: []problem.Problem{{Code: "S501", Severity: problem.Error, Path: "ConfigMap-other.yaml"}, {Code: "S502", Severity: problem.Error, Object: "ConfigMap/bookinfo/cfg-v1"}}}
		want := fmt.Sprintf("%+v", Plan(in))
		in.Want = rapid.Permutation(in.Want).Draw(t, "want")
		in.Problems = rapid.Permutation(in.Problems).Draw(t, "problems")
		if got := fmt.Sprintf("%+v", Plan(in)); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	})
}
