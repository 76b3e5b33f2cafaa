package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RolloutAction is what a person asks of a Rollout, once. It is a command, not a wish: Git never holds one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=slra,categories=delivery
// +kubebuilder:printcolumn:name="ROLLOUT",type=string,JSONPath=`.spec.rollout`
// +kubebuilder:printcolumn:name="VERB",type=string,JSONPath=`.spec.verb`
// +kubebuilder:printcolumn:name="RESULT",type=string,JSONPath=`.status.result`
// +kubebuilder:printcolumn:name="ACTOR",type=string,JSONPath=`.spec.actor`
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="CODE",type=string,priority=1,JSONPath=`.status.code`
// +kubebuilder:printcolumn:name="REASON",type=string,priority=1,JSONPath=`.spec.reason`
type RolloutAction struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is asked for; it cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an action cannot change; make a new one"
	Spec RolloutActionSpec `json:"spec"`
	// Status is what became of it.
	// +optional
	Status RolloutActionStatus `json:"status,omitempty"`
}

// RolloutActionList is a list of RolloutActions.
//
// +kubebuilder:object:root=true
type RolloutActionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RolloutAction `json:"items"`
}

// RolloutActionSpec is what is asked for, of which Rollout, by whom. All guards that are given must hold when it is
// decided on, else it is refused.
//
// +kubebuilder:validation:XValidation:rule="!(self.verb in ['promote', 'promoteFull', 'skip', 'approve']) || has(self.ifAttempt) || has(self.ifRevision)",message="promote, promoteFull, skip and approve need ifAttempt or ifRevision"
// +kubebuilder:validation:XValidation:rule="self.verb != 'skip' || has(self.step)",message="skip needs step"
// +kubebuilder:validation:XValidation:rule="!has(self.step) || self.verb in ['skip', 'approve']",message="only skip and approve take a step"
// +kubebuilder:validation:XValidation:rule="!(self.verb in ['promoteFull', 'skip', 'rollback']) || has(self.reason)",message="promoteFull, skip and rollback need reason"
// +kubebuilder:validation:XValidation:rule="!has(self.overrideWindow) || !self.overrideWindow || (has(self.reason) && self.verb in ['promote', 'promoteFull', 'skip'])",message="overrideWindow belongs to promote, promoteFull and skip, and needs reason"
type RolloutActionSpec struct {
	// Rollout of the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Rollout string `json:"rollout"`
	// Verb is what to do.
	// +required
	Verb ActionVerb `json:"verb"`
	// IfAttempt is the attempt that must be the newest.
	// +optional
	// +kubebuilder:validation:Minimum=1
	IfAttempt int64 `json:"ifAttempt,omitempty"`
	// IfRevision is how the canary's digest must begin; for retry that of the rejected version, for rollback at rest stable's.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{8,64}$`
	IfRevision string `json:"ifRevision,omitempty"`
	// IfSeq is the seq that the status must have.
	// +optional
	// +kubebuilder:validation:Minimum=1
	IfSeq int64 `json:"ifSeq,omitempty"`
	// Step of the plan, by name or by number from 1: where skip goes, or which one is approved (else the present one).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Step string `json:"step,omitempty"`
	// OverrideWindow lifts windows and freezes for the rest of the attempt.
	// +optional
	OverrideWindow bool `json:"overrideWindow,omitempty"`
	// Reason, for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=280
	Reason string `json:"reason,omitempty"`
	// Actor is who asks: the user name that the API server knows.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Actor string `json:"actor"`
}

// ActionVerb is what an action asks for.
// +kubebuilder:validation:Enum=promote;promoteFull;skip;approve;pause;resume;abort;rollback;retry
type ActionVerb string

// The verbs.
const (
	ActionPromote     ActionVerb = "promote"     // end this step's waits
	ActionPromoteFull ActionVerb = "promoteFull" // go straight to the last step
	ActionSkip        ActionVerb = "skip"        // go straight to a later step
	ActionApprove     ActionVerb = "approve"     // give an approval that a step asks for
	ActionPause       ActionVerb = "pause"       // raise nothing
	ActionResume      ActionVerb = "resume"      // end that
	ActionAbort       ActionVerb = "abort"       // end the attempt and reject its version
	ActionRollback    ActionVerb = "rollback"    // the same; at rest: back to the former stable version
	ActionRetry       ActionVerb = "retry"       // start again with what Git wants, rejected or not
)

// ActionVerbs lists all verbs.
func ActionVerbs() []ActionVerb {
	return []ActionVerb{ActionPromote, ActionPromoteFull, ActionSkip, ActionApprove, ActionPause, ActionResume, ActionAbort, ActionRollback, ActionRetry}
}

// ActionResult is what became of an action.
// +kubebuilder:validation:Enum=accepted;refused;expired
type ActionResult string

// The results of actions.
const (
	ActionAccepted ActionResult = "accepted"
	ActionRefused  ActionResult = "refused"
	ActionExpired  ActionResult = "expired"
)

// RolloutActionStatus is what became of an action.
type RolloutActionStatus struct {
	// Conditions: Consumed, once it is decided on.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=4
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Result of the decision; empty: it is pending.
	// +optional
	Result ActionResult `json:"result,omitempty"`
	// Code says why it was refused.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Code string `json:"code,omitempty"`
	// Attempt that was the newest then.
	// +optional
	Attempt int64 `json:"attempt,omitempty"`
	// Seq of the transition that it made; of a refused one, the seq that was stored then.
	// +optional
	Seq int64 `json:"seq,omitempty"`
	// At is when it was decided on.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// Message is the result as a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}
