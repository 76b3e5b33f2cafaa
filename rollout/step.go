package rollout

import (
	"slices"
	"time"
)

// emptyLimit is the observed time after which a canary that is sent traffic without a ready endpoint has failed.
const emptyLimit = 10 * time.Second

// begins is what a clock shows that has just begun: the least that is stored.
const begins = time.Millisecond

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

// Fail decides an open attempt as failed for a reason the caller found, as rows 2 to 11 do. Without an open attempt, or
// for an observation of another state, nothing changes.
func Fail(spec Spec, st State, obs Observation, now time.Time, reason Reason) (State, Actions) {
	t := begin(spec, st, obs, now)
	if obs.Seq == st.Seq && st.Phase.Open() {
		t.fail(OutcomeRolledBack, reason)
	}
	return t.next, t.actions()
}

// SayRefused is the transition that says that the caller's last write was refused (Observation.Refused), and changes nothing
// else. It says so once in a step, and once at rest; nothing changes where that was said.
func SayRefused(spec Spec, st State, obs Observation, now time.Time) (State, Actions) {
	t := begin(spec, st, obs, now)
	switch {
	case obs.Seq != st.Seq || obs.Refused == "":
	case st.Phase.Rest() && st.Reason != StatusRefused:
		t.move(st.Phase, StatusRefused)
	case !st.Phase.Rest() && !st.told(StatusRefused):
		t.tell(StatusRefused)
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
	action   *Action // the observation's, unless it was decided on before
	consumed *Consumed
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
	if len(obs.Written) > 0 {
		t.next.Consumed = slices.DeleteFunc(slices.Clone(st.Consumed), func(c Consumed) bool { return slices.Contains(obs.Written, c.UID) })
	}
	if a := obs.Action; a != nil && !st.consumed(a.UID) && len(t.next.Consumed) < MaxConsumed {
		t.action = a
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
			return Clocks{Empty: out.Empty, Few: found(is.Few, spec.Convergence.Timeout)}
		}
		return Clocks{Empty: out.Empty, Phase: min(is.Phase, spec.Convergence.Timeout)}
	case Baking, Holding:
		if stuck(st.Progress.Hold) {
			out.Phase = spec.ProgressDeadline
		}
		out.Step = st.Stage().Max
		if blind(st, t.obs.Report) {
			out.Blind = found(is.Blind, spec.Analysis.BlindAfter)
		}
		if _, gated := st.Gate(); gated {
			out.Gate = max(st.Progress.Clocks.Gate, min(is.Gate, st.Stage().Pause.For))
		}
	case RollingBack:
		if !st.Traffic.Sends() {
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
	case !st.Phase.Open() || !st.Traffic.Sends() || ready.Known && ready.Canary > 0:
		return 0
	case !ready.Known:
		return st.Progress.Clocks.Empty
	}
	return found(t.obs.Clocks.Empty, emptyLimit)
}

// found is a clock that begins with the look that finds what it counts: not with the one before, which did not.
func found(clock, limit time.Duration) time.Duration { return min(max(clock, begins), limit) }

// open is rows 2 to 34: harm first, then withdrawal, then what people ask for, then the phase.
func (t *turn) open() {
	if outcome, reason := t.failure(); reason != "" {
		t.fail(outcome, reason)
		return
	}
	if outcome, reason := t.withdrawn(); reason != "" {
		t.leave(outcome, reason)
		return
	}
	if t.answered() {
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
	t.moved = &Transition{Seq: n.Seq, From: t.prev.Phase, To: to, Reason: reason, Asked: t.consumed != nil}
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
	stage := n.Plan[k-1]
	n.Traffic.Step, n.Traffic.Weight = k, stage.Weight
	n.Traffic.Extra = Extra{Match: stage.Match, Mirror: stage.Mirror, Affinity: t.spec.Render.Affinity, Preview: t.spec.Render.Preview}
	n.Approved = slices.DeleteFunc(slices.Clone(n.Approved), func(a Approval) bool { return a.Step < k })
	n.Progress.Hold, n.Progress.Told, n.Progress.SettledAt = "", nil, time.Time{}
	n.Progress.Clocks = Clocks{Empty: n.Progress.Clocks.Empty}
	t.move(Shifting, reason)
}

// fail decides the attempt as failed and remembers its version.
func (t *turn) fail(outcome Outcome, reason Reason) {
	t.reject(t.next.Canary, reason)
	t.leave(outcome, reason)
}

// reject remembers that a version is not to be tried again.
func (t *turn) reject(v Version, reason Reason) {
	n := &t.next
	entry := Rejection{Version: v, Attempt: n.Attempt, Reason: reason, At: t.now}
	n.Rejected = firsts(slices.Insert(t.unrejected(v.Digest), 0, entry), MaxRejected)
}

// unrejected are the rejections but for that of a digest.
func (t *turn) unrejected(digest string) []Rejection {
	return slices.DeleteFunc(slices.Clone(t.next.Rejected), func(r Rejection) bool { return r.Digest == digest })
}

// leave decides the attempt and takes the canary to weight 0, unless that would send traffic to nothing.
func (t *turn) leave(outcome Outcome, reason Reason) {
	n := &t.next
	n.Outcome = outcome
	n.Progress.Hold, n.Progress.Wishes = "", Wishes{}
	if outcome == OutcomeReverted {
		n.Attempted = t.obs.Want.Digest
	}
	if !StableEmpty(t.obs) || !n.Traffic.Sends() {
		n.Traffic.Weight, n.Traffic.Extra = 0, Extra{}
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
	n.Canary, n.Plan, n.Gates, n.Approved, n.Progress = Version{}, nil, nil, nil, Progress{}
	n.Traffic.Step, n.Traffic.Weight, n.Traffic.Extra = 0, 0, Extra{}
	n.Kind = Kind{Observe: n.Kind.Observe}
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
		Outcome: n.Outcome, Reason: reason, Step: t.prev.Traffic.Step, Text: cut(text, MaxText), Observed: n.Kind.Observe}
	if n.Outcome == "" {
		entry.Outcome = OutcomeCompleted
	}
	n.History = firsts(slices.Insert(slices.Clone(n.History), 0, entry), t.spec.HistoryLimit)
}

func appended[T any](list []T, v T) []T { return append(slices.Clip(list), v) }

func firsts[T any](list []T, n int) []T { return list[:min(len(list), max(n, 0))] }
