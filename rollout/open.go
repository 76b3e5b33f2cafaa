package rollout

import (
	"github.com/sluice-dev/sluice/analysis"
)

// failure is rows 2 to 9: the reason why the attempt has failed, or "".
func (t *turn) failure() Reason {
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
	case policy.OnBlind == PolicyRollback && clocks.Blind >= policy.BlindAfter && obs.Report.Verdict == analysis.Blind:
		return BlindTimeout
	case st.Phase == Baking && policy.OnInconclusive == PolicyRollback && t.late() && t.due() == "" &&
		obs.Report.Verdict != analysis.Blind:
		return InconclusiveTimeout
	}
	return ""
}

// stuck reports that a hold is one that progressDeadline limits.
func stuck(hold Reason) bool { return hold == InsufficientCapacity || hold == DataPlaneBehind }

// late reports that the present step is at bake.max without a gate.
func (t *turn) late() bool {
	_, gated := t.prev.Gate()
	return !gated && t.next.Progress.Clocks.Step >= t.prev.Stage().Max
}

// withdrawn is row 10: Git or the user no longer want the attempt.
func (t *turn) withdrawn() (Outcome, Reason) {
	want := t.obs.Want
	switch {
	case want.Deleting:
		return OutcomeDeleted, Deleted
	case !want.Known:
		return "", ""
	case want.Name == t.prev.Stable.Name:
		return OutcomeReverted, Reverted
	case want.Name != t.prev.Canary.Name || want.Digest != t.prev.Canary.Digest:
		return OutcomeSuperseded, Superseded
	}
	return "", ""
}

// preparing is rows 11 and 12.
func (t *turn) preparing() {
	block := Blocker(t.spec, t.prev, t.obs, t.now, 1)
	switch {
	case block == "":
		t.enter(1, WeightRequested)
	case block != PausedInGit && block != DeadlineExceeded && !t.prev.told(ProgressDeadlineExceeded) &&
		t.next.Progress.Clocks.Phase >= t.spec.ProgressDeadline:
		t.tell(ProgressDeadlineExceeded)
	}
}

// shifting is rows 13 and 14.
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

// baking is rows 15 to 21, of Baking and Holding.
func (t *turn) baking() {
	if _, gated := t.prev.Gate(); !gated {
		result := t.due()
		if result == "" {
			t.waiting()
			return
		}
		t.next.Gates = appended(t.next.Gates, Gate{Step: t.prev.Traffic.Step, Result: result, Seq: t.prev.Seq + 1, At: t.now})
	}
	to := t.prev.Traffic.Step + 1
	block := Blocker(t.spec, t.prev, t.obs, t.now, to)
	switch {
	case block != "" && t.prev.Phase == Holding && t.prev.Progress.Hold == block:
		return
	case block != "":
		t.next.Progress.Hold = block
		t.move(Holding, block)
	case to > len(t.prev.Plan):
		t.complete()
	default:
		t.enter(to, StepPassed)
	}
}

// due is row 18: the gate that the present step has earned, or "".
func (t *turn) due() Result {
	report, stage, elapsed := t.obs.Report, t.prev.Stage(), t.next.Progress.Clocks.Step
	switch {
	case elapsed < stage.Min:
		return ""
	case stage.Promotion == TimeOnly && holdReason(report) == "":
		return PassTimeOnly
	case stage.Promotion != TimeOnly && report.Verdict == analysis.Promote:
		return Pass
	case elapsed >= stage.Max && t.spec.Analysis.OnInconclusive == PolicyPromote &&
		report.Verdict == analysis.Inconclusive && report.Reason.Thin():
		return PassAnyway
	}
	return ""
}

// waiting is rows 15 to 17: no gate yet, and none due.
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

// news is what row 16 says once a step.
func (t *turn) news() Reason {
	report, clocks := t.obs.Report, t.next.Progress.Clocks
	early := clocks.Step < t.prev.Stage().Min
	switch {
	case report.Verdict == analysis.Blind && clocks.Blind >= t.spec.Analysis.BlindAfter:
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

// complete is row 20: the canary becomes stable, and the former stable is kept warm for a while.
func (t *turn) complete() {
	n, old := &t.next, t.prev.Stable
	n.Stable, n.Outcome = t.prev.Canary, OutcomeCompleted
	n.Previous = Previous{Version: old, Until: t.now.Add(t.spec.Back.WarmDown)}
	managed := []string{old.Name}
	for _, name := range t.prev.Managed {
		if name != old.Name && name != n.Stable.Name {
			managed = append(managed, name)
		}
	}
	n.Managed = firsts(managed, MaxManaged)
	t.clear()
	t.move(Idle, Completed)
	t.remember(Completed, t.cause(Completed))
}
