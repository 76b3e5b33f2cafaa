package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GateState is what the gate of a condition has come to in this step.
type GateState string

// The states of a gate.
const (
	GateOpen   GateState = "Open"   // not enough measurements yet
	GatePassed GateState = "Passed" // promotion may go on
	GateFailed GateState = "Failed" // more fails than are allowed
	GateUnsure GateState = "Unsure" // it ended without a pass
)

// BoundsStatus says by which bounds of a histogram the versions are compared.
type BoundsStatus struct {
	// Slow is what promotion goes by: a request is bad if it takes longer, such as 250ms. Empty until bounds are chosen.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Slow string `json:"slow,omitempty"`
	// Most is the bound with the most evidence of harm.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Most string `json:"most,omitempty"`
	// Within says that there it is the requests within the bound that are compared, not those beyond.
	// +optional
	Within bool `json:"within,omitempty"`
	// Harm is the evidence of harm at that bound alone.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Harm string `json:"harm,omitempty"`
	// Known is how many of stable's requests are known to choose bounds by, while they are not chosen.
	// +optional
	Known int64 `json:"known,omitempty"`
}

// GateStatus shows a condition. Its counts are of the step.
type GateStatus struct {
	// State of the gate.
	// +required
	// +kubebuilder:validation:Enum=Open;Passed;Failed;Unsure
	State GateState `json:"state"`
	// Passed measurements.
	// +optional
	Passed int32 `json:"passed,omitempty"`
	// Failed measurements.
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// Inconclusive measurements.
	// +optional
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// Errors in a row, up to now.
	// +optional
	Errors int32 `json:"errors,omitempty"`
	// Wanted is how many measurements, or passes in a row, it takes.
	// +optional
	Wanted int32 `json:"wanted,omitempty"`
	// Value of the newest measurement; empty where there is none, or it is an error.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Value string `json:"value,omitempty"`
	// Outcome of it; empty where there is none.
	// +optional
	// +kubebuilder:validation:Enum=Pass;Fail;Inconclusive;Error
	Outcome string `json:"outcome,omitempty"`
	// At is its time.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}
