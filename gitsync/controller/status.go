package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// Bounds of what a status holds.
const (
	maxProblems = 50
	maxHeld     = 20
	maxNames    = 10
	maxHistory  = 10
	maxCodes    = 16
)

// edit changes a status; conditions that it does not set again are gone.
type edit func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions)

// write patches the status when the edit changes it, on condition that the Source is still as it was read. It is the
// only place that does.
func (p *pass) write(ctx context.Context, change edit) error {
	before := p.src.DeepCopy()
	s := &p.src.Status
	conditions := v1alpha1.NewConditions(s.Conditions, p.src.Generation, p.controller.config.Now())
	change(s, conditions)
	s.Conditions = conditions.List()
	s.ObservedGeneration = p.src.Generation
	s.LastHandledReconcile = p.src.Annotations[v1alpha1.AnnotationReconcile]
	if equality.Semantic.DeepEqual(before.Status, p.src.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := p.controller.config.Client.Status().Patch(ctx, p.src, patch); err != nil {
		return fmt.Errorf("writing the status of the Source: %w", err)
	}
	p.announce(before.Status.Conditions)
	return nil
}

// announce tells of a new failure once; successes are told by applied with their numbers.
func (p *pass) announce(before []metav1.Condition) {
	was, is := v1alpha1.Condition(before, v1alpha1.ConditionReady), v1alpha1.Condition(p.src.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || is.Status != metav1.ConditionFalse || (was != nil && was.Status == is.Status && was.Reason == is.Reason && was.Message == is.Message) {
		return
	}
	p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
}

// keepPruneHeld carries that condition over where a pass says nothing about it.
func keepPruneHeld(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	if held := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionPruneHeld); held != nil {
		c.Set(held.Type, held.Status, held.Reason, held.Message)
	}
}

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

// stand derives the conditions from the problems and holds that the status lists.
func (p *pass) stand(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	if refusedUnits(s) > 0 || slices.ContainsFunc(s.Problems, func(f v1alpha1.ProblemStatus) bool { return f.Severity == string(problem.Error) }) {
		c.Stalled(v1alpha1.ReasonContentInvalid, invalid(s))
	}
	keepPruneHeld(s, c)
}

// invalid is the sentence about content that was not applied.
func invalid(s *v1alpha1.SourceStatus) string {
	text := fmt.Sprintf("%s, %s held", count(int(s.ProblemCount), "problem"), count(refusedUnits(s), "unit"))
	if len(s.Problems) > 0 {
		text += "; first: " + line(s.Problems[0])
	}
	return text
}

// line says a problem in one line.
func line(f v1alpha1.ProblemStatus) string {
	place := f.Path
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column)
	}
	return strings.TrimSpace(strings.Join(slices.DeleteFunc([]string{place, f.Code, f.Message}, func(t string) bool { return t == "" }), " "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func short(c gitsync.Commit) string { return fmt.Sprintf("%s@%.7s", c.Ref, c.ID) }

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
		s.Held = nil
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
	if next := p.started.Add(max(wait, asked)); next.Before(m.next) {
		m.next = next
	}
	return p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.LastAttemptedRevision = m.revision.commit.Revision()
		if r.inventory != nil {
			s.Inventory = r.inventory.Strings()
		}
		setProblems(s, r.problems)
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
	rev, now := p.memory.revision, p.controller.config.Now()
	held := heldUnits(r)
	changed := len(r.outcome.Changed) + len(r.gone)
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
		if len(held) == 0 && len(r.set.Waiting) == 0 {
			s.LastAppliedRevision = rev.commit.Revision()
			s.Commit = &v1alpha1.CommitStatus{ID: rev.commit.ID, Author: rev.commit.Author, Subject: rev.commit.Subject, Time: ptr.To(metav1.NewTime(rev.commit.Time))}
		}
		text := fmt.Sprintf("%s: %d of %s changed, %d pruned", short(rev.commit), len(r.outcome.Changed), count(len(r.inventory), "object"), len(r.gone))
		if changed > 0 {
			took := now.Sub(p.started).Milliseconds()
			entry := v1alpha1.SourceHistory{Revision: rev.commit.Revision(), Time: metav1.NewTime(now), Changed: int32(len(r.outcome.Changed)),
				Pruned: int32(len(r.gone)), Milliseconds: took}
			s.History = slices.Insert(s.History, 0, entry)
			s.History = s.History[:min(len(s.History), maxHistory)]
			p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeNormal, v1alpha1.ReasonApplied, "Apply", "%s in %d ms", text, took)
		}
		p.setPruneHeld(s, c, r.pruned)
		switch {
		case len(r.set.Waiting) > 0 && len(r.outcome.Refused) == 0:
			c.Moving(v1alpha1.ReasonWaitingForRollout, fmt.Sprintf("%s: %s waits until the version before it has no traffic", short(rev.commit), r.set.Waiting[0].Ref()))
		case len(held) > 0 || problem.HasError(r.problems):
			c.Stalled(v1alpha1.ReasonContentInvalid, short(rev.commit)+": "+invalid(s))
		default:
			c.Ready(v1alpha1.ReasonApplied, "applied "+short(rev.commit))
		}
	}
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

// waitingUnits names the Rollouts whose other objects wait until the version before has no traffic, in units without codes:
// nothing is wrong with them. Where limit leaves no room for all of them none is named.
func waitingUnits(waiting []gitsync.ID, limit int) []v1alpha1.HeldUnit {
	var out []v1alpha1.HeldUnit
	for some := range slices.Chunk(waiting, maxCodes) {
		unit := v1alpha1.HeldUnit{}
		for _, id := range some {
			unit.Rollouts = append(unit.Rollouts, id.Ref())
		}
		out = append(out, unit)
	}
	if len(out) > limit {
		return nil
	}
	return out
}

// refusedUnits counts those that are held because of Problems.
func refusedUnits(s *v1alpha1.SourceStatus) (n int) {
	for _, u := range s.Held {
		if len(u.Codes) > 0 {
			n++
		}
	}
	return n
}

// heldUnits gives what the plan and the server have held, for people.
func heldUnits(r *result) []v1alpha1.HeldUnit {
	codes := map[int][]string{}
	for _, refusal := range r.outcome.Refused {
		codes[refusal.Unit] = append(codes[refusal.Unit], refusal.Problem.Code)
	}
	var out []v1alpha1.HeldUnit
	add := func(u gitsync.Unit, codes []string) {
		slices.Sort(codes)
		codes = slices.Compact(codes)
		held := v1alpha1.HeldUnit{Codes: codes[:min(len(codes), maxCodes)]}
		for _, id := range u.Rollouts {
			held.Rollouts = append(held.Rollouts, id.Name)
		}
		out = append(out, held)
	}
	for _, h := range r.set.Held {
		add(h.Unit, slices.Clone(h.Codes))
	}
	for i, u := range r.set.Units {
		if len(codes[i]) > 0 {
			add(u, codes[i])
		}
	}
	return out
}

func setProblems(s *v1alpha1.SourceStatus, problems []problem.Problem) {
	s.ProblemCount = int32(len(problems))
	s.Problems = nil
	for _, f := range problems[:min(len(problems), maxProblems)] {
		s.Problems = append(s.Problems, v1alpha1.ProblemStatus{Code: f.Code, Severity: string(f.Severity), Path: problem.Clean(f.Path, 512), Line: int32(f.Line),
			Column: int32(f.Column), Object: problem.Clean(f.Object, 400), Field: problem.Clean(f.Field, 256), Message: problem.Clean(f.Message, problem.MaxMessage),
			Hint: problem.Clean(f.Hint, problem.MaxMessage)})
	}
}

func inNamespace(namespace string) client.ListOption { return client.InNamespace(namespace) }
