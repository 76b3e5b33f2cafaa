package gitsync

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/problem"
)

// proven is a Proof under which everything Git lacks, that is the ConfigMap "other", may go.
func proven() Proof {
	live := alive(bookinfo, shop()...)
	var want []ID
	for _, o := range shop() {
		if o.ID.Name != "other" {
			want = append(want, o.ID)
		}
	}
	return Proof{Facts: Facts{Enabled: true, Complete: true, Descends: true, Listed: true, Applied: true}, Owner: bookinfo, Domain: "cluster.local",
		Percent: 25, Want: want, Have: created(live), Live: live}
}

func TestPrune_deletesWhatIsProven(t *testing.T) {
	t.Parallel()
	got := Prune(proven())
	if len(got.Delete) != 1 || got.Delete[0].ID.Name != "other" || got.Delete[0].UID != "uid-other" || got.Delete[0].ResourceVersion == "" {
		t.Errorf("Prune = %+v, want to delete ConfigMap other with its uid", got)
	}
}

func TestPrune_missingProofNeverDeletes(t *testing.T) {
	t.Parallel()
	other := ID{"", "ConfigMap", "bookinfo", "other"}
	withhold := []func(p *Proof){
		func(p *Proof) { p.Enabled = false },
		func(p *Proof) { p.Complete = false },
		func(p *Proof) { p.Descends = false },
		func(p *Proof) { p.Listed = false },
		func(p *Proof) { p.Applied = false },
		func(p *Proof) { p.Held = 1 },
		func(p *Proof) { p.Want = nil },
		func(p *Proof) { p.Problems = []problem.Problem{{Code: "S501", Severity: problem.Error}} },
		func(p *Proof) { delete(p.Live, other) },
		func(p *Proof) { p.Owner.Name = "another" },
		func(p *Proof) { p.Have = p.Have.Update(Entry{ID: other, Version: "v1", UID: "elder", Origin: Created}) },
		func(p *Proof) {
			p.Have = p.Have.Update(Entry{ID: other, Version: "v1", UID: "uid-other", Origin: Adopted})
		},
		func(p *Proof) { p.Have = p.Have.Update(Entry{ID: other, Version: "v1"}) },
		func(p *Proof) { annotate(p.Live[other], AnnotationPrune, "disabled") },
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := proven()
		p.Live = maps.Clone(p.Live)
		at := rapid.SliceOfNDistinct(rapid.IntRange(0, len(withhold)-1), 1, 3, rapid.ID[int]).Draw(rt, "missing")
		for _, i := range at {
			withhold[i](&p)
		}
		if got := Prune(p); len(got.Delete) > 0 {
			rt.Fatalf("missing %v: deleted %v", at, got.Delete)
		}
	})
}

func annotate(l Live, key, value string) {
	if annotations := mapping(l.Object.Content, "metadata", "annotations"); annotations != nil {
		annotations[key] = value
	}
}

func TestAllowed_table(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ n, percent, want int }{{4, 25, 3}, {40, 25, 10}, {41, 25, 10}, {100, 1, 3}} {
		if got := Allowed(row.n, row.percent); got != row.want {
			t.Errorf("Allowed(%d, %d) = %d, want %d", row.n, row.percent, got, row.want)
		}
	}
}

func TestPrune_limitHoldsUntilAccepted(t *testing.T) {
	t.Parallel()
	p := proven()
	p.Want = p.Want[:3]
	got := Prune(p)
	if len(got.Delete) > 0 || got.Withheld != WithheldLimit || len(got.Kept) != 8 {
		t.Errorf("above the limit: %+v, want all 8 kept", got)
	}
	p.Accepted = true
	if got := Prune(p); len(got.Delete) != 8 {
		t.Errorf("accepted: %d deleted, want 8", len(got.Delete))
	}
}

func TestPrune_keepsWhatARolloutStillNeeds(t *testing.T) {
	t.Parallel()
	p := proven()
	rollout := find(shop(), "Rollout")
	p.Want = []ID{rollout.ID}
	p.Accepted = true
	p.Rollouts = []View{{ID: rollout.ID, Object: rollout, Stable: "v2", Rest: true}}
	got := Prune(p)
	var gone []string
	for _, r := range got.Delete {
		gone = append(gone, r.ID.Name)
	}
	slices.Sort(gone)
	if want := []string{"cfg-v1", "other", "reviews-v1", "scale-v1"}; !slices.Equal(gone, want) || got.Withheld != WithheldStable {
		t.Errorf("deleted %v (%s), want only what v1 used: %v", gone, got.Withheld, want)
	}
	p.Rollouts[0].Former = []string{"v1"}
	if got := Prune(p); len(got.Delete) != 1 {
		t.Errorf("v1 still warm: deleted %v, want only ConfigMap other", got.Delete)
	}
	p.Rollouts[0].Former, p.Rollouts[0].Unacked = nil, true
	if got := Prune(p); len(got.Delete) != 1 {
		t.Errorf("older routes may run: deleted %v, want only ConfigMap other", got.Delete)
	}
	p.Rollouts[0].Unacked = false
	p.Rollouts[0].Stable = "unknown"
	if got := Prune(p); len(got.Delete) != 1 {
		t.Errorf("unknown subset: deleted %v, want only ConfigMap other", got.Delete)
	}
}

func TestInventory_settlesOnlyWhatCarriesOurLabels(t *testing.T) {
	t.Parallel()
	cm := find(shop(), "ConfigMap")
	v := NewInventory(Entry{ID: cm.ID, Version: "v1"})
	marked := func(maker string) map[ID]Live {
		live := alive(bookinfo, cm)
		mapping(live[cm.ID].Object.Content, "metadata", "annotations")[AnnotationMaker] = maker
		return live
	}
	for name, c := range map[string]struct {
		live map[ID]Live
		want Origin
	}{
		"our labels, and that we made it":             {marked("bookinfo/shop"), Created},
		"our labels alone":                            {alive(bookinfo, cm), Adopted},
		"our labels, and that another Source made it": {marked("bookinfo/other"), Adopted},
		"labels of another":                           {alive(Owner{"a", "b"}, cm), Pending},
		"nothing there":                               {nil, Pending},
	} {
		if e, _ := v.Settle(bookinfo, c.live).Find(cm.ID); e.Origin != c.want || (e.UID == "") != (c.want == Pending) {
			t.Errorf("%s: %v, want %s", name, e, c.want)
		}
	}
}

func TestPrune_orphansAreNamedAndNeverDeleted(t *testing.T) {
	t.Parallel()
	p := proven()
	p.Orphans = []ID{{"", "ConfigMap", "bookinfo", "lost"}}
	got := Prune(p)
	if len(got.Delete) != 1 || got.Withheld != WithheldOrphans || !slices.Equal(got.Kept, p.Orphans) {
		t.Errorf("Prune = %+v, want the proven one deleted and the orphan named", got)
	}
}

func TestPruneSet_saysWhatToDo(t *testing.T) {
	t.Parallel()
	kept := []ID{{"", "ConfigMap", "bookinfo", "a"}, {"", "ConfigMap", "bookinfo", "b"}, {"", "ConfigMap", "bookinfo", "c"}}
	for why, hint := range map[Withheld]string{WithheldLimit: "set spec.accept.prune to c0ffee", WithheldProblems: "mend", WithheldStable: "finish the rollout", WithheldOrphans: "by hand"} {
		p := PruneSet{Kept: kept, Withheld: why}.Problem("c0ffee")
		if p.Code != "S410" || p.Severity != problem.Warning || p.Object != "ConfigMap/bookinfo/a" || !strings.HasPrefix(p.Message, "and 2 more stay: ") || !strings.Contains(p.Hint, hint) {
			t.Errorf("%s: %+v", why, p)
		}
	}
}
