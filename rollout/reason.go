package rollout

import "fmt"

// Phase is where a rollout stands. The zero value is Idle.
type Phase uint8

// The phases. Preparing to Holding are open; Idle and RolledBack are rest.
const (
	Idle        Phase = iota // stable serves all traffic and is what Git wants, or nothing was adopted yet
	Preparing                // an attempt began; nothing is sent to the canary yet
	Shifting                 // a weight is stored; the proxies have not all acknowledged it
	Baking                   // the weight is acknowledged; the canary is being judged
	Holding                  // the step is over, or its time is, but something forbids the next one
	RollingBack              // the attempt is decided; the canary's weight goes to 0
	RolledBack               // stable serves all traffic, but Git wants a rejected version
)

// Phases lists all phases in order.
func Phases() []Phase {
	return []Phase{Idle, Preparing, Shifting, Baking, Holding, RollingBack, RolledBack}
}

// String is the name of the phase as status shows it.
func (p Phase) String() string {
	switch p {
	case Idle:
		return "Idle"
	case Preparing:
		return "Preparing"
	case Shifting:
		return "Shifting"
	case Baking:
		return "Baking"
	case Holding:
		return "Holding"
	case RollingBack:
		return "RollingBack"
	case RolledBack:
		return "RolledBack"
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// MarshalText implements encoding.TextMarshaler.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Phase) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePhase(string(text))
	return err
}

// ParsePhase reads what String wrote; the empty text is Idle.
func ParsePhase(s string) (Phase, error) {
	if s == "" {
		return Idle, nil
	}
	for _, p := range Phases() {
		if p.String() == s {
			return p, nil
		}
	}
	return Idle, fmt.Errorf("unknown phase %q", s)
}

// Open reports whether an attempt is under way and undecided.
func (p Phase) Open() bool { return p == Preparing || p == Shifting || p == Baking || p == Holding }

// Rest reports whether nothing is under way.
func (p Phase) Rest() bool { return p == Idle || p == RolledBack }

// Outcome is how the newest attempt ended. The zero value means that there was none.
type Outcome string

// The outcomes. All but OutcomeOpen are final for their attempt.
const (
	OutcomeOpen       Outcome = "open"
	OutcomeCompleted  Outcome = "completed"
	OutcomeRolledBack Outcome = "rolledBack"
	OutcomeAborted    Outcome = "aborted"
	OutcomeSuperseded Outcome = "superseded"
	OutcomeReverted   Outcome = "reverted"
	OutcomeRestarted  Outcome = "restarted"
	OutcomeDeleted    Outcome = "deleted"
)

// Failed reports that the version of the attempt was rejected.
func (o Outcome) Failed() bool { return o == OutcomeRolledBack || o == OutcomeAborted }

// Reason says why a transition happened or what stands in the way of one. Conditions, events, notes and
// metrics use the same words. The zero value means no reason.
type Reason string

// Reasons of transitions. A verdict's Rollback reason (analysis.Reason) is a reason here as it stands.
const (
	Adopted             Reason = "Adopted"
	StableChanged       Reason = "StableChanged"
	KnownRejected       Reason = "KnownRejected"
	AttemptStarted      Reason = "AttemptStarted"
	WeightRequested     Reason = "WeightRequested"
	WeightProgrammed    Reason = "WeightProgrammed"
	StepPassed          Reason = "StepPassed"
	ObservationStarted  Reason = "ObservationStarted"
	Completed           Reason = "Completed"
	WarmDownEnded       Reason = "WarmDownEnded"
	WaitingForTraffic   Reason = "WaitingForTraffic"
	Superseded          Reason = "Superseded"
	Reverted            Reason = "Reverted"
	Deleted             Reason = "Deleted"
	StableReady         Reason = "StableReady"
	Cleared             Reason = "Cleared"
	RollbackUnconfirmed Reason = "RollbackUnconfirmed"
	RolledBackDone      Reason = "RolledBack"
	Restarted           Reason = "Restarted"
	Approved            Reason = "Approved"
	Resumed             Reason = "Resumed"
	StableIsEmpty       Reason = "StableEmpty"   // a rolled back canary keeps its traffic: stable cannot serve
	StatusRefused       Reason = "StatusRefused" // the caller's: the server would not store what Step wanted
)

// Reasons of failures that Step finds itself.
const (
	DataPlaneRejected        Reason = "DataPlaneRejected"
	CanaryUnavailable        Reason = "CanaryUnavailable"
	ConvergenceTimeout       Reason = "ConvergenceTimeout"
	DeadlineExceeded         Reason = "DeadlineExceeded" // also a Blocker where the policy is to pause
	ProgressDeadlineExceeded Reason = "ProgressDeadlineExceeded"
	BlindTimeout             Reason = "BlindTimeout"
	InconclusiveTimeout      Reason = "InconclusiveTimeout" // also the reason to hold where the policy is to pause
	InvariantBroken          Reason = "InvariantBroken"     // the caller's, when Check refused what Step wanted
	Aborted                  Reason = "Aborted"             // a person's
	ManualRollback           Reason = "ManualRollback"      // a person's
)

// Reasons not to raise the weight, in the order in which Blocker looks for them; after the problem codes and the deadline.
const (
	RefsNotResolved      Reason = "RefsNotResolved"
	SourceApplying       Reason = "SourceApplying"
	Suspicious           Reason = "Suspicious"
	Incident             Reason = "Incident"
	TrafficMismatch      Reason = "TrafficMismatch"
	GateInconclusive     Reason = "GateInconclusive"
	Blind                Reason = "Blind"
	PauseStep            Reason = "PauseStep"
	ApprovalNeeded       Reason = "ApprovalNeeded"
	ManualPause          Reason = "ManualPause"
	PausedInGit          Reason = "PausedInGit"
	OutsideWindow        Reason = "OutsideWindow"
	Frozen               Reason = "Frozen"
	NoProxies            Reason = "NoProxies"
	DataPlaneBehind      Reason = "DataPlaneBehind"
	InsufficientCapacity Reason = "InsufficientCapacity"
)
