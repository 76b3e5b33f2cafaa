package controller

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// stateOf reads the engine's state from a status; nil is the state of an object never written. An error means that
// another build wrote it: it is to be left alone.
func stateOf(s *v1alpha1.RolloutStatus) (rollout.State, error) {
	if s == nil {
		return rollout.State{}, nil
	}
	phase, err := rollout.ParsePhase(string(s.Phase))
	if err != nil {
		return rollout.State{}, fmt.Errorf("%w: %w", errUnknownState, err)
	}
	st := rollout.State{
		Mark: rollout.Mark{Seq: uint64(s.Seq), Attempt: s.Attempt, Phase: phase, Outcome: rollout.Outcome(s.Outcome),
			Reason: rollout.Reason(s.Reason), Since: instant(s.Since)},
		Memory: rollout.Memory{Attempted: s.Attempted, Managed: s.Managed},
		Stable: versionOf(s.Stable),
		Kind:   rollout.Kind{Observe: s.Observe, Proven: s.Proven, Undo: s.Undo},
	}
	st.Traffic = rollout.Traffic{Step: int(s.Step), Weight: int(s.Weight), Seq: uint64(s.Traffic.Seq), Settled: uint64(s.SettledSeq), Extra: extraOf(s.Traffic)}
	if s.Canary != nil {
		st.Canary = versionOf(*s.Canary)
	}
	if s.Previous != nil {
		st.Previous = rollout.Previous{Version: versionOf(s.Previous.VersionStatus), Until: instant(s.Previous.Until)}
	}
	for _, r := range s.Rejected {
		st.Rejected = append(st.Rejected, rollout.Rejection{Version: rollout.Version{Name: r.Name, Digest: r.Digest, Commit: r.Commit},
			Attempt: r.Attempt, Reason: rollout.Reason(r.Reason), At: instant(r.At)})
	}
	st.Plan = stagesOf(s.Plan)
	for _, g := range s.Gates {
		st.Gates = append(st.Gates, rollout.Gate{Step: int(g.Step), Result: rollout.Result(g.Result), Seq: uint64(g.Seq), At: instant(g.At), Actor: g.Actor})
	}
	for _, a := range s.Approvals {
		st.Approved = append(st.Approved, rollout.Approval{Step: int(a.Step), Actor: a.Actor, At: instant(a.At)})
	}
	for _, c := range s.Consumed {
		st.Consumed = append(st.Consumed, rollout.Consumed{UID: c.UID, Verb: rollout.Verb(c.Verb), Answer: rollout.Answer(c.Result), Code: rollout.Code(c.Code),
			Attempt: c.Attempt, Seq: uint64(c.Seq), At: instant(c.At)})
	}
	st.Progress = progressOf(s.Progress)
	if s.Canary != nil && st.Progress.StartedAt.IsZero() { // an attempt that nobody saw begin: no limit has passed, and its end can be stored
		st.Progress.StartedAt = st.Since
	}
	for _, h := range s.History {
		st.History = append(st.History, rollout.Past{Attempt: h.Attempt, Version: rollout.Version{Name: h.Name, Digest: h.Digest, Commit: h.Commit},
			StartedAt: instant(h.StartedAt), EndedAt: instant(h.EndedAt), Outcome: rollout.Outcome(h.Outcome), Reason: rollout.Reason(h.Reason),
			Step: int(h.Step), Text: h.Text, Observed: h.DryRun})
	}
	return st, nil
}

// store writes a state into a status; what the status holds besides stays.
func store(st rollout.State, s *v1alpha1.RolloutStatus) {
	s.Seq, s.Attempt, s.Phase = int64(st.Seq), st.Attempt, v1alpha1.Phase(st.Phase.String())
	s.Outcome, s.Reason, s.Since = v1alpha1.Outcome(st.Outcome), string(st.Reason), metav1.NewMicroTime(st.Since)
	s.Step, s.Steps, s.Weight = int32(st.Traffic.Step), int32(len(st.Plan)), int32(st.Traffic.Weight)
	s.Traffic, s.SettledSeq = trafficStatus(st.Traffic), int64(st.Traffic.Settled)
	s.Observe, s.Proven, s.Undo = st.Kind.Observe, st.Kind.Proven, st.Kind.Undo
	s.Stable, s.Canary, s.Previous = versionStatus(st.Stable), nil, nil
	if st.Canary != (rollout.Version{}) {
		canary := versionStatus(st.Canary)
		s.Canary = &canary
	}
	if st.Previous.Version != (rollout.Version{}) {
		s.Previous = &v1alpha1.PreviousStatus{VersionStatus: versionStatus(st.Previous.Version), Until: metav1.NewMicroTime(st.Previous.Until)}
	}
	s.Attempted, s.Managed = st.Attempted, st.Managed
	storeLists(st, s)
	s.Progress = progressStatus(st.Progress)
}

func storeLists(st rollout.State, s *v1alpha1.RolloutStatus) {
	s.Rejected, s.Plan, s.Gates, s.Approvals, s.Consumed, s.History = nil, planStatus(st.Plan), nil, nil, nil, nil
	for _, r := range st.Rejected {
		s.Rejected = append(s.Rejected, v1alpha1.RejectedVersion{Digest: r.Digest, Name: r.Name, Commit: r.Commit, Attempt: r.Attempt,
			Reason: string(r.Reason), At: metav1.NewMicroTime(r.At)})
	}
	for _, g := range st.Gates {
		s.Gates = append(s.Gates, v1alpha1.Gate{Step: int32(g.Step), Result: v1alpha1.GateResult(g.Result), Seq: int64(g.Seq), At: metav1.NewMicroTime(g.At), Actor: g.Actor})
	}
	for _, a := range st.Approved {
		s.Approvals = append(s.Approvals, v1alpha1.GivenApproval{Step: int32(a.Step), Actor: a.Actor, At: metav1.NewMicroTime(a.At)})
	}
	for _, c := range st.Consumed {
		s.Consumed = append(s.Consumed, v1alpha1.ConsumedAction{UID: c.UID, Verb: v1alpha1.ActionVerb(c.Verb), Result: v1alpha1.ActionResult(c.Answer),
			Code: string(c.Code), Attempt: c.Attempt, Seq: int64(c.Seq), At: metav1.NewMicroTime(c.At)})
	}
	for _, h := range st.History {
		s.History = append(s.History, v1alpha1.HistoryEntry{Attempt: h.Attempt, Name: h.Version.Name, Digest: h.Version.Digest, Commit: h.Version.Commit,
			StartedAt: metav1.NewMicroTime(h.StartedAt), EndedAt: metav1.NewMicroTime(h.EndedAt), Outcome: v1alpha1.Outcome(h.Outcome),
			Reason: string(h.Reason), Step: int32(h.Step), Text: h.Text, DryRun: h.Observed})
	}
}

func progressOf(p *v1alpha1.Progress) rollout.Progress {
	if p == nil {
		return rollout.Progress{}
	}
	out := rollout.Progress{Base: int(p.Base), Hold: rollout.Reason(p.Hold), Clocks: rollout.Clocks{
		Phase: millis(p.PhaseClock), Step: millis(p.StepClock), Blind: millis(p.BlindClock), Empty: millis(p.EmptyClock), Few: millis(p.FewClock),
		Gate: millis(p.GateClock)},
		Wishes: rollout.Wishes{Paused: p.ManualPause, Override: int(p.Override), OverrideWindow: p.OverrideWindow, Full: p.Full}}
	if p.StartedAt != nil {
		out.StartedAt = instant(*p.StartedAt)
	}
	if p.SettledAt != nil {
		out.SettledAt = instant(*p.SettledAt)
	}
	for _, r := range p.Told {
		out.Told = append(out.Told, rollout.Reason(r))
	}
	return out
}

// progressStatus is nil for the progress of a rollout at rest.
func progressStatus(p rollout.Progress) *v1alpha1.Progress {
	if p.StartedAt.IsZero() {
		return nil
	}
	out := &v1alpha1.Progress{StartedAt: moment(p.StartedAt), SettledAt: moment(p.SettledAt), Base: int32(p.Base), Hold: string(p.Hold),
		PhaseClock: p.Clocks.Phase.Milliseconds(), StepClock: p.Clocks.Step.Milliseconds(), BlindClock: p.Clocks.Blind.Milliseconds(),
		EmptyClock: p.Clocks.Empty.Milliseconds(), FewClock: p.Clocks.Few.Milliseconds(),
		GateClock:   p.Clocks.Gate.Milliseconds(),
		ManualPause: p.Wishes.Paused, Override: int32(p.Wishes.Override), OverrideWindow: p.Wishes.OverrideWindow, Full: p.Wishes.Full}
	for _, r := range p.Told {
		out.Told = append(out.Told, string(r))
	}
	return out
}

func versionOf(v v1alpha1.VersionStatus) rollout.Version {
	return rollout.Version{Name: v.Name, Digest: v.Digest, Commit: v.Commit}
}

func versionStatus(v rollout.Version) v1alpha1.VersionStatus {
	return v1alpha1.VersionStatus{Name: v.Name, Digest: v.Digest, Commit: v.Commit}
}

// instant is a stored time; one never set is the zero time.
func instant(t metav1.MicroTime) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func moment(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	out := metav1.NewMicroTime(t)
	return &out
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
