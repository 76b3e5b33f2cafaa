package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// pass is one run over a Source.
type pass struct {
	controller *Controller
	src        *v1alpha1.Source
	memory     *memory
	started    time.Time
	looked     bool // the remote was asked: what a person asked for by annotation is done
}

// look asks the remote, renders what is new and applies it.
func (p *pass) look(ctx context.Context) error {
	m, c := p.memory, p.controller
	p.looked = true
	select {
	case <-m.preemption.nudge: // this look does what was asked for
	default:
	}
	changed := m.generation != p.src.Generation
	m.generation, m.lastLook = p.src.Generation, p.started
	m.next = p.started.Add(interval(p.src.Spec.Interval.Or(defaultInterval), c.config.Random()))
	tree, err := p.fetch(ctx)
	p.took(phaseFetch, p.started)
	if err != nil {
		c.meters.polls.WithLabelValues(string(gitsync.ReasonOf(err, "Error"))).Inc()
		return p.failed(ctx, err)
	}
	defer tree.Close()
	m.fetching = streak{}
	m.preemption.tip = tree.Commit().ID
	p.await(tree.Commit().ID)
	p.found(tree.Commit().ID)
	result := pollNew
	options, err := p.options(ctx)
	if err != nil {
		return p.failed(ctx, err)
	}
	same := m.revision != nil && m.revision.commit.ID == tree.Commit().ID && m.revision.key == p.key(options) && !changed
	if same {
		m.revision.listedAt = p.started
		result = pollUnchanged
	}
	c.meters.polls.WithLabelValues(result).Inc()
	if same && m.settled && !m.revision.open && p.started.Before(m.resync) {
		m.pushed = time.Time{}
		return p.write(ctx, p.unchanged())
	}
	return p.preemptible(ctx, func(run context.Context) error {
		if !same || m.revision.open {
			since, before := c.config.Now(), m.revision
			kept, err := p.render(ctx, tree, options)
			if err != nil {
				return p.failed(ctx, err)
			}
			p.took(phaseRender, since)
			p.noteRun(tree.Commit().ID, func(r *Run) { r.Render = Span{since, c.config.Now()} })
			if kept && !changed && p.untouched(before) {
				return p.advance(ctx)
			}
		}
		return p.proceed(ctx, run)
	})
}

// advance notes a commit that changes nothing here as applied.
func (p *pass) advance(ctx context.Context) error {
	if err := p.write(ctx, p.advanced()); err != nil {
		p.memory.settled = false // the status still tells of the commit before: the next look says it again
		return err
	}
	p.arrived()
	return nil
}

// resume goes on with a commit that waits for a Rollout or is tried again, without asking the remote: it may be gone.
func (p *pass) resume(ctx context.Context) error {
	if p.memory.revision == nil {
		return p.look(ctx)
	}
	return p.preemptible(ctx, func(run context.Context) error { return p.proceed(ctx, run) })
}

// proceed applies what is rendered, unless a cluster that was built anew has to adopt the last good commit first. Its error
// is ErrPreempted when run has ended because of something newer.
func (p *pass) proceed(ctx, run context.Context) error {
	switch wait, err := p.bootstrap(ctx); {
	case err != nil:
		return p.failed(ctx, err)
	case wait && p.boots() != nil:
		return p.write(ctx, p.adoptingStill)
	case wait:
		return p.write(ctx, keep) // the last good commit is not applied yet
	}
	return p.apply(ctx, run)
}

// apply brings the rendered revision into the cluster and writes the result.
func (p *pass) apply(ctx, run context.Context) error {
	defer p.tookApply(p.controller.config.Now())
	m, rev := p.memory, p.memory.revision
	if rev.build.Reason != "" {
		if done, err := p.completed(ctx, run); !done || err != nil {
			return err
		}
		m.settled = true // nothing to do until Git or the spec changes
		m.waits.Store(false)
		p.compared()
		return p.write(ctx, p.refused())
	}
	m.waits.Store(true)
	if blocked, err := p.blocked(ctx); blocked || err != nil {
		return err
	}
	if err := stopped(run); err != nil {
		return err
	}
	r, err := p.plan(ctx)
	if err != nil {
		return p.troubled(ctx, r, err)
	}
	if !slices.Equal(r.set.Union.Strings(), r.have.Strings()) {
		r.inventory = r.set.Union
		if err := p.write(ctx, p.applying(r)); err != nil {
			return err
		}
	}
	r.inventory = r.set.Union
	p.postpone(r)
	r.outcome, err = r.applier.Apply(run, r.set)
	p.confirm(r)
	if errors.Is(err, gitsync.ErrPreempted) {
		return p.yield(ctx, r)
	}
	p.retry(r)
	if err == nil {
		r.prune.begun = true
		err = p.prune(ctx, run, r)
	}
	switch {
	case errors.Is(err, gitsync.ErrPreempted):
		return p.yield(ctx, r)
	case err != nil:
		return p.troubled(ctx, r, err)
	}
	return p.finish(ctx, run, r)
}

// yield notes how far a run came that makes way for a newer commit.
func (p *pass) yield(ctx context.Context, r *result) error {
	if err := p.write(ctx, p.applying(r)); err != nil {
		return err
	}
	return gitsync.ErrPreempted
}

// finish notes what is still to be done, and writes the result.
func (p *pass) finish(ctx, run context.Context, r *result) error {
	m := p.memory
	m.retries = 0
	if r.set.Full {
		p.compared()
	}
	waits := len(r.set.Waiting) > 0 || r.prune.set.Withheld == gitsync.WithheldStable
	m.waits.Store(waits)
	m.settled = !waits && len(r.outcome.Refused) == 0 && r.put == 0 && !r.prune.left
	p.controller.config.Watch.Follow(ctx, p.owner(), r.inventory)
	if err := p.write(ctx, p.applied(r)); err != nil {
		m.settled = false // the status still tells of the run before
		return err
	}
	p.told(len(r.inventory))
	p.arrived()
	return p.amend(ctx, run, r)
}

// result gathers what a pass has found and done.
type result struct {
	applier   gitsync.Applier
	have      gitsync.Inventory // before
	inventory gitsync.Inventory // now
	live      map[gitsync.ID]gitsync.Live
	unseen    []gitsync.ID // may not be read: nothing is known of them
	put       int          // units that are put off: the server had trouble with them
	rollouts  []gitsync.View
	set       gitsync.Set
	outcome   gitsync.Outcome
	problems  []problem.Problem // all of them, with the server's refusals
	prune     removal
}

// removal is the end of a pass: what Git no longer has.
type removal struct {
	begun bool // every stage was applied
	set   gitsync.PruneSet
	gone  []gitsync.ID
	left  bool // something that may be pruned is still there
}
