package rollout

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// emptyLimit is the observed time after which a canary that is sent traffic without a ready endpoint has failed.
const emptyLimit = 10 * time.Second

// nobodyLimit is the observed time after which a fleet without a proxy counts as having none.
const nobodyLimit = 5 * time.Second

// finalLimit bounds the wait for the proxies when the object is being deleted.
const finalLimit = 50 * time.Second

// Step is the engine: the state after st, and what follows from it. It is total and repeatable, makes at most one
// transition, and leaves st, which the new state may share slices with, as it is. A state made by it is never changed
// in place.
func Step(spec Spec, st State, obs Observation, now time.Time) (State, Actions) {
	if obs.Seq != st.Seq {
		return st, Actions{Wake: now}
	}
	t := begin(spec, st, obs, now)
	switch {
	case st.Phase.Open():
		t.open()
	case st.Phase == RollingBack:
		t.rollingBack()
	default:
		t.rest()
	}
	return t.next, t.actions()
}

// Fail decides an open attempt as failed for a reason the caller found, as rows 2 to 9 do. Without an open attempt, or
// for an observation of another state, nothing changes.
func Fail(spec Spec, st State, obs Observation, now time.Time, reason Reason) (State, Actions) {
	t := begin(spec, st, obs, now)
	if obs.Seq == st.Seq && st.Phase.Open() {
		t.fail(reason)
	}
	return t.next, t.actions()
}

// turn is one call of Step: what is given, and the next state as it grows.
type turn struct {
	spec     Spec
	prev     State
	obs      Observation
	now      time.Time
	next     State
	moved    *Transition
	finalize bool
}

func begin(spec Spec, st State, obs Observation, now time.Time) *turn {
	if now.Before(st.Since) {
		now = st.Since
	}
	t := &turn{spec: spec, prev: st, obs: obs, now: now.UTC(), next: st}
	t.next.Progress.Clocks = t.running()
	if obs.Fleet.Settled {
		t.next.Traffic.Settled = st.Traffic.Seq
	}
	return t
}

// running lets those clocks run that a row waits for, up to what it waits for; the others stand. So a state in which
// only a person can do something does not change by itself.
func (t *turn) running() Clocks {
	st, is, spec := t.prev, t.obs.Clocks, t.spec
	out := Clocks{Empty: t.emptyClock()}
	switch st.Phase {
	case Preparing:
		out.Phase = spec.ProgressDeadline
	case Shifting:
		if t.obs.Fleet.Connected < spec.Convergence.MinProxies {
			return Clocks{Empty: out.Empty, Few: min(is.Few, spec.Convergence.Timeout)}
		}
		return Clocks{Empty: out.Empty, Phase: min(is.Phase, spec.Convergence.Timeout)}
	case Baking, Holding:
		if stuck(st.Progress.Hold) {
			out.Phase = spec.ProgressDeadline
		}
		out.Step = st.Stage().Max
		if t.obs.Report.Verdict == analysis.Blind {
			out.Blind = min(is.Blind, spec.Analysis.BlindAfter)
		}
	case RollingBack:
		if st.Traffic.Weight == 0 {
			out.Phase = t.confirmLimit()
		}
	case Idle, RolledBack:
		return Clocks{}
	}
	was := st.Progress.Clocks
	out.Phase = max(was.Phase, min(is.Phase, out.Phase))
	out.Step = max(was.Step, min(is.Step, out.Step))
	return out
}

func (t *turn) emptyClock() time.Duration {
	st, ready := t.prev, t.obs.Ready
	switch {
	case !st.Phase.Open() || st.Traffic.Weight == 0 || ready.Known && ready.Canary > 0:
		return 0
	case !ready.Known:
		return st.Progress.Clocks.Empty
	}
	return min(t.obs.Clocks.Empty, emptyLimit)
}

// open is rows 2 to 21: harm first, then withdrawal, then the phase.
func (t *turn) open() {
	if reason := t.failure(); reason != "" {
		t.fail(reason)
		return
	}
	if outcome, reason := t.withdrawn(); reason != "" {
		t.leave(outcome, reason)
		return
	}
	switch t.prev.Phase {
	case Preparing:
		t.preparing()
	case Shifting:
		t.shifting()
	default:
		t.baking()
	}
}

// move makes the transition: everything but what the row itself changes. Call it last.
func (t *turn) move(to Phase, reason Reason) {
	n := &t.next
	n.Seq++
	n.Reason, n.Since = reason, t.now
	if to != t.prev.Phase || n.Progress.Hold != t.prev.Progress.Hold {
		n.Progress.Clocks.Phase = 0
	}
	n.Phase = to
	if !n.sameTraffic(t.prev) {
		n.Traffic.Seq = n.Seq
		if t.prev.Phase == RollingBack && !to.Rest() {
			n.Progress.Clocks.Phase = 0
		}
	}
	t.moved = &Transition{Seq: n.Seq, From: t.prev.Phase, To: to, Reason: reason}
	t.describe()
}

// tell notes something once in a step, without going anywhere.
func (t *turn) tell(reason Reason) {
	t.next.Progress.Told = appended(t.next.Progress.Told, reason)
	t.move(t.prev.Phase, reason)
}

// enter asks for plan entry k.
func (t *turn) enter(k int, reason Reason) {
	n := &t.next
	n.Traffic.Step, n.Traffic.Weight = k, n.Plan[k-1].Weight
	n.Progress.Hold, n.Progress.Told, n.Progress.SettledAt = "", nil, time.Time{}
	n.Progress.Clocks = Clocks{Empty: n.Progress.Clocks.Empty}
	t.move(Shifting, reason)
}

// fail decides the attempt as rolled back and remembers its version.
func (t *turn) fail(reason Reason) {
	n := &t.next
	entry := Rejection{Version: n.Canary, Attempt: n.Attempt, Reason: reason, At: t.now}
	rest := slices.DeleteFunc(slices.Clone(n.Rejected), func(r Rejection) bool { return r.Digest == n.Canary.Digest })
	n.Rejected = firsts(slices.Insert(rest, 0, entry), MaxRejected)
	t.leave(OutcomeRolledBack, reason)
}

// leave decides the attempt and takes the canary to weight 0, unless that would send traffic to nothing.
func (t *turn) leave(outcome Outcome, reason Reason) {
	n := &t.next
	n.Outcome = outcome
	n.Progress.Hold = ""
	if outcome == OutcomeReverted {
		n.Attempted = t.obs.Want.Digest
	}
	if !StableEmpty(t.obs) {
		n.Traffic.Weight = 0
	}
	t.move(RollingBack, reason)
	t.remember(reason, t.cause(reason))
}

// StableEmpty reports that stable has no ready endpoint while the canary has one: the only thing that keeps a weight
// from falling.
func StableEmpty(obs Observation) bool {
	return obs.Ready.Known && obs.Ready.Stable == 0 && obs.Ready.Canary > 0
}

// clear forgets the attempt; what remains are outcome, rejections and history.
func (t *turn) clear() {
	n := &t.next
	n.Canary, n.Plan, n.Gates, n.Progress = Version{}, nil, nil, Progress{}
	n.Traffic.Step, n.Traffic.Weight = 0, 0
}

// remember puts the attempt into the history.
func (t *turn) remember(reason Reason, text string) {
	n := &t.next
	version := t.prev.Canary
	started := t.prev.Progress.StartedAt
	if version == (Version{}) {
		version, started = n.Stable, t.now
	}
	entry := Past{Attempt: n.Attempt, Version: version, StartedAt: started, EndedAt: t.now,
		Outcome: n.Outcome, Reason: reason, Step: t.prev.Traffic.Step, Text: cut(text, MaxText)}
	if n.Outcome == "" {
		entry.Outcome = OutcomeCompleted
	}
	n.History = firsts(slices.Insert(slices.Clone(n.History), 0, entry), t.spec.HistoryLimit)
}

func appended[T any](list []T, v T) []T { return append(slices.Clip(list), v) }

func firsts[T any](list []T, n int) []T { return list[:min(len(list), max(n, 0))] }
