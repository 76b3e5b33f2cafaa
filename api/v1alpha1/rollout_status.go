package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RolloutStatus is all that a restarted Sluice needs to go on, and all that is rendered into proxies. It has one
// writer and is written whole.
type RolloutStatus struct {
	// ObservedGeneration is the newest generation of the spec that a decision has seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions for people and tools; derived, never read back.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=14
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Epoch is the fence of the leader that wrote this status.
	// +required
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch"`
	// Seq counts transitions.
	// +required
	// +kubebuilder:validation:Minimum=0
	Seq int64 `json:"seq"`
	// Attempt counts versions that were started.
	// +required
	// +kubebuilder:validation:Minimum=0
	Attempt int64 `json:"attempt"`
	// Phase of the state machine.
	// +required
	Phase Phase `json:"phase"`
	// Outcome of the newest attempt.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`
	// Reason of the transition that led here.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// Since is the instant of that transition.
	// +required
	Since metav1.MicroTime `json:"since"`
	// Deadline is when the present wait ends if nothing happens; absent at rest.
	// +optional
	Deadline *metav1.MicroTime `json:"deadline,omitempty"`

	// Step from 1 while an attempt is open; 0 before the first and at rest.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	Step int32 `json:"step"`
	// Steps of the plan.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	Steps int32 `json:"steps,omitempty"`
	// Weight wanted for the canary in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Traffic is, with the names and the weight, all that is rendered.
	// +optional
	Traffic TrafficStatus `json:"traffic,omitempty"`
	// SettledSeq is the newest traffic seq that every connected proxy was seen to run.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SettledSeq int64 `json:"settledSeq,omitempty"`

	// Stable version: what serves but for the canary's share. Its name is empty before adoption.
	// +required
	Stable VersionStatus `json:"stable"`
	// Canary version, only while an attempt is open or rolling back.
	// +optional
	Canary *VersionStatus `json:"canary,omitempty"`
	// Previous stable version while it is kept warm.
	// +optional
	Previous *PreviousStatus `json:"previous,omitempty"`
	// Attempted is the digest of what Git wanted when last acted on.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Attempted string `json:"attempted,omitempty"`
	// Managed are the names of former stable versions that routes in Git may still name, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=63
	Managed []string `json:"managed,omitempty"`
	// Rejected versions, newest first; none is started again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Rejected []RejectedVersion `json:"rejected,omitempty"`

	// Plan is the list of steps, fixed when the attempt starts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Plan []PlanStep `json:"plan,omitempty"`
	// Observe says that the attempt, or the newest one, judges without moving traffic: dryRun was on when it began.
	// +optional
	Observe bool `json:"observe,omitempty"`
	// Proven says that the plan is the short one of rollbackWindow.
	// +optional
	Proven bool `json:"proven,omitempty"`
	// Undo says that the attempt goes back to the former stable version because a person asked for it.
	// +optional
	Undo bool `json:"undo,omitempty"`
	// Gates that this attempt has passed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Gates []Gate `json:"gates,omitempty"`
	// Approvals that people gave in this attempt, for steps that are not passed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Approvals []GivenApproval `json:"approvals,omitempty"`
	// Progress holds the clocks of the open attempt.
	// +optional
	Progress *Progress `json:"progress,omitempty"`
	// Analysis is the verdict and the evidence for it.
	// +optional
	Analysis *AnalysisStatus `json:"analysis,omitempty"`

	// Consumed are the actions that were decided on and whose own status may not say so yet.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=16
	Consumed []ConsumedAction `json:"consumed,omitempty"`
	// Notes that are not delivered yet, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Notes []PendingNote `json:"notes,omitempty"`
	// Receipts of the notes of the last two attempts, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Receipts []Receipt `json:"receipts,omitempty"`
	// History of ended attempts, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []HistoryEntry `json:"history,omitempty"`
	// Proxies that take part, as last seen.
	// +optional
	Proxies *ProxiesStatus `json:"proxies,omitempty"`
	// Display holds texts for tables; derived, never read back.
	// +optional
	Display *DisplayStatus `json:"display,omitempty"`
}

// Phase is where the state machine stands. The zero value stands for Idle.
// +kubebuilder:validation:Enum=Idle;Preparing;Shifting;Baking;Holding;RollingBack;RolledBack
type Phase string

// The phases.
const (
	PhaseIdle        Phase = "Idle"        // at rest on what Git wants
	PhasePreparing   Phase = "Preparing"   // an attempt waits for its first weight
	PhaseShifting    Phase = "Shifting"    // a weight is asked for and not yet run by every proxy
	PhaseBaking      Phase = "Baking"      // the weight is run and judged
	PhaseHolding     Phase = "Holding"     // something forbids the next weight
	PhaseRollingBack Phase = "RollingBack" // the canary gets nothing; proxies are to confirm it
	PhaseRolledBack  Phase = "RolledBack"  // at rest on stable while Git wants a rejected version
)

// Open reports that an attempt is under way.
func (p Phase) Open() bool {
	switch p {
	case PhasePreparing, PhaseShifting, PhaseBaking, PhaseHolding:
		return true
	case PhaseIdle, PhaseRollingBack, PhaseRolledBack:
		return false
	}
	return false
}

// AtRest reports that nothing is under way.
func (p Phase) AtRest() bool { return p == PhaseIdle || p == PhaseRolledBack || p == "" }

// Outcome is how an attempt ended, or that it is open.
// +kubebuilder:validation:Enum=open;completed;rolledBack;aborted;superseded;reverted;restarted;deleted
type Outcome string

// The outcomes.
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

// VersionStatus names a version.
type VersionStatus struct {
	// Name of the subset.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Digest of its content.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
	// Commit that brought it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
}

// PreviousStatus names the former stable version and until when it is kept.
type PreviousStatus struct {
	VersionStatus `json:",inline"`
	// Until is when it is dropped.
	// +required
	Until metav1.MicroTime `json:"until"`
}

// RejectedVersion is a version that was rolled back.
type RejectedVersion struct {
	// Digest of its content: what is refused.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest"`
	// Name of the subset.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// Commit that brought it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// Attempt that failed.
	// +optional
	Attempt int64 `json:"attempt,omitempty"`
	// Reason of the failure.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// At is when it failed.
	// +required
	At metav1.MicroTime `json:"at"`
}

// AnalysisStatus is the verdict and the evidence for it.
type AnalysisStatus struct {
	// Evidence is the persisted state of the analysis, one line of JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=32768
	Evidence string `json:"evidence,omitempty"`
	// Verdict on the canary.
	// +optional
	// +kubebuilder:validation:Enum=Unknown;Rollback;Promote;Inconclusive;Blind
	Verdict string `json:"verdict,omitempty"`
	// Reason of the verdict.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// Message is the verdict as a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
	// Metrics are the numbers behind it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=12
	Metrics []MetricStatus `json:"metrics,omitempty"`
}

// MetricStatus is one metric in numbers. Texts have three significant digits; a text that is empty is unknown.
type MetricStatus struct {
	// Name of the metric.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Canary's requests in this step.
	// +required
	Canary ArmStatus `json:"canary"`
	// Stable's requests in this step.
	// +required
	Stable ArmStatus `json:"stable"`
	// Ratio of the canary's rate to stable's.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Ratio string `json:"ratio,omitempty"`
	// AtLeast is the lower bound of that ratio.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	AtLeast string `json:"atLeast,omitempty"`
	// Harm is the evidence of harm; the version is rolled back where the total reaches 1/falseRollback.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Harm string `json:"harm,omitempty"`
	// Safe is the evidence of no harm; the metric is cleared where it reaches 1/falsePromotion.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Safe string `json:"safe,omitempty"`
	// Cleared says that the canary was shown not to be worse.
	// +optional
	Cleared bool `json:"cleared,omitempty"`
	// Needed is how many more canary requests that takes; absent where unknown.
	// +optional
	Needed *int64 `json:"needed,omitempty"`
	// Bounds of a histogram: its requests are bad if they are slower than one of them. Absent on other metrics.
	// +optional
	Bounds *BoundsStatus `json:"bounds,omitempty"`
	// Gate of a condition, which compares nothing. Absent on other metrics.
	// +optional
	Gate *GateStatus `json:"gate,omitempty"`
	// NotJudged says why the attempt goes on without the metric: NoSeries, NotConfigured. Empty: it is judged.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	NotJudged string `json:"notJudged,omitempty"`
}

// ArmStatus counts one version's requests.
type ArmStatus struct {
	// Requests that were counted.
	// +required
	Requests int64 `json:"requests"`
	// Bad ones among them.
	// +required
	Bad int64 `json:"bad"`
}

// PendingNote is an entry of the outbox. Its id is <uid>.<attempt>.<seq>.<notifier>.
type PendingNote struct {
	// Notifier that is to send it: its name, and with a namespace before it (namespace/name) one of another namespace.
	// +required
	// +kubebuilder:validation:MaxLength=127
	Notifier string `json:"notifier"`
	// Kind of the note.
	// +required
	Kind NoteKind `json:"kind"`
	// Attempt it is about.
	// +required
	Attempt int64 `json:"attempt"`
	// Seq of its transition.
	// +required
	Seq int64 `json:"seq"`
	// At is the instant of its transition.
	// +required
	At metav1.MicroTime `json:"at"`
	// AckedAt is when every proxy had the weight of the step. Absent: they had not.
	// +optional
	AckedAt *metav1.MicroTime `json:"ackedAt,omitempty"`
	// Step at that instant.
	// +optional
	Step int32 `json:"step,omitempty"`
	// Weight of the step it is about, in percent.
	// +optional
	Weight int32 `json:"weight,omitempty"`
	// Text is the sentence of that instant.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	Text string `json:"text,omitempty"`
	// Commit it is about, where no attempt says it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// Tries that failed.
	// +optional
	Tries int32 `json:"tries,omitempty"`
	// LastError of the last try.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastError string `json:"lastError,omitempty"`
}

// Receipt is what a receiver gave for the notes of an attempt, so that later ones find the thread, or the drawing, of the first.
type Receipt struct {
	// Notifier that keeps it, as in PendingNote.
	// +required
	// +kubebuilder:validation:MaxLength=127
	Notifier string `json:"notifier"`
	// Attempt it is of.
	// +required
	Attempt int64 `json:"attempt"`
	// Ref in the words of the receiver.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Ref string `json:"ref"`
}

// HistoryEntry is an ended attempt.
type HistoryEntry struct {
	// Attempt number; 0 is the adoption.
	// +required
	Attempt int64 `json:"attempt"`
	// Name of the version.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Digest of its content.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
	// Commit that brought it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// StartedAt is when it started.
	// +required
	StartedAt metav1.MicroTime `json:"startedAt"`
	// EndedAt is when its outcome was decided.
	// +required
	EndedAt metav1.MicroTime `json:"endedAt"`
	// Outcome of the attempt.
	// +required
	Outcome Outcome `json:"outcome"`
	// Reason of the outcome.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// Step it had reached.
	// +optional
	Step int32 `json:"step,omitempty"`
	// DryRun says that it was judged without moving traffic.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// Text is its story in one line.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	Text string `json:"text,omitempty"`
}

// ProxiesStatus counts the proxies that take part.
type ProxiesStatus struct {
	// Connected proxies.
	// +optional
	Connected int32 `json:"connected"`
	// Acked ones among them: they run what status.traffic asks for.
	// +optional
	Acked int32 `json:"acked"`
	// Nacked ones among them: they refused it.
	// +optional
	Nacked int32 `json:"nacked"`
	// Laggards are the names of some that have not answered.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:MaxLength=128
	Laggards []string `json:"laggards,omitempty"`
}

// DisplayStatus holds texts for tables.
type DisplayStatus struct {
	// Step as 2/3.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Step string `json:"step,omitempty"`
	// Weight the proxies run, as 15%; 15>50% while it moves. Requests that a step chooses, and copies, are added: 0%+match.
	// +optional
	// +kubebuilder:validation:MaxLength=48
	Weight string `json:"weight,omitempty"`
	// Verdict, or its reason while there is none.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Verdict string `json:"verdict,omitempty"`
	// Commit in 7 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Commit string `json:"commit,omitempty"`
	// Proxies as acked/connected.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Proxies string `json:"proxies,omitempty"`
}
