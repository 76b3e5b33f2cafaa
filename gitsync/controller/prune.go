package controller

import (
	"context"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// confirm takes over what was applied, and the server's refusals with the place of the field.
func (p *pass) confirm(r *result) {
	r.inventory = r.inventory.Update(r.outcome.Confirmed...)
	items := map[gitsync.ID]gitsync.Item{}
	for _, it := range r.set.Items {
		it.Seen, it.Absent = nil, false // that was then
		items[it.Object.ID] = it
	}
	for _, e := range r.outcome.Confirmed {
		p.memory.applied[e.ID] = items[e.ID]
	}
	place := p.memory.revision.build.Position
	for _, refusal := range r.outcome.Refused {
		delete(p.memory.applied, refusal.ID)
		r.problems = append(r.problems, placed(refusal.Problem, items[refusal.ID].Object, place))
	}
	problem.Sort(r.problems)
	p.count(len(r.outcome.Changed), 0)
	p.repaired(r.outcome.Drifted)
}

// prune deletes what is proven superfluous.
func (p *pass) prune(ctx, run context.Context, r *result) error {
	if err := stopped(run); err != nil {
		return err
	}
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
		Accepted: p.src.Spec.Accept != nil && p.src.Spec.Accept.Prune == rev.commit.ID,
		Listed:   !rev.behind && p.controller.config.Now().Sub(rev.listedAt) <= listedFor, Applied: len(refused) == 0 && r.put == 0,
	}
	r.prune.set = gitsync.Prune(gitsync.Proof{Facts: facts, Owner: p.owner(), Domain: p.controller.config.Domain, Percent: int(p.src.Spec.PruneLimitPercent),
		Want: want, Problems: r.problems, Held: len(r.set.Held) + len(r.set.Waiting) + len(refused), Have: r.inventory, Live: r.live, Census: gitsync.Census{Unseen: r.unseen, Spared: p.spared(), Orphans: p.orphans(ctx, r.inventory)},
		Rollouts: r.rollouts})
	gone, err := r.applier.Prune(run, r.prune.set.Delete)
	r.prune.gone = gone
	p.count(0, len(gone))
	r.inventory = r.inventory.Without(slices.Concat(gone, r.prune.set.Forget)...)
	for _, id := range slices.Concat(gone, r.prune.set.Forget) {
		delete(p.memory.applied, id)
	}
	unlisted := !facts.Listed && !rev.behind && len(r.prune.set.Kept) > 0
	r.prune.left = unlisted || len(gone) < len(r.prune.set.Delete)
	if unlisted && p.memory.fetching.failures == 0 {
		p.memory.next = p.started // look at the remote again before anything is deleted
	}
	return err
}

// spared are the objects that Git said to keep when it last had them.
func (p *pass) spared() []gitsync.ID {
	var out []gitsync.ID
	for id, it := range p.memory.applied {
		if gitsync.Annotation(it.Object.Content, gitsync.AnnotationPrune) == "disabled" {
			out = append(out, id)
		}
	}
	return out
}

// orphans are live objects with our labels that neither Git nor the inventory has: it was lost.
func (p *pass) orphans(ctx context.Context, have gitsync.Inventory) []gitsync.ID {
	known := make(map[gitsync.ID]bool, 2*len(have))
	for _, o := range p.memory.revision.build.Objects {
		known[o.ID] = true
	}
	for _, e := range have {
		known[e.ID] = true
	}
	return slices.DeleteFunc(p.controller.config.Watch.Owned(ctx, p.owner()), func(id gitsync.ID) bool { return known[id] })
}
