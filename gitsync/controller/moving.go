package controller

import (
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// movingUnits names the Rollouts whose units an apply is about to change, in units without codes: their weights are not raised
// meanwhile. Where no Rollout's unit changes there is one unit without a name, so that all others go on. What was applied is
// what this process remembers to have applied; without a memory an object counts as changed.
func (p *pass) movingUnits(r *result, limit int) []v1alpha1.HeldUnit {
	var moving []gitsync.ID
	for _, item := range r.set.Items {
		_, alive := r.live[item.Object.ID]
		if alive && p.memory.applied[item.Object.ID].Hash == item.Hash {
			continue
		}
		moving = append(moving, r.set.Units[item.Unit].Rollouts...)
	}
	slices.SortFunc(moving, gitsync.CompareID)
	moving = slices.Compact(moving)
	if len(moving) == 0 {
		return []v1alpha1.HeldUnit{{}}
	}
	return waitingUnits(moving, limit)
}
