package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TrafficStatus identifies what is rendered, and is, with the names and the weight, all of it.
type TrafficStatus struct {
	// Seq is the seq of the last transition that changed what is rendered.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Seq int64 `json:"seq,omitempty"`
	// Match names the requests that go to the canary whatever the weight.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Match []ClientMatch `json:"match,omitempty"`
	// Mirror says which of stable's requests are copied to the canary.
	// +optional
	Mirror *Mirror `json:"mirror,omitempty"`
	// Affinity keeps clients on their version.
	// +optional
	Affinity *Affinity `json:"affinity,omitempty"`
	// Preview is the preview host while it shows the canary.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Preview string `json:"preview,omitempty"`
}

// GivenApproval is one person's approval of a step.
type GivenApproval struct {
	// Step from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Step int32 `json:"step"`
	// Actor is who gave it.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Actor string `json:"actor"`
	// At is when it was given.
	// +required
	At metav1.MicroTime `json:"at"`
}

// ConsumedAction is an action that was decided on: what its own status is to say.
type ConsumedAction struct {
	// UID of the RolloutAction.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// Verb it asked for.
	// +required
	Verb ActionVerb `json:"verb"`
	// Result of the decision.
	// +required
	Result ActionResult `json:"result"`
	// Code says why it was refused.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Code string `json:"code,omitempty"`
	// Attempt that was the newest when it was decided on.
	// +optional
	Attempt int64 `json:"attempt,omitempty"`
	// Seq of the transition that it made; of a refused one, the seq that was stored then.
	// +required
	// +kubebuilder:validation:Minimum=0
	Seq int64 `json:"seq"`
	// At is when it was decided on.
	// +required
	At metav1.MicroTime `json:"at"`
}

// PlanStep is a step with nothing left open.
type PlanStep struct {
	// Name of the step.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`
	// Weight of the canary in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Bake bounds the observed time; both ends are set.
	// +required
	Bake Bake `json:"bake"`
	// Promotion says what ends the step.
	// +required
	Promotion Promotion `json:"promotion"`
	// Metrics that the gate requires; empty: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=12
	// +kubebuilder:validation:items:MaxLength=63
	Metrics []string `json:"metrics,omitempty"`
	// Pause after the gate.
	// +optional
	Pause *Pause `json:"pause,omitempty"`
	// Approvals that the end of the step needs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Approvals int32 `json:"approvals,omitempty"`
	// Match names the requests that go to the canary.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Match []ClientMatch `json:"match,omitempty"`
	// Mirror says which requests are copied to the canary.
	// +optional
	Mirror *Mirror `json:"mirror,omitempty"`
}

// Gate is the record that a step has ended well.
type Gate struct {
	// Step from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Step int32 `json:"step"`
	// Result says what it was passed by.
	// +required
	Result GateResult `json:"result"`
	// Seq of the transition that recorded it.
	// +required
	Seq int64 `json:"seq"`
	// At is when it was recorded.
	// +required
	At metav1.MicroTime `json:"at"`
	// Actor is who passed it by an action.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Actor string `json:"actor,omitempty"`
}

// GateResult is what a gate was passed by.
// +kubebuilder:validation:Enum=Pass;TimeOnly;Proven;Inconclusive;Override;Skipped
type GateResult string

// The results of gates.
const (
	GatePass         GateResult = "Pass"         // evidence that the version is not worse
	GateTimeOnly     GateResult = "TimeOnly"     // the step asks for time only
	GateProven       GateResult = "Proven"       // the version was stable a short while ago
	GateInconclusive GateResult = "Inconclusive" // onInconclusive: promote
	GateOverride     GateResult = "Override"     // a person promoted the step
	GateSkipped      GateResult = "Skipped"      // a person went past the step
)

// Words are the result as people say it; empty for what is none.
func (r GateResult) Words() string {
	switch r {
	case GatePass:
		return "passed: shown to be no worse"
	case GateTimeOnly:
		return "passed: it asks for time only"
	case GateProven:
		return "passed: it was stable a short while ago"
	case GateInconclusive:
		return "passed although inconclusive"
	case GateOverride:
		return "promoted"
	case GateSkipped:
		return "skipped"
	}
	return ""
}

// Progress holds the clocks of the open attempt. Clocks count observed time: only while a leader watched.
type Progress struct {
	// StartedAt is when the attempt started.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// SettledAt is when the present weight was run by every proxy.
	// +optional
	SettledAt *metav1.MicroTime `json:"settledAt,omitempty"`
	// PhaseClock is the observed time in milliseconds since the phase or the reason to hold began.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PhaseClock int64 `json:"phaseClock,omitempty"`
	// StepClock is the observed time in milliseconds since the present weight settled.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StepClock int64 `json:"stepClock,omitempty"`
	// EmptyClock is the observed time in milliseconds in which the canary had no ready endpoint.
	// +optional
	// +kubebuilder:validation:Minimum=0
	EmptyClock int64 `json:"emptyClock,omitempty"`
	// BlindClock is the observed time in milliseconds in which the metrics were unusable.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BlindClock int64 `json:"blindClock,omitempty"`
	// FewClock is the observed time in milliseconds in which too few proxies were connected while a weight was shifting.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FewClock int64 `json:"fewClock,omitempty"`
	// GateClock is the observed time in milliseconds since the step's gate was recorded.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GateClock int64 `json:"gateClock,omitempty"`
	// Base is the number of ready stable endpoints when the attempt started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Base int32 `json:"base,omitempty"`
	// Hold is the reason to hold, in phase Holding.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Hold string `json:"hold,omitempty"`
	// ManualPause says that a person paused the attempt.
	// +optional
	ManualPause bool `json:"manualPause,omitempty"`
	// Override is the step whose waits a person has ended by promoting it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	Override int32 `json:"override,omitempty"`
	// OverrideWindow says that a person lifted windows and freezes for the rest of the attempt.
	// +optional
	OverrideWindow bool `json:"overrideWindow,omitempty"`
	// Full says that a person asked for the last step at once.
	// +optional
	Full bool `json:"full,omitempty"`
	// Told are the reasons that were noted in this step and are not noted again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=64
	Told []string `json:"told,omitempty"`
}
