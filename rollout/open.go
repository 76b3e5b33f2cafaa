package rollout

import (
	"slices"

	"github.com/sluice-dev/sluice/analysis"
)

// failure is rows 2 to 11: how and why the attempt has failed, or "".
func (t *turn) failure() (Outcome, Reason) {
	if t.braked() {
		return OutcomeRolledBack, t.obs.Brake.Reason
	}
	if a := t.action; a != nil && t.refusal(*a) == "" {
		switch a.Verb {
		case VerbAbort:
			t.answer(Accepted, "")
			return OutcomeAborted, Aborted
		case VerbRollback:
			t.answer(Accepted, "")
			return OutcomeRolledBack, ManualRollback
		default: // no other verb ends an attempt by itself
		}
	}
	return OutcomeRolledBack, t.seen()
}

// braked is row 2: this process has taken the attempt back already, without storing it.
func (t *turn) braked() bool {
	b := t.obs.Brake
	return b != nil && b.Attempt == t.prev.Attempt && b.Reason != "" && !t.prev.Kind.Observe
}

// seen is rows 4 to 11: the reason why the attempt has failed by itself, or "".
func (t *turn) seen() Reason {
	st, obs, clocks := t.prev, t.obs, t.next.Progress.Clocks
	fleet, policy := obs.Fleet, t.spec.Analysis
	rollback := t.spec.OnDeadline == PolicyRollback
	switch {
	case fleet.Nacked > 0:
		return DataPlaneRejected
	case obs.Report.Verdict == analysis.Rollback:
		return Reason(obs.Report.Reason)
	case clocks.Empty >= emptyLimit:
		return CanaryUnavailable
	case st.Phase == Shifting && !fleet.Settled && fleet.Connected >= t.spec.Convergence.MinProxies &&
		clocks.Phase >= t.spec.Convergence.Timeout:
		return ConvergenceTimeout
	case rollback && overdue(t.spec, st, t.now):
		return DeadlineExceeded
	case rollback && st.Phase == Holding && st.Traffic.Weight > 0 && stuck(st.Progress.Hold) &&
		clocks.Phase >= t.spec.ProgressDeadline:
		return ProgressDeadlineExceeded
	case policy.OnBlind == PolicyRollback && clocks.Blind >= policy.BlindAfter && blind(st, obs.Report):
		return BlindTimeout
	case policy.OnInconclusive == PolicyRollback && t.undecided() && t.due() == "" && !blind(st, obs.Report):
		return InconclusiveTimeout
	}
	return ""
}

// undecided reports that the present step has had its time without a gate, whether it holds for that already or not: it may have
// been Blind when its time was over, or the policy another.
func (t *turn) undecided() bool {
	st := t.prev
	return t.late() && (st.Phase == Baking || st.Phase == Holding && st.Progress.Hold == InconclusiveTimeout)
}

// stuck reports that a hold is one that progressDeadline limits.
func stuck(hold Reason) bool { return hold == InsufficientCapacity || hold == DataPlaneBehind }

// late reports that the present step is at bake.max without a gate.
func (t *turn) late() bool {
	_, gated := t.prev.Gate()
	return !gated && t.next.Progress.Clocks.Step >= t.prev.Stage().Max
}

// withdrawn is row 12: Git or the user no longer want the attempt. One that a person asked for goes on while Git asks
// for what the person rejected.
func (t *turn) withdrawn() (Outcome, Reason) {
	want := t.obs.Want
	_, rejected := t.prev.Rejection(want.Digest)
	switch {
	case want.Deleting:
		return OutcomeDeleted, Deleted
	case !want.Known || t.prev.Kind.Undo && rejected:
		return "", ""
	case want.Name == t.prev.Stable.Name:
		return OutcomeReverted, Reverted
	case want.Name != t.prev.Canary.Name || want.Digest != t.prev.Canary.Digest:
		return OutcomeSuperseded, Superseded
	}
	return "", ""
}

// preparing is rows 25 to 27.
func (t *turn) preparing() {
	n := &t.next
	if t.prev.Kind.Observe {
		n.Traffic.Step, n.Progress.SettledAt = 1, t.now
		t.move(Baking, ObservationStarted)
		return
	}
	to := 1
	if t.promoting() != nil { // no other promoting verb comes this far
		to = t.wish()
	}
	block := Blocker(t.spec, t.asked(), t.obs, t.now, to)
	if block == "" {
		if t.promoting() != nil {
			t.answer(Accepted, "")
		}
		t.enter(to, WeightRequested)
		return
	}
	n.Gates, n.Progress.Wishes = t.prev.Gates, t.prev.Progress.Wishes
	if !personal(block) {
		t.overdueOnce()
	}
}

// overdueOnce says once that nothing has come of a wait for others within progressDeadline.
func (t *turn) overdueOnce() {
	if t.next.Progress.Clocks.Phase >= t.spec.ProgressDeadline && !t.prev.told(ProgressDeadlineExceeded) {
		t.tell(ProgressDeadlineExceeded)
	}
}

// shifting is rows 27 and 28.
func (t *turn) shifting() {
	fleet, limits := t.obs.Fleet, t.spec.Convergence
	switch {
	case fleet.Settled && fleet.Connected >= limits.MinProxies:
		t.next.Progress.SettledAt = t.now
		if at := fleet.SettledAt; !at.IsZero() && at.After(t.prev.Since) && at.Before(t.now) {
			t.next.Progress.SettledAt = at.UTC()
		}
		t.next.Progress.Clocks.Step = 0
		t.move(Baking, WeightProgrammed)
	case t.next.Progress.Clocks.Few >= limits.Timeout && !t.prev.told(NoProxies):
		t.tell(NoProxies)
	}
}

// baking is rows 29 to 34, of Baking and Holding.
func (t *turn) baking() {
	if _, gated := t.prev.Gate(); !gated {
		result := t.due()
		if result == "" {
			t.waiting()
			return
		}
		t.gate(t.prev.Traffic.Step, result)
	}
	to := t.prev.Traffic.Step + 1
	if t.promoting() != nil {
		t.answer(Accepted, "")
		to = t.wish()
	}
	for _, gated := t.next.gateOf(to); gated; _, gated = t.next.gateOf(to) {
		to++
	}
	block := Blocker(t.spec, t.asked(), t.obs, t.now, to)
	switch {
	case block != "" && t.prev.Phase == Holding && t.prev.Progress.Hold == block && t.consumed == nil:
		if stuck(block) {
			t.overdueOnce()
		}
	case block != "":
		t.next.Progress.Hold = block
		t.move(Holding, block)
	case to > len(t.prev.Plan):
		t.complete()
	default:
		t.enter(to, StepPassed)
	}
}

// gate records that a step may be left.
func (t *turn) gate(step int, result Result) {
	g := Gate{Step: step, Result: result, Seq: t.prev.Seq + 1, At: t.now}
	if result == PassOverride || result == PassSkipped {
		g.Actor = t.action.Actor
	}
	t.next.Gates = appended(t.next.Gates, g)
}

// promoting is the action that promotes in this turn; nil: none.
func (t *turn) promoting() *Action {
	if a := t.action; a != nil && a.Verb.promotes() && !t.prev.defers(a.Verb) {
		return a
	}
	return nil
}

// wish writes down what the promoting action asks for, passes the steps that it leaves out, and gives the step it goes to.
func (t *turn) wish() int {
	a, at, wishes := t.action, t.prev.Traffic.Step, &t.next.Progress.Wishes
	wishes.Override = at
	wishes.OverrideWindow = wishes.OverrideWindow || a.OverrideWindow
	to := at + 1
	switch a.Verb {
	case VerbPromoteFull:
		wishes.Full = true
		to = max(len(t.prev.Plan), at+1)
	case VerbSkip:
		to = a.step(t.prev)
	default: // promote goes to the next one
	}
	for k := at + 1; k < to && k <= len(t.prev.Plan); k++ {
		if _, gated := t.next.gateOf(k); !gated {
			t.gate(k, PassSkipped)
		}
	}
	return to
}

// asked is the state as Blocker is to see it: with what this turn has decided about gates and wishes.
func (t *turn) asked() State {
	out := t.prev
	out.Gates, out.Progress.Wishes = t.next.Gates, t.next.Progress.Wishes
	return out
}

// due is row 29: the gate that the present step has earned, or "".
func (t *turn) due() Result {
	st, report, stage, elapsed := t.prev, t.obs.Report, t.prev.Stage(), t.next.Progress.Clocks.Step
	if a := t.promoting(); a != nil {
		if a.Verb == VerbPromote {
			return PassOverride
		}
		return PassSkipped
	}
	byTime := stage.Promotion == TimeOnly || st.Progress.Wishes.Full && st.Traffic.Step == len(st.Plan)
	switch {
	case elapsed < stage.Min:
		return ""
	case byTime && (holdReason(st, report) != "" || unread(report)):
		return ""
	case byTime && (st.Kind.Proven || st.Kind.Undo):
		return PassProven
	case byTime:
		return PassTimeOnly
	case report.Verdict == analysis.Promote:
		return Pass
	case elapsed >= stage.Max && t.spec.Analysis.OnInconclusive == PolicyPromote &&
		report.Verdict == analysis.Inconclusive && report.Reason.Thin():
		return PassAnyway
	}
	return ""
}

// waiting is rows 30 and 31: no gate yet, and none due.
func (t *turn) waiting() {
	if t.prev.Phase == Baking && t.late() {
		t.next.Progress.Hold = InconclusiveTimeout
		t.move(Holding, InconclusiveTimeout)
		return
	}
	if reason := t.news(); reason != "" && !t.prev.told(reason) {
		t.tell(reason)
	}
}

// news is what row 31 says once a step.
func (t *turn) news() Reason {
	report, clocks := t.obs.Report, t.next.Progress.Clocks
	early := clocks.Step < t.prev.Stage().Min
	switch {
	case blind(t.prev, report) && clocks.Blind >= t.spec.Analysis.BlindAfter:
		return Blind
	case !early && (report.Reason == analysis.NeedsRequests || report.Reason == analysis.NoTraffic):
		return WaitingForTraffic
	case report.Verdict == analysis.Inconclusive && report.Reason == analysis.Suspicious:
		return Suspicious
	case report.Verdict == analysis.Inconclusive && report.Reason == analysis.TrafficMismatch:
		return TrafficMismatch
	}
	return ""
}

// complete is row 33: the canary becomes stable, and the former stable is kept warm for a while.
func (t *turn) complete() {
	n, old := &t.next, t.prev.Stable
	n.Stable, n.Outcome = t.prev.Canary, OutcomeCompleted
	n.Previous = Previous{Version: old, Until: t.now.Add(t.spec.Back.WarmDown)}
	managed := slices.DeleteFunc(slices.Clone(t.prev.Managed), func(name string) bool { return name == old.Name || name == n.Stable.Name })
	n.Managed = firsts(slices.Insert(managed, 0, old.Name), MaxManaged)
	t.clear()
	t.move(Idle, Completed)
	t.remember(Completed, t.cause(Completed))
}
