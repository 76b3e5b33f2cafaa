package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// people is what persons have asked for: each action as it is stored, with its result once it has one.
type people struct {
	actions []asked
	window  rollout.Window
	brake   *rollout.Brake
	down    bool   // the API server is gone
	unsaid  uint64 // seq whose failed write was not put out yet
	epoch   int
}

type asked struct {
	rollout.Action
	answer rollout.Answer // empty: pending
}

// pending are the actions without a result.
func (p *people) pending() []rollout.Action {
	var out []rollout.Action
	for _, a := range p.actions {
		if a.answer == "" {
			out = append(out, a.Action)
		}
	}
	return out
}

// written are the consumed actions that say so themselves.
func (p *people) written(st rollout.State) []string {
	var out []string
	for _, c := range st.Consumed {
		if slices.ContainsFunc(p.actions, func(a asked) bool { return a.UID == c.UID && a.answer != "" }) {
			out = append(out, c.UID)
		}
	}
	return out
}

func (p *people) answer(uid string, how rollout.Answer) {
	for i := range p.actions {
		if p.actions[i].UID == uid {
			p.actions[i].answer = how
		}
	}
}

// act makes an action. The same id again is the same action, offered by somebody whose list is old.
func (c command) act() error {
	w := c.world
	if !slices.Contains(rollout.Verbs(), rollout.Verb(c.arg())) {
		return fmt.Errorf("unknown verb %q", c.arg())
	}
	a := rollout.Action{UID: c.option("id", fmt.Sprintf("action-%d", len(w.actions)+1)), Verb: rollout.Verb(c.arg()), Actor: c.option("by", "ana"),
		IfRevision: c.option("if-revision", ""), Step: c.option("step", ""), OverrideWindow: c.option("override-window", "") == "true",
		Reason: c.option("reason", ""), Created: w.wall}
	attempt, err := c.number("if-attempt", 0)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(c.option("if-seq", "0"), 10, 64)
	if err != nil {
		return fmt.Errorf("if-seq: %w", err)
	}
	a.IfAttempt, a.IfSeq = int64(attempt), seq
	if slices.ContainsFunc(w.actions, func(o asked) bool { return o.UID == a.UID }) {
		return w.duplicate(a)
	}
	w.actions = append(w.actions, asked{Action: a})
	return nil
}

// duplicate offers an action that is known already: while the state lists it, nothing may follow.
func (w *World) duplicate(a rollout.Action) error {
	st := w.State()
	w.sayf("duplicate %s", a.Verb)
	if !slices.ContainsFunc(st.Consumed, func(c rollout.Consumed) bool { return c.UID == a.UID }) {
		return nil
	}
	obs := w.observe(st)
	obs.Action, obs.Written = &a, nil
	if _, acts := rollout.Step(w.spec.engine(), st, obs, w.wall); acts.Consumed != nil {
		return fmt.Errorf("action %s was consumed twice", a.UID)
	}
	return nil
}

// calendar says whether the time is one in which the canary may get more.
func (c command) calendar() error {
	w := c.world
	reasons := map[string]rollout.Reason{"open": "", "closed": rollout.OutsideWindow, "frozen": rollout.Frozen}
	reason, known := reasons[c.arg()]
	if !known {
		return fmt.Errorf("a window is open, closed or frozen, not %q", c.arg())
	}
	w.window = rollout.Window{Reason: reason, Text: c.option("text", "")}
	if until := c.option("until", ""); until != "" {
		d, err := time.ParseDuration(until)
		if err != nil {
			return err
		}
		w.window.Until = w.wall.Add(d)
	}
	return nil
}

// open is the window at a time: one that has ended is over.
func (p *people) open(wall time.Time) rollout.Window {
	if w := p.window; w.Until.IsZero() || wall.Before(w.Until) {
		return w
	}
	return rollout.Window{}
}

// setBrake takes the API server away, or brings it back. A reason says that a failure was found while it was away.
func (w *World) setBrake(arg string) {
	w.down = arg != "off"
	if st := w.State(); arg != "" && arg != "off" && st.Phase.Open() && !st.Kind.Observe {
		w.brake = &rollout.Brake{Attempt: st.Attempt, Reason: rollout.Reason(arg), Text: "found while nothing could be stored"}
	}
}

// unwritten is a write while the API server is gone: of a failure, the canary's weight goes to 0 all the same. What a person asks
// for is taken with the write, or not at all.
func (w *World) unwritten(prev, next rollout.State) {
	if w.unsaid != next.Seq {
		w.unsaid = next.Seq
		w.sayf("unwritten seq=%d", next.Seq)
	}
	failed := prev.Phase.Open() && next.Phase == rollout.RollingBack && next.Outcome.Failed() && !next.Kind.Observe
	if !failed || len(next.Consumed) > len(prev.Consumed) || w.brake != nil && w.brake.Attempt == next.Attempt {
		return
	}
	w.brake = &rollout.Brake{Attempt: next.Attempt, Reason: next.Reason, Text: next.History[0].Text}
	if next.Traffic.Weight == 0 {
		w.fleet.render(next, w.mono)
	}
	w.sayf("braked attempt=%d %s %d%%", next.Attempt, next.Reason, next.Traffic.Weight)
}

// restarted forgets what only a process knew.
func (w *World) restarted() {
	w.seen, w.brake, w.unsaid = rollout.Watch{}, nil, 0
	w.fleet.render(w.State(), w.mono)
}
