package gitsync

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
)

// walk is a history of commits in a cluster where people and other tools have their hands too: they make, delete, take over and
// annotate objects; statuses are lost, or restored from a backup; the process dies in the middle. It knows of each object who has
// made it, which Sluice can only conclude.
type walk struct {
	cluster
	t       *rapid.T
	ours    map[string]bool // by uid: made by us
	spared  map[ID]bool     // Git said so when it last had them, and the process has lived since
	copies  map[string]bool // by uid: made by others, from one that was there
	backups []Inventory     // from the end of a pass, and from its middle
}

func (w *walk) id() ID {
	kind := rapid.SampledFrom([]string{"ConfigMap", "ConfigMap", "ConfigMap", "PersistentVolumeClaim"}).Draw(w.t, "kind")
	return ID{"", kind, "bookinfo", rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(w.t, "name")}
}

func (w *walk) mark() string {
	return rapid.SampledFrom([]string{"", "", "", "", "disabled", "allow"}).Draw(w.t, "annotation")
}

// set changes the metadata of a live object, as somebody does who is not us.
func (w *walk) set(id ID, change func(labels, annotations map[string]any)) {
	l, ok := w.live[id]
	if !ok {
		return
	}
	labels, annotations := maps.Clone(mapping(l.Object.Content, "metadata", "labels")), maps.Clone(mapping(l.Object.Content, "metadata", "annotations"))
	if labels == nil {
		labels = map[string]any{}
	}
	if annotations == nil {
		annotations = map[string]any{}
	}
	change(labels, annotations)
	l.Object = Object{ID: id, Version: "v1", Content: map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}}}
	w.live[id] = l
}

// meddle is one thing that others do.
func (w *walk) meddle() {
	id := w.id()
	switch rapid.SampledFrom([]string{"delete", "make", "make again", "unlabel", "take over", "annotate", "lose", "restore", "nothing"}).Draw(w.t, "others") {
	case "delete":
		delete(w.live, id)
	case "make", "make again":
		before := w.live[id].Object.Content
		w.uids++
		w.live[id] = Live{UID: fmt.Sprint("hand", w.uids), ResourceVersion: "1", Object: Object{ID: id, Version: "v1", Content: map[string]any{"metadata": map[string]any{}}}}
		if before != nil && rapid.Bool().Draw(w.t, "from a copy") { // with our labels on it, and all else
			w.copies[w.live[id].UID] = true
			w.set(id, func(labels, annotations map[string]any) {
				maps.Copy(labels, mapping(before, "metadata", "labels"))
				maps.Copy(annotations, mapping(before, "metadata", "annotations"))
			})
		}
	case "unlabel":
		w.set(id, func(labels, _ map[string]any) { clear(labels) })
	case "take over":
		w.set(id, func(labels, _ map[string]any) { labels[LabelSourceName] = "another" })
	case "annotate":
		w.set(id, func(_, annotations map[string]any) {
			if delete(annotations, AnnotationPrune); w.mark() != "" {
				annotations[AnnotationPrune] = w.mark()
			}
		})
	case "lose":
		w.stored = nil
	case "restore":
		if len(w.backups) > 0 {
			w.stored = rapid.SampledFrom(w.backups).Draw(w.t, "backup")
		}
	}
}

// commit gives what Git says, and what is wrong with it.
func (w *walk) commit() (want []Object, wrong []problem.Problem) {
	if rapid.IntRange(0, 11).Draw(w.t, "full") > 0 {
		want = []Object{object("", "ConfigMap", "always", nil)}
	}
	for range rapid.IntRange(0, 6).Draw(w.t, "objects") {
		id := w.id()
		if slices.ContainsFunc(want, func(o Object) bool { return o.ID == id }) {
			continue
		}
		o := object("", id.Kind, id.Name, map[string]any{"data": map[string]any{"k": rapid.SampledFrom([]string{"1", "2"}).Draw(w.t, "value")}})
		if mark := w.mark(); mark != "" {
			o.Content["metadata"] = map[string]any{"name": id.Name, "namespace": "bookinfo", "annotations": map[string]any{AnnotationPrune: mark}}
		}
		want = append(want, o)
		if rapid.IntRange(0, 15).Draw(w.t, "bad") == 0 {
			wrong = append(wrong, problem.Problem{Code: "S502", Severity: problem.Error, Object: id.Ref()})
		}
	}
	return want, wrong
}

// pass brings a commit into the cluster, and prunes, as a Source does; it may die on the way.
func (w *walk) pass() {
	t := w.t
	want, wrong := w.commit()
	fact := func(name string) bool { return rapid.IntRange(0, 14).Draw(t, name) > 0 }
	facts := Facts{Enabled: fact("enabled"), Complete: fact("complete"), Descends: fact("descends"), Listed: fact("listed"), Applied: true, Accepted: rapid.IntRange(0, 3).Draw(t, "accepted") == 0}
	have := w.stored.Settle(bookinfo, w.live)
	set := Plan(Input{Owner: bookinfo, Commit: Commit{ID: "c"}, Domain: "cluster.local", Want: want, Problems: wrong, Have: have, Live: maps.Clone(w.live), Sources: []Owner{bookinfo, {"bookinfo", "another"}}})
	for _, e := range have {
		before, _ := w.stored.Find(e.ID)
		if l := w.live[e.ID]; before.Origin == Pending && e.Origin == Created && w.copies[l.UID] {
			w.ours[l.UID] = true // a copy of what we made, down to the mark: nobody can tell it from ours
		}
	}
	w.stored = set.Union
	w.backups = append(w.backups, w.stored)
	now := set.Union
	dies := rapid.IntRange(-30, len(set.Items)).Draw(t, "dies before")
	for i, it := range set.Items {
		if i == dies {
			w.spared = map[ID]bool{}
			return
		}
		if w.late(it.Object.ID) {
			w.uids++
			w.live[it.Object.ID] = Live{UID: fmt.Sprint("hand", w.uids), ResourceVersion: "1", Object: Object{ID: it.Object.ID, Version: "v1", Content: map[string]any{"metadata": map[string]any{}}}}
		}
		before := w.live[it.Object.ID]
		if e, known := have.Find(it.Object.ID); known && e.Origin == Created && bookinfo.ours(before) {
			w.ours[before.UID] = true // who makes what we had made anew, with our labels, gives it to us once Git has it
		}
		now = now.Update(w.apply(it, now))
		if after := w.live[it.Object.ID]; before.UID == "" {
			w.ours[after.UID] = true
		} else if hand := Annotation(before.Object.Content, AnnotationPrune); hand != "" && Annotation(it.Object.Content, AnnotationPrune) == "" {
			w.set(it.Object.ID, func(_, annotations map[string]any) { annotations[AnnotationPrune] = hand }) // a field that is not ours
		}
		w.spared[it.Object.ID] = Annotation(it.Object.Content, AnnotationPrune) == "disabled"
	}
	var ids, spared, unseen []ID
	for _, o := range want {
		ids = append(ids, o.ID)
	}
	for id, is := range w.spared {
		if is {
			spared = append(spared, id)
		}
	}
	seen := maps.Clone(w.live)
	if id := w.id(); rapid.IntRange(0, 9).Draw(t, "forbidden") == 0 {
		unseen = append(unseen, id)
		delete(seen, id)
	}
	proof := Proof{Facts: facts, Census: Census{Unseen: unseen, Spared: spared}, Owner: bookinfo, Domain: "cluster.local", Percent: rapid.SampledFrom([]int{1, 25, 100}).Draw(t, "percent"),
		Want: ids, Problems: set.Problems, Held: len(set.Held), Have: now, Live: seen}
	pruned := Prune(proof)
	w.judge(proof, want, pruned)
	for _, r := range pruned.Delete {
		delete(w.live, r.ID)
		now = now.Without(r.ID)
	}
	w.stored = now.Without(pruned.Forget...)
	w.backups = append(w.backups, w.stored)
}

// late says whether somebody makes the object between our look and our write.
func (w *walk) late(id ID) bool {
	_, exists := w.live[id]
	return !exists && rapid.IntRange(0, 7).Draw(w.t, "somebody is faster") == 0
}

// judge holds what goes against what is known of each object, whatever the inventory says of it.
func (w *walk) judge(p Proof, want []Object, pruned PruneSet) {
	for _, r := range pruned.Delete {
		l, exists := w.live[r.ID]
		mark := Annotation(l.Object.Content, AnnotationPrune)
		for why, is := range map[string]bool{
			"it is not there":                           !exists || l.UID != r.UID || r.ResourceVersion == "",
			"somebody else has made it":                 !w.ours[l.UID] && mark != "allow",
			"it carries no labels of ours":              !bookinfo.ours(l),
			"it is to be kept":                          mark == "disabled" || w.spared[r.ID],
			"it holds data":                             r.ID.Kind == "PersistentVolumeClaim" && mark != "allow",
			"Git has it":                                slices.ContainsFunc(want, func(o Object) bool { return o.ID == r.ID }),
			"Git has nothing":                           len(want) == 0,
			"nothing may be pruned":                     !p.Enabled,
			"the commit is not whole":                   !p.Complete,
			"the history was rewritten":                 !p.Descends,
			"the remote may have another commit by now": !p.Listed,
			"something is wrong with the commit":        problem.HasError(p.Problems),
			"it may not be read":                        slices.Contains(p.Unseen, r.ID),
			"too many would go":                         !p.Accepted && len(pruned.Delete) > max(3, len(p.Have)*p.Percent/100),
		} {
			if is {
				w.t.Fatalf("%s is deleted, and %s: %+v", r.ID.Ref(), why, l)
			}
		}
	}
}

// Over random histories with everything that others do in between, nothing is ever removed that must not be, by what is known of
// each object and not by what the inventory says of it.
func TestPrune_removesNothingOfOthersOverAnyHistory(t *testing.T) {
	t.Parallel()
	removed, kept := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{cluster: cluster{live: map[ID]Live{}}, t: t, ours: map[string]bool{}, copies: map[string]bool{}, spared: map[ID]bool{}}
		for range rapid.IntRange(2, 10).Draw(t, "passes") {
			before := len(w.live)
			w.pass()
			if len(w.live) < before {
				removed++
			} else {
				kept++
			}
			for range rapid.IntRange(0, 2).Draw(t, "meddling") {
				w.meddle()
			}
		}
	})
	if removed == 0 || kept == 0 {
		t.Errorf("%d passes removed something, %d did not: the walk shows nothing", removed, kept)
	}
}
