package scenario

import (
	"reflect"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// tapeLength is how many decisions a Tape keeps at most.
const tapeLength = 64

// Decision is one that was made outside a World: all that it was made of, and what became of it.
type Decision struct {
	Spec        rollout.Spec
	State       rollout.State // as it was stored
	Observation rollout.Observation
	Now         time.Time
	How         How
	Next        rollout.State
	Moved       bool // it made a transition, or decided on an action
	Stored      bool // Next is stored
}

// How says which function of the engine decided. The zero value is Step.
type How string

// The functions but Step.
const (
	ByStep       How = ""
	ByFail       How = "fail" // with the reason InvariantBroken
	BySayRefused How = "sayRefused"
)

// Tape keeps the last decisions on one Rollout, in little space, and prints them as a script that plays to the same end. A
// look that changed nothing and saw what the one before it saw takes its place, so that what happened is kept for long. The
// zero value is empty.
type Tape struct {
	base   *rollout.State // before the first
	origin *rollout.Spec  // of the first
	packed packed         // all but the newest
	list   []moment
	spec   *rollout.Spec  // of the newest
	before *rollout.State // as stored before the newest, by those on the tape
	after  *rollout.State // and after it
}

// Most tapes are of Rollouts at rest: the same state stands before, on and after them, and is held once. What is pointed to
// is changed by nobody.

// moment is a decision on the tape: what cannot be told from those before it.
type moment struct {
	spec   *rollout.Spec  // another one from here on
	state  *rollout.State // stored by somebody else
	clocks *storedClocks  // the same, of nothing but clocks
	look
}

// look is what a decision saw.
type look struct {
	Now    time.Time
	Seen   rollout.Observation
	How    How
	Stored bool
	moved  bool
}

// storedClocks is what a write without a transition changes.
type storedClocks struct {
	Clocks  rollout.Clocks
	Settled uint64
}

// Add puts a decision on the tape. Decisions come in order.
func (t *Tape) Add(d Decision) {
	m := moment{look: look{Now: d.Now, Seen: trimmed(d.Observation), How: d.How, Stored: d.Stored, moved: d.Moved}}
	state := kept(d.State)
	sameSpec := len(t.list) > 0 && reflect.DeepEqual(*t.spec, d.Spec)
	if n := len(t.list); n > 0 && sameSpec && !m.moved && !t.list[n-1].moved && alike(t.list[n-1].Seen, m.Seen) {
		m.spec = t.list[n-1].spec
		t.list, t.after = t.list[:n-1], t.before
	}
	if !sameSpec {
		t.spec = new(d.Spec)
	}
	if len(t.list) == 0 && len(t.packed) == 0 {
		t.after, m.spec = new(state), nil
		t.base, t.origin, t.before = t.after, t.spec, t.after
	} else {
		m.differs(*t.after, state)
		if !sameSpec {
			m.spec = t.spec
		}
		t.before = t.after
		if m.state != nil || m.clocks != nil {
			t.after = new(state)
		}
	}
	if d.Stored {
		t.after = new(kept(d.Next))
	}
	t.list = append(t.list, m)
	if n := len(t.list); n > packOf || n > 1 && t.Rests() {
		t.pack()
	}
}

// differs writes down how the stored state differs from the expected one.
func (m *moment) differs(expected, is rollout.State) {
	clocks := storedClocks{Clocks: is.Progress.Clocks, Settled: is.Traffic.Settled}
	switch {
	case reflect.DeepEqual(expected, is):
	case reflect.DeepEqual(clocks.put(expected), is):
		m.clocks = &clocks
	default:
		m.state = new(is)
	}
}

// apply is the stored state that a moment begins with.
func (m *moment) apply(expected rollout.State) rollout.State {
	switch {
	case m.state != nil:
		return *m.state
	case m.clocks != nil:
		return m.clocks.put(expected)
	}
	return expected
}

func (c storedClocks) put(st rollout.State) rollout.State {
	st.Progress.Clocks, st.Traffic.Settled = c.Clocks, c.Settled
	return st
}

// decide makes the decision again.
func (l look) decide(spec rollout.Spec, st rollout.State) (rollout.State, rollout.Actions) {
	switch l.How {
	case ByFail:
		return rollout.Fail(spec, st, l.Seen, l.Now, rollout.InvariantBroken)
	case BySayRefused:
		return rollout.SayRefused(spec, st, l.Seen, l.Now)
	case ByStep:
	}
	return rollout.Step(spec, st, l.Seen, l.Now)
}

// trimmed is an observation without the numbers that the engine does not read.
func trimmed(o rollout.Observation) rollout.Observation {
	r := o.Report
	o.Report = analysis.Report{Verdict: r.Verdict, Reason: r.Reason, Metric: r.Metric, Message: r.Message}
	for _, m := range r.Metrics {
		if m.Required && m.Gap != "" {
			o.Report.Metrics = append(o.Report.Metrics, analysis.MetricReport{Name: m.Name, Required: true, Gap: m.Gap})
		}
	}
	o.Problems, o.Written = whole(slices.Clone(o.Problems)), whole(slices.Clone(o.Written))
	o.Fleet.SettledAt = o.Fleet.SettledAt.UTC().Truncate(time.Microsecond)
	return o
}

// alike reports that two looks saw the same, but for how long and by which numbers.
func alike(a, b rollout.Observation) bool {
	for _, o := range []*rollout.Observation{&a, &b} {
		o.Clocks, o.Fleet.SettledAt, o.Report.Message = rollout.Clocks{}, time.Time{}, ""
	}
	return reflect.DeepEqual(a, b)
}

// kept is a state as a status keeps it: clocks in milliseconds, instants in microseconds, lists that are empty as none.
func kept(st rollout.State) rollout.State {
	c := &st.Progress.Clocks
	for _, clock := range []*time.Duration{&c.Phase, &c.Step, &c.Blind, &c.Empty, &c.Few, &c.Gate} {
		*clock = clock.Truncate(time.Millisecond)
	}
	for _, at := range []*time.Time{&st.Progress.SettledAt, &st.Progress.StartedAt, &st.Since, &st.Previous.Until} {
		if !at.IsZero() {
			*at = at.UTC().Truncate(time.Microsecond)
		}
	}
	st.Managed, st.Rejected, st.History, st.Consumed = whole(st.Managed), whole(st.Rejected), whole(st.History), whole(st.Consumed)
	st.Plan, st.Gates, st.Approved, st.Progress.Told = whole(st.Plan), whole(st.Gates), whole(st.Approved), whole(st.Progress.Told)
	st.Traffic.Match, st.Traffic.Mirror.Methods = whole(st.Traffic.Match), whole(st.Traffic.Mirror.Methods)
	return st
}

func whole[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
