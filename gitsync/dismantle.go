package gitsync

import (
	"cmp"
	"slices"
	"time"
)

// RolloutsFirst is how long the Rollouts of a deleted Source may take to go before the rest follows.
const RolloutsFirst = time.Minute

// Dismantling is what is still to be deleted with a Source.
type Dismantling struct {
	Delete []Removal // now, in this order; what is already on its way is not among them
	Left   []ID      // all that still exists and is to go
}

// Dismantle decides what goes with a Source that is deleted with its objects, elapsed after that began: first the
// Rollouts, which put their traffic in order, then everything it has created, in the reverse order of applying. What
// was adopted or is annotated to be kept stays.
func Dismantle(owner Owner, have Inventory, live map[ID]Live, elapsed time.Duration) Dismantling {
	var out Dismantling
	var rollouts, rest []Removal
	for _, e := range have {
		l, exists := live[e.ID]
		if !exists || !owner.ours(l) || e.UID != l.UID || spared(e, l) {
			continue
		}
		out.Left = append(out.Left, e.ID)
		r := Removal{ID: e.ID, Version: cmp.Or(l.Object.Version, e.Version), UID: l.UID, ResourceVersion: l.ResourceVersion}
		if e.ID.GroupKind() == kindRollout {
			rollouts = append(rollouts, r)
		} else {
			rest = append(rest, r)
		}
	}
	out.Delete = rollouts
	if len(rollouts) == 0 || elapsed >= RolloutsFirst {
		reversed(rest)
		out.Delete = slices.Concat(rollouts, rest)
	}
	out.Delete = slices.DeleteFunc(out.Delete, func(r Removal) bool {
		return text(live[r.ID].Object.Content, "metadata", "deletionTimestamp") != ""
	})
	return out
}

// reversed sorts removals against the order of applying.
func reversed(removals []Removal) {
	slices.SortFunc(removals, func(a, b Removal) int {
		return cmp.Or(cmp.Compare(StageOf(b.ID), StageOf(a.ID)), CompareID(a.ID, b.ID))
	})
}
