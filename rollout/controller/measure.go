package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/trace"
)

// trail is what a process has seen of an attempt and nobody stores: it is for people. A process that comes later does
// without.
type trail struct {
	attempt int64
	reached bool      // some proxy runs the first weight
	step    int       // that was entered
	entered time.Time // when
	push    push
}

// Telling says who is told of what a Controller does, and how much of it. The zero value: nobody, and each Rollout is measured.
type Telling struct {
	// Together measures all Rollouts together: without their names, and only what can be added up.
	Together bool
	// Arrival says how a commit of a Source came in; nil: it is never known.
	Arrival func(source types.NamespacedName, commit string) Arrival
	// Span is told parts of attempts when they end; it does not block. nil: nobody wants them.
	Span func(trace.Span)
	// Environment is what traces say of where this is; empty: nothing.
	Environment string
}

// account is what a Controller counts of its own work, and who is told of it.
type account struct {
	curves  curves
	meters  meters
	telling Telling
}

// Tell says who is told. Call it once, before Collectors and before anything runs.
func (c *Controller) Tell(t Telling) {
	c.telling = t
	c.meters.tallies.together = t.Together
}

// trail gives what this process has seen of the attempt of a state.
func (p *pass) trail(st rollout.State) *trail {
	t := &p.memory.trail
	if t.attempt != st.Attempt {
		*t = trail{attempt: st.Attempt}
	}
	return t
}

// entered is when the present step's weight was asked for; as stored where this process did not see it.
func (p *pass) entered() time.Time {
	st := p.state
	if t := p.trail(st); t.step == st.Traffic.Step && !t.entered.IsZero() {
		return t.entered
	}
	if at := st.Progress.SettledAt; !at.IsZero() {
		return at
	}
	return st.Since
}

// measure notes what a stored transition shows.
func (c *Controller) measure(p *pass, d decision) {
	was, is, m := p.state, d.next, d.actions.Transition
	times := c.meters.times
	times.decision.Observe(c.config.Now().Sub(p.now).Seconds())
	c.meters.tallies.with(p.key, func(t *tally) { t.moved(*m, was, is) })
	if ended(was, is) && is.Outcome == rollout.OutcomeRolledBack && !was.Progress.SettledAt.IsZero() && !was.Kind.Observe {
		times.detect.Observe(max(0, is.Since.Sub(was.Progress.SettledAt)).Seconds())
	}
	if leaves(was, is) {
		times.step.Observe(max(0, is.Since.Sub(p.entered())).Seconds())
	}
	c.traced(p, d)
	if t := p.trail(is); is.Phase.Open() && is.Traffic.Step != t.step {
		t.step, t.entered = is.Traffic.Step, is.Since
	}
}

// measureFirst notes, once, how long it took from hearing of a commit to the first proxy that runs its first weight.
func (c *Controller) measureFirst(p *pass) {
	st := p.state
	if !st.Phase.Open() || !st.Traffic.Sends() || st.Kind.Observe || !p.fleet.Rendered || p.fleet.Acked == 0 {
		return
	}
	t := p.trail(st)
	if t.reached {
		return
	}
	t.reached = true
	if t.step == 0 { // another process began the attempt, and may have counted this
		return
	}
	if heard := c.telling.heard(sourceOf(p.object), st.Canary.Commit); !heard.IsZero() {
		c.meters.times.pushToWeight.Observe(p.now.Sub(heard).Seconds())
	}
}

// measureZero notes how long the proxies took to send a failed canary nothing.
func (c *Controller) measureZero(p *pass) {
	st := p.state
	if st.Phase != rollout.RollingBack || !st.Outcome.Failed() || st.Traffic.Sends() || st.Kind.Observe || len(st.History) == 0 {
		return
	}
	c.meters.times.zero.Observe(max(0, p.wallClock().Sub(st.History[0].EndedAt)).Seconds())
}
