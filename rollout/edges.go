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
		BlindTimeout, InconclusiveTimeout, InvariantBroken, Aborted, ManualRollback,
		Reason(analysis.RegressionDetected), Reason(analysis.HardFail), Reason(analysis.Stalled), Reason(analysis.SLOBreach),
		Reason(analysis.GateFailed)}
}

// Edges is the table of the package comment as data: every transition that Step and Fail can make, and no other.
func Edges() []Edge {
	e := &edges{}
	e.ends()
	e.steps()
	e.waits()
	e.rests()
	return e.list
}

type edges struct{ list []Edge }

func (e *edges) add(from, to Phase, reasons ...Reason) {
	for _, r := range reasons {
		e.list = append(e.list, Edge{From: from, To: to, Reason: r})
	}
}

// ends is rows 2 to 13. A brake brings any failure to any open phase: the one in which it was found may be long over.
func (e *edges) ends() {
	for _, from := range []Phase{Preparing, Shifting, Baking, Holding} {
		e.add(from, RollingBack, FailReasons()...)
		e.add(from, RollingBack, Deleted, Reverted, Superseded, Restarted)
	}
}

// steps is rows 25 to 34 where they go on.
func (e *edges) steps() {
	e.add(Preparing, Baking, ObservationStarted)
	e.add(Preparing, Shifting, WeightRequested)
	e.add(Shifting, Baking, WeightProgrammed)
	for _, from := range []Phase{Baking, Holding} {
		e.add(from, Idle, Completed)
		e.add(from, Shifting, StepPassed)
	}
}

// waits is row 15, and rows 27 to 32 where they wait.
func (e *edges) waits() {
	for _, phase := range []Phase{Preparing, Shifting, Baking} {
		e.add(phase, phase, ManualPause, Resumed, Approved)
	}
	e.add(Preparing, Preparing, ProgressDeadlineExceeded)
	e.add(Shifting, Shifting, NoProxies)
	e.add(Baking, Baking, Blind, WaitingForTraffic, Suspicious, TrafficMismatch)
	e.add(Baking, Holding, InconclusiveTimeout)
	for _, from := range []Phase{Baking, Holding} {
		e.add(from, Holding, RefsNotResolved, SourceApplying, DeadlineExceeded, PauseStep, ApprovalNeeded, ManualPause, PausedInGit,
			OutsideWindow, Frozen, NoProxies, DataPlaneBehind, InsufficientCapacity)
	}
	e.add(Holding, Holding, Suspicious, Incident, TrafficMismatch, GateInconclusive, Blind, WaitingForTraffic,
		ProgressDeadlineExceeded, Resumed, Approved)
}

// rests is rows 17 to 24, 35 and 36.
func (e *edges) rests() {
	e.add(RollingBack, RollingBack, StableIsEmpty, StableReady)
	e.add(RollingBack, RolledBack, RolledBackDone, RollbackUnconfirmed)
	e.add(RollingBack, Idle, Cleared, RollbackUnconfirmed)
	for _, from := range []Phase{Idle, RolledBack} {
		e.add(from, RolledBack, KnownRejected)
		e.add(from, Preparing, AttemptStarted)
		e.add(from, from, WarmDownEnded)
	}
	e.add(Idle, Idle, Adopted, StableChanged)
	e.add(RolledBack, Idle, Reverted)
	for _, phase := range Phases() {
		e.add(phase, phase, StatusRefused)
	}
}
