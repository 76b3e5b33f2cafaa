package controller

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// A run that made way for a newer commit may have applied a unit by half. The newer commit makes it whole again where it
// applies that unit. Where it does not build, or holds the unit, the older commit is gone on with: all of it, or that unit.

// owed gives the commit whose run was cut short and that nothing has made up for yet; nil: there is none.
func (p *pass) owed() *revision {
	left, rev := p.memory.preemption.left, p.memory.revision
	if left == nil || left.commit.ID == rev.commit.ID || left.key != rev.key {
		return nil
	}
	behind := *left
	behind.behind = true
	return &behind
}

// completed goes on with the older commit, in place of a newer one that does not build, and reports whether that is at its
// end.
func (p *pass) completed(ctx, run context.Context) (bool, error) {
	m, rev, left := p.memory, p.memory.revision, p.owed()
	if left == nil {
		m.preemption.left = nil
		return true, nil
	}
	m.revision = left
	err := p.apply(ctx, run)
	m.revision = rev
	if err != nil || m.waits.Load() || !m.again.IsZero() {
		m.settled = false
		return false, err
	}
	m.preemption.left = nil
	return true, nil
}

// amend goes on with the units of an older commit that the newer one holds.
func (p *pass) amend(ctx, run context.Context, newer *result) error {
	m, rev, left := p.memory, p.memory.revision, p.owed()
	blocked := newer.blocked()
	open := newer.put > 0 || len(newer.set.Waiting) > 0 // more may come to be held
	if left == nil || len(blocked) == 0 {
		if !open {
			m.preemption.left = nil
		}
		return nil
	}
	m.revision = left
	put, err := p.amendUnits(ctx, run, func(id gitsync.ID) bool { return blocked[id] }, wantedBy(rev.build))
	m.revision = rev
	if err != nil || put {
		m.settled = false
		return err
	}
	if !open {
		m.preemption.left = nil
	}
	return nil
}

// amendUnits applies the units of the revision at hand that have a blocked object, and none that the newer commit applies. It
// reports whether the server had trouble with one.
func (p *pass) amendUnits(ctx, run context.Context, blocked, wanted func(gitsync.ID) bool) (put bool, err error) {
	r, err := p.plan(ctx)
	if err != nil {
		return false, err
	}
	stuck := func(it gitsync.Item) bool {
		unit := r.set.Units[it.Unit].Objects
		return slices.ContainsFunc(unit, blocked) && !slices.ContainsFunc(unit, func(id gitsync.ID) bool { return wanted(id) && !blocked(id) })
	}
	r.set.Items = slices.DeleteFunc(r.set.Items, func(it gitsync.Item) bool { return !stuck(it) })
	r.inventory = r.set.Union.Without(r.untouched()...)
	if err := p.stock(ctx, r); err != nil {
		return false, err
	}
	p.postpone(r)
	r.outcome, err = r.applier.Apply(run, r.set)
	p.confirm(r)
	p.retry(r)
	return r.put > 0, errors.Join(err, p.stock(ctx, r))
}

// stock writes the inventory and leaves all else as it is said.
func (p *pass) stock(ctx context.Context, r *result) error {
	return p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		keepAll(s, c)
		s.Inventory = r.inventory.Strings()
	})
}

// blocked are the objects of the units that were not applied because of what is wrong with them.
func (r *result) blocked() map[gitsync.ID]bool {
	out := map[gitsync.ID]bool{}
	add := func(u gitsync.Unit) {
		for _, id := range u.Objects {
			out[id] = true
		}
	}
	for _, held := range r.set.Held {
		add(held.Unit)
	}
	for _, refusal := range r.outcome.Refused {
		add(r.set.Units[refusal.Unit])
	}
	return out
}

// untouched are the entries that are new in the union though no item is applied for them.
func (r *result) untouched() (out []gitsync.ID) {
	for _, e := range r.set.Union {
		_, had := r.have.Find(e.ID)
		if !had && !slices.ContainsFunc(r.set.Items, func(it gitsync.Item) bool { return it.Object.ID == e.ID }) {
			out = append(out, e.ID)
		}
	}
	return out
}

// wantedBy tells which objects a build has.
func wantedBy(b gitsync.Build) func(gitsync.ID) bool {
	have := make(map[gitsync.ID]bool, len(b.Objects))
	for _, o := range b.Objects {
		have[o.ID] = true
	}
	return func(id gitsync.ID) bool { return have[id] }
}
