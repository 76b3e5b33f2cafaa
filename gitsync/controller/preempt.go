package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	maxPreemptions = 3                // in a row; the next run goes to its end
	preemptFor     = 30 * time.Second // since the first of them began; then the run in hand goes to its end
)

// preemption is what is known of newer commits that cut runs short.
type preemption struct {
	nudge chan struct{} // somebody asks for a look while a run is in hand; holds one
	tip   string        // what the ref led to when it was looked at last
	runs  int           // cut short in a row
	since time.Time     // when the first of these began
	left  *revision     // whose run was cut short, until something newer is applied in its place
}

func newPreemption() preemption { return preemption{nudge: make(chan struct{}, 1)} }

// until is when a run that begins now can no longer be cut short; false: it goes to its end.
func (e *preemption) until(now time.Time) (time.Time, bool) {
	first := now
	if e.runs > 0 {
		first = e.since
	}
	end := first.Add(preemptFor)
	return end, e.runs < maxPreemptions && now.Before(end)
}

// cut notes that a run which began at that time was cut short.
func (e *preemption) cut(began time.Time) {
	if e.runs == 0 {
		e.since = began
	}
	e.runs++
}

// nudge tells the run in hand that somebody asks for a look at its Source.
func (c *Controller) nudge(source types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory[source]
	if m == nil {
		return
	}
	select {
	case m.preemption.nudge <- struct{}{}:
	default:
	}
}

// preemptible runs work with a context that ends, by ErrPreempted, once the ref leads to another commit. The commit in hand
// stays due: should the newer one be refused, it is applied after all.
func (p *pass) preemptible(ctx context.Context, work func(run context.Context) error) error {
	m := p.memory
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := p.watchRef(ctx, cancel)
	err := work(run)
	stop()
	if !errors.Is(err, gitsync.ErrPreempted) {
		m.preemption.runs = 0
		return err
	}
	m.preemption.cut(p.started)
	if m.revision != nil && m.revision.build.Reason == "" {
		m.preemption.left = m.revision
	}
	m.settled = false
	m.next, m.again = p.started, p.started
	return nil
}

// watchRef looks at the remote while a run is in hand, when somebody asks for it or the poll is due. The returned function
// ends that and waits for its end.
func (p *pass) watchRef(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	m, c := p.memory, p.controller
	end, may := m.preemption.until(p.started)
	ref, err := p.remote(ctx)
	if !may || err != nil { // a remote that cannot be asked has nothing newer
		return func() {}
	}
	s := &sentry{controller: c, name: types.NamespacedName{Namespace: p.src.Namespace, Name: p.src.Name}, ref: ref, have: p.have(), commit: m.preemption.tip,
		nudge: m.preemption.nudge, last: m.lastLook, end: end, every: p.src.Spec.Interval.Or(defaultInterval)}
	watching, done := context.WithCancel(ctx)
	poll := max(m.next.Sub(p.started), betweenHints)
	var running sync.WaitGroup
	running.Go(func() {
		if s.newer(watching, poll) {
			c.meters.preemptions.Inc()
			cancel(gitsync.ErrPreempted)
		}
	})
	return func() { done(); running.Wait() }
}

// sentry looks at the remote beside a run. It shares nothing with the pass but what is made for that.
type sentry struct {
	controller   *Controller
	name         types.NamespacedName
	ref          gitsync.Ref
	have, commit string
	nudge        <-chan struct{}
	last, end    time.Time // the newest look; when it is too late to cut the run short
	every        time.Duration
}

// newer waits until the ref leads to another commit; false when ctx ends before, or it is too late. The remote is looked at
// by the clock, when somebody asks, at most once a second, and again while it does not show an announced commit.
func (s *sentry) newer(ctx context.Context, poll time.Duration) bool {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	var again <-chan time.Time
	looks := 0
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.nudge:
			looks = 0
		case <-timer.C:
			timer.Reset(s.every)
		case <-again:
		}
		now := s.controller.config.Now()
		if wait := betweenHints - now.Sub(s.last); wait > 0 {
			again = time.After(wait)
			continue
		}
		if !now.Before(s.end) {
			return false
		}
		s.last = now
		if at, err := s.controller.config.Fetcher.Tip(ctx, s.ref, s.have); err == nil && at != s.commit {
			return true
		}
		looks++
		again = nil
		if wait, more := announced(looks); more && s.announced() {
			again = time.After(wait)
		}
	}
}

// announced reports whether a webhook has named another commit than the one in hand.
func (s *sentry) announced() bool {
	c := s.controller
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hints[s.name]
	return ok && h.after != "" && h.after != s.commit
}

// stopped is ErrPreempted once the run is to make way.
func stopped(run context.Context) error {
	if errors.Is(context.Cause(run), gitsync.ErrPreempted) {
		return gitsync.ErrPreempted
	}
	return nil
}
