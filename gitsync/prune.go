package gitsync

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
)

// Proof is everything that must be known before anything is deleted. A false fact, a missing one, or an object that
// does not look as expected never leads to a deletion.
type Proof struct {
	Facts
	Census
	Owner    Owner
	Domain   string
	Percent  int // of the inventory that one commit may delete
	Want     []ID
	Problems []problem.Problem
	Held     int // units held or waiting
	Have     Inventory
	Live     map[ID]Live
	Rollouts []View
}

// Census is what is known of single objects besides their live state.
type Census struct {
	Unseen  []ID // may not be read: nothing is known of them, so they are neither deleted nor forgotten
	Spared  []ID // Git said that they are not to be pruned when it last had them
	Orphans []ID // carry our labels, but neither Git nor the inventory has them
}

// Facts are what must be true of a commit before anything is deleted for it. The zero value allows nothing.
type Facts struct {
	Enabled  bool // pruning is on and the Source is not suspended
	Complete bool // the whole tree was rendered
	Descends bool // the commit descends from the one applied before, or a person accepted it
	Listed   bool // the remote listed the commit at the ref just now
	Applied  bool // every stage was applied
	Accepted bool // a person accepted the deletions of this commit; needed only above the limit
}

// Withheld says why nothing, or not everything, was deleted. Its zero value means nothing is withheld.
type Withheld string

// The reasons to withhold deletions.
const (
	WithheldLimit    Withheld = "LimitExceeded"
	WithheldProblems Withheld = "ProblemsPresent"
	WithheldStable   Withheld = "StableNeeds"
	WithheldOrphans  Withheld = "Orphans"
)

// Removal is one object to delete, and the preconditions of its deletion.
type Removal struct {
	ID                            ID
	Version, UID, ResourceVersion string
}

// PruneSet is what to delete, in this order, and what not.
type PruneSet struct {
	Delete   []Removal
	Forget   []ID // in the inventory, but gone or no longer ours to delete
	Kept     []ID // candidates that are withheld
	Withheld Withheld
}

// Prune decides deletions. Candidates are the objects of the inventory that Git no longer holds.
func Prune(p Proof) PruneSet {
	wanted := make(map[ID]bool, len(p.Want))
	for _, id := range p.Want {
		wanted[id] = true
	}
	var out PruneSet
	var candidates []Removal
	for _, e := range p.Have {
		if wanted[e.ID] {
			continue
		}
		live, exists := p.Live[e.ID]
		switch {
		case slices.Contains(p.Unseen, e.ID), slices.Contains(p.Spared, e.ID):
		case !exists, !p.Owner.ours(live), e.UID != live.UID:
			out.Forget = append(out.Forget, e.ID)
		case spared(e, live):
		default:
			candidates = append(candidates, Removal{ID: e.ID, Version: cmp.Or(live.Object.Version, e.Version), UID: live.UID, ResourceVersion: live.ResourceVersion})
		}
	}
	if !p.Enabled || !p.Complete || !p.Descends || !p.Listed || !p.Applied || len(p.Want) == 0 {
		return p.withhold(nil, candidates, "")
	}
	if problem.HasError(p.Problems) || p.Held > 0 {
		return p.withhold(nil, candidates, WithheldProblems)
	}
	if len(candidates) > Allowed(len(p.Have), p.Percent) && !p.Accepted {
		return p.withhold(out.Forget, candidates, WithheldLimit)
	}
	protected := Protected(p.Rollouts, p.Live, p.Domain)
	for _, c := range candidates {
		if protected[c.ID] {
			out.Kept = append(out.Kept, c.ID)
			out.Withheld = WithheldStable
			continue
		}
		out.Delete = append(out.Delete, c)
	}
	reversed(out.Delete)
	if out.Withheld == "" && len(p.Orphans) > 0 {
		out.Kept, out.Withheld = p.Orphans, WithheldOrphans
	}
	return out
}

// Problem says that something is withheld for a commit, and how that ends.
func (s PruneSet) Problem(commit string) problem.Problem {
	out := problem.Problem{Code: "S410", Severity: problem.Warning, Field: "spec.prune"}
	if len(s.Kept) > 0 {
		out.Object = s.Kept[0].Ref()
	}
	stays := "stays"
	if more := len(s.Kept) - 1; more > 0 {
		stays = fmt.Sprintf("and %d more stay", more)
	}
	switch s.Withheld {
	case WithheldLimit:
		out.Field = "spec.accept.prune"
		out.Message, out.Hint = stays+": too many would be deleted at once", "set spec.accept.prune to "+commit+", or raise spec.pruneLimitPercent"
	case WithheldProblems:
		out.Message, out.Hint = stays+": something in the commit has a problem or is held", "mend that; the prune is made up for"
	case WithheldStable:
		out.Message, out.Hint = stays+": a Rollout still needs it", "finish the rollout; it is deleted after that"
	case WithheldOrphans:
		out.Message, out.Hint = stays+": it carries the labels of this Source, but neither Git nor the inventory has it", "delete it by hand, or put it into Git"
	}
	return out
}

func (p Proof) withhold(forget []ID, candidates []Removal, why Withheld) PruneSet {
	out := PruneSet{Forget: forget}
	for _, c := range candidates {
		out.Kept = append(out.Kept, c.ID)
	}
	if len(out.Kept) > 0 {
		out.Withheld = why
	}
	return out
}

// Allowed gives how many of n entries one commit may delete at that percentage: at least three.
func Allowed(n, percent int) int { return max(3, n*percent/100) }

// spared reports whether an entry is not ours to delete: we did not make this very object, a person said no, or its kind
// holds data of others and nobody said yes. It stays in the inventory.
func spared(e Entry, live Live) bool {
	switch Annotation(live.Object.Content, AnnotationPrune) {
	case "disabled":
		return true
	case "allow":
		return e.Origin == Pending
	}
	switch e.ID.GroupKind() {
	case "Namespace", "PersistentVolumeClaim", "CustomResourceDefinition.apiextensions.k8s.io":
		return true
	}
	return e.Origin != Created || e.UID == ""
}

// Settle confirms Pending entries whose object now exists with our labels: the crash between writing and recording is over, or
// the inventory is one from the middle of a run. Only what says that we made it is ours to delete; what others made in
// between, and we adopted, says nothing.
func (v Inventory) Settle(owner Owner, live map[ID]Live) Inventory {
	out := slices.Clone(v)
	for i, e := range out {
		l, ok := live[e.ID]
		if !ok || e.Origin != Pending || !owner.ours(l) {
			continue
		}
		out[i].Origin, out[i].UID = Adopted, l.UID
		if Annotation(l.Object.Content, AnnotationMaker) == owner.String() {
			out[i].Origin = Created
		}
	}
	return out
}

// Protected gives the live objects that a living Rollout still needs: what routes its host, the workloads of its
// stable, canary and formerly stable subsets, what their pod templates name, their autoscalers and budgets.
func Protected(rollouts []View, live map[ID]Live, domain string) map[ID]bool {
	objects := make([]Object, 0, len(live))
	for _, id := range slices.SortedFunc(maps.Keys(live), CompareID) {
		objects = append(objects, live[id].Object)
	}
	out, all := map[ID]bool{}, kinOf(objects, domain)
	for _, v := range rollouts {
		members := all.family(v.Object)
		labels, known := v.subsetLabels(members)
		var kept []Object
		for _, o := range members {
			switch {
			case o.ID == v.ID:
			case routes(o, Resolve(text(v.Object.Content, "spec", "host"), v.ID.Namespace, domain), domain):
				out[o.ID] = true
			case workloadLabels(o) != nil && (!known || slices.ContainsFunc(labels, func(l map[string]string) bool { return selects(l, workloadLabels(o)) })):
				out[o.ID] = true
				kept = append(kept, o)
			}
		}
		for _, o := range members {
			if needed(o, kept) {
				out[o.ID] = true
			}
		}
	}
	return out
}

func needed(o Object, workloads []Object) bool {
	return slices.ContainsFunc(workloads, func(w Object) bool {
		return attends(o, w) || slices.Contains(templateNames(w), o.ID)
	})
}

// subsetLabels gives the labels of the subsets that v needs; known is false when one of them is not defined or some proxy
// may still run older routes, and then no workload may be told apart.
func (v View) subsetLabels(members []Object) (labels []map[string]string, known bool) {
	if v.Unacked {
		return nil, false
	}
	for _, name := range append([]string{v.Stable, v.Canary}, v.Former...) {
		if name == "" {
			continue
		}
		found := false
		for _, o := range members {
			if o.ID.GroupKind() != kindDestinationRule {
				continue
			}
			if entry := subsetEntry(o, name); entry != nil {
				labels, found = append(labels, labelsOf(entry, "labels")), true
			}
		}
		if !found {
			return nil, false
		}
	}
	return labels, v.Stable != ""
}
