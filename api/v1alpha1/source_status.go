package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SourceStatus says what is applied.
type SourceStatus struct {
	// ObservedGeneration is the newest generation of the spec that was acted on.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions for people and tools.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Ref that was resolved, as refs/heads/main.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Ref string `json:"ref,omitempty"`
	// LastAttemptedRevision is the newest revision that was looked at, as main@sha1:<40 hex>.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`
	// LastAppliedRevision is the newest revision that is applied.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`
	// Commit that is applied.
	// +optional
	Commit *CommitStatus `json:"commit,omitempty"`
	// Problems of the revision last looked at.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Problems []ProblemStatus `json:"problems,omitempty"`
	// ProblemCount is how many there are in all.
	// +optional
	ProblemCount int32 `json:"problemCount,omitempty"`
	// Held are the units that were not applied because of their problems.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Held []HeldUnit `json:"held,omitempty"`
	// PruneHeld says what would have been pruned and why it was not.
	// +optional
	PruneHeld *PruneHeld `json:"pruneHeld,omitempty"`
	// Inventory is the sorted list of applied objects, as <group/kind/namespace/name> <version> <uid> <origin>.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4000
	// +kubebuilder:validation:items:MaxLength=1024
	Inventory []string `json:"inventory,omitempty"`
	// History of revisions that changed something, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []SourceHistory `json:"history,omitempty"`
	// LastGood is the newest commit at which all Rollouts of the Source were at rest on Git's content.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastGood string `json:"lastGood,omitempty"`
	// AdoptingSince is when the last good commit was applied in a cluster that was built anew. While it is set the newest
	// commit waits until every Rollout has a stable version.
	// +optional
	AdoptingSince *metav1.Time `json:"adoptingSince,omitempty"`
	// WriteBack is what was pushed or asked of the repository, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	WriteBack []WriteBackStatus `json:"writeBack,omitempty"`
	// Notes that are still to be sent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Notes []PendingNote `json:"notes,omitempty"`
	// Failures to fetch in a row.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// LastHandledReconcile echoes the annotation sluice.dev/reconcile.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LastHandledReconcile string `json:"lastHandledReconcile,omitempty"`
}

// CommitStatus describes a commit.
type CommitStatus struct {
	// ID in full.
	// +required
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id"`
	// Author's name.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Author string `json:"author,omitempty"`
	// Subject is the first line of the message.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	Subject string `json:"subject,omitempty"`
	// Signer is the fingerprint of the key that signed it; empty unless spec.verify asks.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Signer string `json:"signer,omitempty"`
	// Time of the commit.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// Followed stands for the URL and the ref that it was taken by. While the spec names others, what they show need not
	// descend from it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Followed string `json:"followed,omitempty"`
}

// ProblemStatus is something wrong in a file of the repository, and how to mend it.
type ProblemStatus struct {
	// Code is S followed by three digits.
	// +required
	// +kubebuilder:validation:MaxLength=8
	Code string `json:"code"`
	// Severity of the problem.
	// +optional
	// +kubebuilder:validation:Enum=error;warning;info
	Severity string `json:"severity,omitempty"`
	// Path of the file.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`
	// Line from 1.
	// +optional
	Line int32 `json:"line,omitempty"`
	// Column from 1.
	// +optional
	Column int32 `json:"column,omitempty"`
	// Object concerned, as Kind/namespace/name.
	// +optional
	// +kubebuilder:validation:MaxLength=400
	Object string `json:"object,omitempty"`
	// Field concerned.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Field string `json:"field,omitempty"`
	// Message says what is wrong.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message"`
	// Hint says what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Hint string `json:"hint,omitempty"`
}

// HeldUnit is a group of objects that was not applied.
type HeldUnit struct {
	// Rollouts of the unit; empty for objects of no Rollout.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	Rollouts []string `json:"rollouts,omitempty"`
	// Revision that is still applied.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	Revision string `json:"revision,omitempty"`
	// Codes of the problems.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=8
	Codes []string `json:"codes,omitempty"`
}

// PruneHeld says what would have been pruned.
type PruneHeld struct {
	// Reason why it was not.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Count of the objects.
	// +required
	Count int32 `json:"count"`
	// Names of some of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=512
	Names []string `json:"names,omitempty"`
}

// SourceHistory is a revision that changed something.
type SourceHistory struct {
	// Revision that was applied.
	// +required
	// +kubebuilder:validation:MaxLength=320
	Revision string `json:"revision"`
	// Time when it was applied.
	// +required
	Time metav1.Time `json:"time"`
	// Changed objects.
	// +optional
	Changed int32 `json:"changed,omitempty"`
	// Pruned objects.
	// +optional
	Pruned int32 `json:"pruned,omitempty"`
	// Milliseconds it took.
	// +optional
	Milliseconds int64 `json:"milliseconds,omitempty"`
}
