package rollout

import "github.com/sluice-dev/sluice/analysis"

// Edge is one way from a stored state to the next.
type Edge struct {
	From   Phase
	To     Phase
	Reason Reason
}

// FailReasons are the reasons for which an attempt is rolled back and its version rejected.
func FailReasons() []Reason {
	return []Reason{DataPlaneRejected, CanaryUnavailable, ConvergenceTimeout, DeadlineExceeded, ProgressDeadlineExceeded,
		BlindTimeout, InconclusiveTimeout, InvariantBroken,
		Reason(analysis.RegressionDetected), Reason(analysis.HardFail), Reason(analysis.SLOBreach)}
}

// Edges is the table of the package comment as data: every transition that Step and Fail can make, and no other.
func Edges() []Edge {
	var out []Edge
	add := func(from, to Phase, reasons ...Reason) {
		for _, r := range reasons {
			out = append(out, Edge{From: from, To: to, Reason: r})
		}
	}
	for _, from := range []Phase{Preparing, Shifting, Baking, Holding} {
		add(from, RollingBack, DataPlaneRejected, DeadlineExceeded, InvariantBroken, Deleted, Reverted, Superseded,
			Reason(analysis.RegressionDetected), Reason(analysis.HardFail), Reason(analysis.SLOBreach))
	}
	for _, from := range []Phase{Shifting, Baking, Holding} {
		add(from, RollingBack, CanaryUnavailable)
	}
	add(Shifting, RollingBack, ConvergenceTimeout)
	add(Holding, RollingBack, ProgressDeadlineExceeded, BlindTimeout)
	add(Baking, RollingBack, BlindTimeout, InconclusiveTimeout)

	holds := []Reason{RefsNotResolved, SourceApplying, DeadlineExceeded, PausedInGit, NoProxies, DataPlaneBehind, InsufficientCapacity}
	told := []Reason{Blind, WaitingForTraffic, Suspicious, TrafficMismatch}
	add(Preparing, Shifting, WeightRequested)
	add(Preparing, Preparing, ProgressDeadlineExceeded)
	add(Shifting, Baking, WeightProgrammed)
	add(Shifting, Shifting, NoProxies)
	add(Baking, Baking, told...)
	add(Baking, Holding, InconclusiveTimeout)
	add(Holding, Holding, WaitingForTraffic, Suspicious, Incident, TrafficMismatch, GateInconclusive, Blind)
	for _, from := range []Phase{Baking, Holding} {
		add(from, Holding, holds...)
		add(from, Idle, Completed)
		add(from, Shifting, StepPassed)
	}
	add(RollingBack, RollingBack, StableReady)
	add(RollingBack, RolledBack, RolledBackDone, RollbackUnconfirmed)
	add(RollingBack, Idle, Cleared, RollbackUnconfirmed)
	for _, from := range []Phase{Idle, RolledBack} {
		add(from, RolledBack, KnownRejected)
		add(from, Preparing, AttemptStarted)
		add(from, from, WarmDownEnded)
	}
	add(Idle, Idle, Adopted, StableChanged)
	add(RolledBack, Idle, Reverted)
	return out
}
