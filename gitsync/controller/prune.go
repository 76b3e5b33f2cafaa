package controller

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// confirm takes over what was applied, and the server's refusals with the place of the field.
func (p *pass) confirm(r *result) {
	r.inventory = r.inventory.Update(r.outcome.Confirmed...)
	items := map[gitsync.ID]gitsync.Item{}
	for _, it := range r.set.Items {
		items[it.Object.ID] = it
	}
	for _, e := range r.outcome.Confirmed {
		p.memory.applied[e.ID] = items[e.ID].Hash
	}
	place := p.memory.revision.build.Position
	for _, refusal := range r.outcome.Refused {
		delete(p.memory.applied, refusal.ID)
		found := refusal.Problem
		if place != nil {
			found.Line, found.Column = place(items[refusal.ID].Object, found.Field)
		}
		r.problems = append(r.problems, found)
	}
	problem.Sort(r.problems)
}

// prune deletes what is proven superfluous.
func (p *pass) prune(ctx context.Context, r *result) error {
	rev := p.memory.revision
	var want []gitsync.ID
	for _, o := range rev.build.Objects {
		want = append(want, o.ID)
	}
	refused := map[int]bool{}
	for _, refusal := range r.outcome.Refused {
		refused[refusal.Unit] = true
	}
	facts := gitsync.Facts{
		Enabled: p.src.Spec.Prune == nil || *p.src.Spec.Prune, Complete: rev.build.Reason == "", Descends: true, // else the fetch had been refused
		Listed: p.controller.config.Now().Sub(rev.listedAt) <= listedFor, Applied: len(refused) == 0,
	}
	r.pruned = gitsync.Prune(gitsync.Proof{Facts: facts, Owner: p.owner(), Domain: p.controller.config.Domain, Percent: int(p.src.Spec.PruneLimitPercent),
		Want: want, Problems: r.problems, Held: len(r.set.Held) + len(r.set.Waiting) + len(refused), Have: r.inventory, Live: r.live, Rollouts: r.rollouts})
	gone, err := r.applier.Prune(ctx, r.pruned.Delete)
	r.gone = gone
	r.inventory = r.inventory.Without(slices.Concat(gone, r.pruned.Forget)...)
	maps.DeleteFunc(p.memory.applied, func(id gitsync.ID, _ string) bool { return slices.Contains(gone, id) })
	if !facts.Listed && len(r.pruned.Kept) > 0 {
		p.memory.next = p.started // look at the remote again before anything is deleted
	}
	return err
}
