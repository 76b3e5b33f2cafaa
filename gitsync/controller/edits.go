package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

func (p *pass) suspended() edit {
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		c.Ready(v1alpha1.ReasonSuspended, "suspended: nothing is fetched, applied or removed")
		keepPruneHeld(s, c)
	}
}

// unchanged is the status after a look that found nothing new: what was said before holds, but for a failure to fetch.
func (p *pass) unchanged() edit {
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		if p.memory.revision.build.Reason != "" {
			p.refused()(s, c)
			return
		}
		if p.stand(s, c); v1alpha1.Condition(c.List(), v1alpha1.ConditionReady) == nil {
			c.Ready(v1alpha1.ReasonApplied, "applied "+short(p.memory.revision.commit))
		}
		s.LastAttemptedRevision = p.memory.revision.commit.Revision()
	}
}

// advanced is after a commit that changes nothing here: what is said of the one before holds for it.
func (p *pass) advanced() edit {
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		p.unchanged()(s, c)
		s.Ref = p.memory.revision.commit.Ref
		p.credit(s)
	}
}

// credit says that the revision at hand is applied.
func (p *pass) credit(s *v1alpha1.SourceStatus) {
	commit := p.memory.revision.commit
	s.LastAppliedRevision = commit.Revision()
	s.Commit = &v1alpha1.CommitStatus{ID: commit.ID, Author: commit.Author, Subject: commit.Subject, Signer: commit.Signer,
		Time: ptr.To(metav1.NewTime(commit.Time)), Followed: followed(p.src)}
}

// failed is after a fetch that did not work: nothing but the failure itself is written.
func (p *pass) failed(ctx context.Context, err error) error {
	m := p.memory
	if ctx.Err() != nil {
		return err
	}
	failure, ok := errors.AsType[*gitsync.Failure](err)
	if !ok {
		return err
	}
	if m.fetching.failures++; m.fetching.failures == 1 {
		m.fetching.since = p.started
	}
	m.next = p.started.Add(backoff(m.fetching.failures, failure.Reason, failure.RetryAfter, p.controller.config.Random()))
	return p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = int32(m.fetching.failures)
		if failure.Problem != nil {
			setProblems(s, []problem.Problem{*failure.Problem})
		}
		switch {
		case failure.Reason.Stalled():
			c.Stalled(string(failure.Reason), err.Error())
		case m.grave(failure.Reason, p.started):
			c.Failing(string(failure.Reason), fmt.Sprintf("%s (%s)", err, count(m.fetching.failures, "failure")))
		default:
			c.Retrying(string(failure.Reason), err.Error())
		}
		keepPruneHeld(s, c)
	})
}

// refused is after a render that gave nothing to apply.
func (p *pass) refused() edit {
	rev := p.memory.revision
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		s.Ref, s.LastAttemptedRevision = rev.commit.Ref, rev.commit.Revision()
		setProblems(s, rev.build.Problems)
		s.Held, s.AdoptingSince = nil, nil
		text := count(len(rev.build.Problems), "problem")
		if len(s.Problems) > 0 {
			text = line(s.Problems[0])
		}
		c.Stalled(string(rev.build.Reason), fmt.Sprintf("%s: %s; what was applied before stays", short(rev.commit), text))
		keepPruneHeld(s, c)
	}
}

// applying is before the first apply of a new object: the inventory already lists it.
func (p *pass) applying(r *result) edit {
	rev := p.memory.revision
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		s.Ref, s.LastAttemptedRevision = rev.commit.Ref, rev.commit.Revision()
		s.Inventory = r.inventory.Strings()
		s.Held = slices.DeleteFunc(s.Held, func(u v1alpha1.HeldUnit) bool { return len(u.Codes) == 0 })
		s.Held = append(s.Held, p.movingUnits(r, maxHeld-len(s.Held))...)
		c.Moving(v1alpha1.ReasonApplying, fmt.Sprintf("applying %s: %s", short(rev.commit), count(len(r.set.Items), "object")))
		keepPruneHeld(s, c)
	}
}

// troubled is after a pass that could not finish; it is tried again.
func (p *pass) troubled(ctx context.Context, r *result, err error) error {
	m := p.memory
	if ctx.Err() != nil {
		return err
	}
	m.settled = false
	m.waits.Store(false)
	m.retries++
	reason := gitsync.ReasonOf(err, gitsync.ApplyFailed)
	var asked time.Duration
	if failure, ok := errors.AsType[*gitsync.Failure](err); ok {
		asked = failure.RetryAfter
	}
	wait := doubled(firstRetry, m.retries, longestRetry)
	if reason.Stalled() {
		wait = longestBackoff
	}
	m.again = p.started.Add(max(wait, asked))
	return p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.LastAttemptedRevision = m.revision.commit.Revision()
		if r.inventory != nil {
			s.Inventory = r.inventory.Strings()
		}
		setProblems(s, r.problems)
		if r.prune.begun { // nothing moves any more, so no Rollout waits for it
			s.Held = slices.DeleteFunc(s.Held, func(u v1alpha1.HeldUnit) bool { return len(u.Codes) == 0 })
		}
		switch {
		case reason.Stalled():
			c.Stalled(string(reason), err.Error())
		case m.retries >= tolerated:
			c.Failing(string(reason), err.Error())
		default:
			c.Retrying(string(reason), err.Error())
		}
		keepPruneHeld(s, c)
	})
}

// applied is after a whole pass.
func (p *pass) applied(r *result) edit {
	rev := p.memory.revision
	held := heldUnits(r)
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		s.Ref, s.LastAttemptedRevision = rev.commit.Ref, rev.commit.Revision()
		s.Inventory = r.inventory.Strings()
		setProblems(s, r.problems)
		s.Held = nil
		for _, u := range held[:min(len(held), maxHeld)] {
			u.Revision = s.LastAppliedRevision
			s.Held = append(s.Held, u)
		}
		s.Held = append(s.Held, waitingUnits(r.set.Waiting, maxHeld-len(s.Held))...)
		if len(held) == 0 && len(r.set.Waiting) == 0 && r.put == 0 {
			p.credit(s)
		}
		s.AdoptingSince = p.adopted(s)
		p.enter(s)
		p.setPruneHeld(s, c, r.prune.set)
		switch {
		case len(r.set.Waiting) > 0 && len(r.outcome.Refused) == 0:
			c.Moving(v1alpha1.ReasonWaitingForRollout, fmt.Sprintf("%s: %s waits until the version before it has no traffic", short(rev.commit), r.set.Waiting[0].Ref()))
		case p.memory.echo.booting:
			c.Moving(v1alpha1.ReasonBootstrapping, "applied the last good commit, "+short(rev.commit)+": the newest follows once all Rollouts have a stable version")
		case r.put > 0:
			p.putOff(r, c)
		case len(held) > 0 || problem.HasError(r.problems):
			c.Stalled(invalidReason(s), short(rev.commit)+": "+invalid(s))
		default:
			c.Ready(v1alpha1.ReasonApplied, "applied "+short(rev.commit))
		}
		p.sayWithheld(s, r.prune.set)
	}
}

// sayWithheld adds the Problem of a prune that is held.
func (p *pass) sayWithheld(s *v1alpha1.SourceStatus, pruned gitsync.PruneSet) {
	if pruned.Withheld == "" {
		return
	}
	s.ProblemCount++
	if len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, problemStatus(pruned.Problem(p.memory.revision.commit.ID)))
	}
}

// adopted is since when Rollouts adopt the last good commit: nil once the newest one is applied. A commit that is held has
// not been applied.
func (p *pass) adopted(s *v1alpha1.SourceStatus) *metav1.Time {
	switch {
	case !p.memory.echo.booting:
		return nil
	case s.AdoptingSince != nil:
		return s.AdoptingSince
	}
	return ptr.To(metav1.NewTime(p.started))
}

func (p *pass) setPruneHeld(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions, pruned gitsync.PruneSet) {
	s.PruneHeld = nil
	if pruned.Withheld == "" {
		return
	}
	s.PruneHeld = &v1alpha1.PruneHeld{Reason: string(pruned.Withheld), Count: int32(len(pruned.Kept))}
	for _, id := range pruned.Kept[:min(len(pruned.Kept), maxNames)] {
		s.PruneHeld.Names = append(s.PruneHeld.Names, id.Ref())
	}
	c.Set(v1alpha1.ConditionPruneHeld, metav1.ConditionTrue, string(pruned.Withheld),
		fmt.Sprintf("%s stay though Git no longer has them: %s", count(len(pruned.Kept), "object"), strings.Join(s.PruneHeld.Names, ", ")))
}

// putOff says which trouble the server has with some unit.
func (p *pass) putOff(r *result, c *v1alpha1.Conditions) {
	worst := p.memory.units.worst()
	text := fmt.Sprintf("%s: %s to be tried again: %s", short(p.memory.revision.commit), count(r.put, "unit"), worst.err)
	if worst.tries >= tolerated {
		c.Failing(string(gitsync.ReasonOf(worst.err, gitsync.ApplyFailed)), text)
		return
	}
	c.Retrying(string(gitsync.ReasonOf(worst.err, gitsync.ApplyFailed)), text)
}
