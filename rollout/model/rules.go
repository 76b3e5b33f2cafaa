package model

import (
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// hold holds a write against what must be true of every write, whoever made it and from whatever it saw.
func (x *search) hold(w *world, r int8, before *rollout.State, wr written) error {
	next := wr.next
	if w.replicas[r].epoch < w.epoch {
		return fmt.Errorf("epoch %d is stored after %d", w.replicas[r].epoch, w.epoch)
	}
	if wr.prev.Seq != before.Seq {
		return fmt.Errorf("a decision on seq %d is stored after seq %d", int64(wr.prev.Seq)-seqNow, int64(before.Seq)-seqNow)
	}
	for _, rule := range []func(*world, *rollout.State, written) error{x.order, x.harm, x.raises, x.promotion, x.fleetRules, x.attempts} {
		if err := rule(w, before, wr); err != nil {
			return fmt.Errorf("%s > %s %s: %w", before.Phase, next.Phase, next.Reason, err)
		}
	}
	fails := next.Phase == rollout.RollingBack && next.Outcome.Failed()
	if w.memory.found[r] && before.Phase.Open() && !fails {
		return fmt.Errorf("%s > %s %s: the leader has found the attempt harmful and stores something else first", before.Phase, next.Phase, next.Reason)
	}
	if c := wr.acts.Consumed; c != nil && c.Answer == rollout.Accepted && w.action.id != 0 && w.memory.consumed[w.action.id] > 0 {
		return fmt.Errorf("%s takes effect twice", c.Verb)
	}
	if c := wr.acts.Consumed; c != nil && c.Answer == rollout.Accepted && w.action.id != 0 && w.action.attempt > 0 {
		return fmt.Errorf("%s takes effect on an attempt that it is not for", c.Verb)
	}
	return nil
}

// order: one transition at a time, along the table.
func (x *search) order(_ *world, before *rollout.State, wr written) error {
	next := wr.next
	switch next.Seq - before.Seq {
	case 0:
		if next.Phase != before.Phase || next.Traffic.Weight != before.Traffic.Weight || next.Attempt != before.Attempt || next.Outcome != before.Outcome ||
			next.Canary != before.Canary || next.Stable != before.Stable {
			return errors.New("it changes without the next seq")
		}
		return nil
	case 1:
	default:
		return fmt.Errorf("seq moves by %d", int64(next.Seq)-int64(before.Seq))
	}
	if !x.edges[rollout.Edge{From: before.Phase, To: next.Phase, Reason: next.Reason}] {
		return errors.New("it is no edge")
	}
	return nil
}

// harm: what is seen to be harmful ends the attempt in this very write, whatever else is asked.
func (x *search) harm(w *world, before *rollout.State, wr written) error {
	obs, next := wr.obs, wr.next
	aborts := obs.Action != nil && (obs.Action.Verb == rollout.VerbAbort || obs.Action.Verb == rollout.VerbRollback) && obs.Action.IfAttempt == before.Attempt
	if before.Phase.Open() && (obs.Report.Verdict == analysis.Rollback || obs.Fleet.Nacked > 0 || obs.Brake != nil || aborts) {
		if next.Phase != rollout.RollingBack || !next.Outcome.Failed() {
			return errors.New("the attempt is harmful, and goes on")
		}
	}
	if _, rejected := next.Rejection(before.Canary.Digest); before.Phase.Open() && next.Outcome.Failed() && !rejected {
		return errors.New("the attempt has failed, and its version is not rejected in the same write")
	}
	if next.Phase == rollout.RollingBack && next.Traffic.Weight > 0 && !w.empty {
		return errors.New("stable could take the traffic, and the canary keeps it")
	}
	if w.empty && next.Traffic.Weight < before.Traffic.Weight && next.Phase != rollout.Idle {
		return errors.New("traffic is taken from the canary to nothing")
	}
	return nil
}

// raises: a weight rises by one step, with its gate, and not while paused.
func (x *search) raises(w *world, before *rollout.State, wr written) error {
	next := wr.next
	if next.Traffic.Weight <= before.Traffic.Weight {
		return nil
	}
	asked := wr.acts.Consumed != nil && wr.acts.Consumed.Answer == rollout.Accepted || before.Progress.Wishes.Full
	switch {
	case next.Phase != rollout.Shifting || next.Attempt != before.Attempt || next.Canary != before.Canary:
		return errors.New("a raise that is no step")
	case next.Traffic.Step != before.Traffic.Step+1 && !asked:
		return fmt.Errorf("step %d after step %d", next.Traffic.Step, before.Traffic.Step)
	case before.Traffic.Step > 0 && !gated(next, before.Traffic.Step):
		return fmt.Errorf("step %d is left without its gate", before.Traffic.Step)
	case (x.bounds.Paused || w.memory.paused) && !next.Kind.Undo:
		return errors.New("a raise while paused")
	case w.memory.decided:
		return errors.New("the attempt was decided, and gets more")
	case number(next.Canary) != w.want && !next.Kind.Undo:
		return fmt.Errorf("a raise of %s, and Git wants %s", next.Canary.Name, name(w.want))
	}
	return nil
}

func gated(st rollout.State, step int) bool {
	for _, g := range st.Gates {
		if g.Step == step {
			return true
		}
	}
	return false
}

// promotion: stable changes only to a canary that every connected proxy sends everything.
func (x *search) promotion(w *world, before *rollout.State, wr written) error {
	if wr.next.Stable == before.Stable {
		return nil
	}
	if wr.next.Stable != before.Canary || before.Traffic.Weight != 100 || wr.next.Phase != rollout.Idle {
		return fmt.Errorf("stable becomes %s at %d%%", wr.next.Stable.Name, before.Traffic.Weight)
	}
	return x.everybodyHas(w, asked(before))
}

// fleetRules: the proxies have what a bake is about, and limits count only time that somebody watched.
func (x *search) fleetRules(w *world, before *rollout.State, wr written) error {
	next := wr.next
	if before.Phase == rollout.Shifting && next.Phase == rollout.Baking {
		return x.everybodyHas(w, asked(before))
	}
	limited := next.Reason == rollout.ConvergenceTimeout || next.Reason == rollout.ProgressDeadlineExceeded || next.Reason == rollout.RollbackUnconfirmed && before.Kind == next.Kind
	if limited && next.Seq != before.Seq && wr.obs.Brake == nil && w.memory.watched < longest { // a brake's limit had passed when it was found
		return fmt.Errorf("a limit of %d ticks ends after %d that somebody watched", longest, w.memory.watched)
	}
	return nil
}

func (x *search) everybodyHas(w *world, want share) error {
	for p := range x.bounds.Proxies {
		if have := w.proxies[p]; w.replicas[have.replica].up && have.share != want {
			return fmt.Errorf("proxy %d has %v, not %v", p, have.share, want)
		}
	}
	return nil
}

// attempts: they begin at rest with nothing, keep their version, and what failed is not tried again unasked.
func (x *search) attempts(w *world, before *rollout.State, wr written) error {
	next := wr.next
	retried := wr.acts.Consumed != nil && wr.acts.Consumed.Verb == rollout.VerbRetry && wr.acts.Consumed.Answer == rollout.Accepted
	if next.Attempt == before.Attempt {
		switch {
		case before.Outcome != rollout.OutcomeOpen && next.Outcome != before.Outcome:
			return fmt.Errorf("outcome %s becomes %s", before.Outcome, next.Outcome)
		case before.Phase.Open() && next.Canary.Name != "" && next.Canary != before.Canary:
			return fmt.Errorf("the canary becomes %s within the attempt", next.Canary.Name)
		}
		return nil
	}
	switch {
	case !before.Phase.Rest() || next.Phase != rollout.Preparing || next.Traffic.Weight != 0 || len(next.Gates) > 0:
		return fmt.Errorf("an attempt begins with %d%% and %d gates", next.Traffic.Weight, len(next.Gates))
	case w.memory.rejected[number(next.Canary)] && !retried:
		return fmt.Errorf("%s failed, and is tried again", next.Canary.Name)
	}
	return nil
}

// remember brings the memory up to date with a write.
func (w *world) remember(before *rollout.State, wr written, b Bounds) {
	m, next := &w.memory, wr.next
	if next.Phase != before.Phase || next.Progress.Hold != before.Progress.Hold {
		m.watched = 0
	}
	if before.Phase.Open() && !next.Phase.Open() {
		m.decided, m.paused = true, false
		if next.Outcome.Failed() {
			m.rejected[number(before.Canary)] = true
		}
	}
	if c := wr.acts.Consumed; c != nil && c.Answer == rollout.Accepted {
		if w.action.id != 0 {
			m.consumed[w.action.id]++
		}
		m.paused = c.Verb == rollout.VerbPause || m.paused && c.Verb != rollout.VerbResume
		if c.Verb == rollout.VerbRetry {
			m.rejected[w.want] = false
		}
	}
	if next.Attempt > before.Attempt {
		m.decided, m.paused, m.found = false, false, [maxReplicas]bool{}
		if next.Kind.Undo {
			m.rejected[number(before.Stable)] = true
		}
	}
	if next.Phase == rollout.RollingBack || next.Phase.Rest() {
		m.found = [maxReplicas]bool{}
	}
}
