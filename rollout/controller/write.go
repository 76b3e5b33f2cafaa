package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// Times of writes.
const (
	writeTimeout    = 10 * time.Second
	rollbackTimeout = 1 * time.Second
	vigilEvery      = 100 * time.Millisecond
)

// errSilent is that the server does not answer, and that another write is already finding out when it does.
var errSilent = errors.New("the API server does not answer")

// errRefused is that the server understood a status and would not store it.
var errRefused = errors.New("the status was refused")

// write stores what is worth storing in one conditional patch, then lets everything follow that follows from it.
func (c *Controller) write(ctx context.Context, p *pass, d decision) (again bool, err error) {
	status, err := p.status(ctx, d)
	if err != nil {
		return false, err
	}
	if p.nothingDue(d, status) {
		return false, nil
	}
	if err := p.finish(status); err != nil {
		return false, err
	}
	c.countNotes(ctx, p, status, d)
	p.showFaults(status)
	moved := d.actions.Transition != nil
	decided := d.actions.Consumed != nil
	if !moved && (!decided && !p.due(p.object.Status, status) || p.memory.refusal.holds(p, d)) {
		return false, nil
	}
	before := p.object.DeepCopy()
	status.Epoch = p.epoch
	p.object.Status = status
	if err := c.patchStatus(ctx, p, before, d); err != nil {
		p.object.Status = before.Status
		p.missed(d, err)
		return false, err
	}
	if moved {
		p.memory.watch = p.memory.watch.Seen(d.next, p.mono)
	}
	c.announce(ctx, p, d)
	return moved || decided, nil
}

// patchStatus is the one place where a Rollout's status is written: what differs from before, if before is still what is
// stored.
func (c *Controller) patchStatus(ctx context.Context, p *pass, before *v1alpha1.Rollout, d decision) error {
	whole := carrying{client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), p.epoch}
	data, err := whole.Data(p.object)
	if err != nil {
		return err
	}
	patch, stored := client.RawPatch(whole.Type(), data), &v1alpha1.Rollout{} // the answer, and nothing besides
	stored.Namespace, stored.Name = p.key.Namespace, p.key.Name
	if isRollback(d) {
		err = c.storeRollback(ctx, p, d, func(ctx context.Context) error { return c.config.Lead.Rollbacks.Status().Patch(ctx, stored, patch) })
	} else {
		err = c.storePatiently(ctx, p, func(ctx context.Context) error { return c.config.Client.Status().Patch(ctx, stored, patch) })
	}
	if err != nil {
		if refused(err) {
			c.refuse(ctx, p, d, err)
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		return err
	}
	stored.ManagedFields = nil // nor does the cache keep who wrote which field
	m := p.memory
	if m.pruned || d.actions.Transition != nil {
		m.pruned = pruned(p.object.Status, stored.Status)
	}
	*p.object = *stored
	m.wrote, m.wroteAt, m.last = stored.ResourceVersion, p.mono, stored.DeepCopy()
	m.unheard = nil // nor was it stored, or this would be a conflict
	if isRollback(d) || before.Status == nil || before.Status.Phase != stored.Status.Phase {
		m.failed = 0 // other writes that are stored leave a rollback as overdue as it is
	}
	switch {
	case d.says:
		m.refusal.seq = d.next.Seq // it stands, and is told
	case d.actions.Transition != nil || m.refusal.reason == "": // a condition that could be stored lifts no other refusal
		m.refusal = refusal{}
	}
	return nil
}

// isRollback reports that a decision ends an attempt, or takes what is left of its traffic away.
func isRollback(d decision) bool {
	m := d.actions.Transition
	return m != nil && m.To == rollout.RollingBack
}

// storeRollback waits for an answer no longer than a rollback may. What it cannot store it brakes, and what takes long
// already while it goes on: the canary's users do not wait for the server.
func (c *Controller) storeRollback(ctx context.Context, p *pass, d decision, patch func(context.Context) error) error {
	if c.link.silent() {
		c.engage(ctx, p, d)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Rollback)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- patch(ctx) }()
	long := time.NewTimer(c.config.Lead.Patience.Rollback / 2)
	defer long.Stop()
	var err error
	select {
	case err = <-done:
	case <-long.C:
		c.engage(ctx, p, d)
		err = <-done
	}
	c.link.heard(answered(err))
	if err == nil {
		return nil
	}
	p.memory.failed++
	if p.memory.failed >= 2 || errors.Is(err, context.DeadlineExceeded) {
		c.engage(ctx, p, d)
	}
	return err
}

// storePatiently waits for an answer for as long as any write may, and judges on meanwhile: a rollback that becomes due
// does not wait for a write that hangs. While the server is silent one write at a time finds out when it answers again.
func (c *Controller) storePatiently(ctx context.Context, p *pass, patch func(context.Context) error) error {
	if !c.link.try() {
		return errSilent
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Write)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- patch(ctx) }()
	tick := time.NewTicker(vigilEvery)
	defer tick.Stop()
	began, probing := c.config.Now(), false
	for {
		select {
		case err := <-done:
			if c.link.heard(answered(err)); probing {
				c.link.done()
			}
			return err
		case <-tick.C:
		}
		if c.config.Now().Sub(began) < c.config.Lead.Patience.Rollback {
			continue
		}
		c.link.heard(false)
		if probing = probing || c.link.probe(); !probing {
			cancel()
		}
		c.vigil(ctx, p)
	}
}

// vigil looks whether the attempt has failed by what was seen since the pass began, and brakes if so. It writes nothing.
func (c *Controller) vigil(ctx context.Context, of *pass) {
	p := *of
	given := *of.given
	p.given, p.blocked = &given, nil
	p.now = c.config.Now()
	p.mono = p.now.Sub(c.start)
	p.readTraffic()
	d := c.decide(ctx, &p)
	of.reset = of.reset || p.reset
	if isRollback(d) {
		c.engage(ctx, &p, d)
	}
}

// answered reports that the server said something to a write, be it no.
func answered(err error) bool {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err == nil
	}
	return !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsInternalError(err)
}

// link is whether the server answers.
type link struct {
	mu      sync.Mutex // guards all
	down    bool
	probing bool // a write finds out
}

func (l *link) silent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// heard notes whether a write was answered.
func (l *link) heard(answer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = !answer
}

// try reports that a write may be tried now.
func (l *link) try() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.down || !l.probing
}

// probe makes the caller the one that finds out, unless there is one.
func (l *link) probe() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probing {
		return false
	}
	l.probing = true
	return true
}

func (l *link) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
}

// nothingDue reports that a status is surely not to be written now, though its evidence is not written out yet and its size
// not known. Most looks end here.
func (p *pass) nothingDue(d decision, is *v1alpha1.RolloutStatus) bool {
	was := p.object.Status
	switch {
	case d.actions.Transition != nil, d.actions.Consumed != nil, was == nil, p.broken != "", p.memory.refusal.text != "", p.memory.pruned:
		return false
	case len(was.Notes) > 0, len(is.Notes) > 0, p.mono-p.memory.wroteAt >= persistEvery:
		return false
	}
	return !urgent(was, is)
}

// due reports that a status without a transition is to be written now: at once what people or the engine wait for,
// else what changed, but seldom. A new epoch alone is not worth a write.
func (p *pass) due(was, is *v1alpha1.RolloutStatus) bool {
	if was == nil {
		return true
	}
	if urgent(was, is) {
		return true
	}
	return p.mono-p.memory.wroteAt >= persistEvery && !equality.Semantic.DeepEqual(was, is)
}

func urgent(was, is *v1alpha1.RolloutStatus) bool {
	if was.ObservedGeneration != is.ObservedGeneration || was.SettledSeq != is.SettledSeq || len(is.Notes) > len(was.Notes) {
		return true
	}
	if len(was.Conditions) != len(is.Conditions) {
		return true
	}
	for i, c := range is.Conditions {
		if w := was.Conditions[i]; w.Type != c.Type || w.Status != c.Status || w.Reason != c.Reason {
			return true
		}
	}
	verdict := func(s *v1alpha1.RolloutStatus) string {
		if s.Analysis == nil {
			return ""
		}
		return s.Analysis.Verdict
	}
	return verdict(was) != verdict(is)
}
