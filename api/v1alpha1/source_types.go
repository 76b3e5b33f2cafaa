package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Source is a directory of a Git repository whose objects are kept applied.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=src,categories=delivery
// +kubebuilder:printcolumn:name="READY",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="STATUS",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="REVISION",type=string,JSONPath=`.status.lastAppliedRevision`
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="URL",type=string,priority=1,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="PATH",type=string,priority=1,JSONPath=`.spec.path`
// +kubebuilder:printcolumn:name="PROBLEMS",type=integer,priority=1,JSONPath=`.status.problemCount`
// +kubebuilder:printcolumn:name="MESSAGE",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a Source is at most 63 characters: it becomes a label value"
type Source struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object; the name is at most 63 characters.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where the objects come from.
	// +required
	Spec SourceSpec `json:"spec"`
	// Status says what of it is applied.
	// +optional
	Status SourceStatus `json:"status,omitempty"`
}

// SourceList is a list of Sources.
//
// +kubebuilder:object:root=true
type SourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Source `json:"items"`
}

// SourceSpec says where objects come from and how they are applied.
type SourceSpec struct {
	// URL of the repository: https, ssh, or http to loopback and to hosts the operator lists. No password, query or fragment.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@]+(/[A-Za-z0-9._~/+@%=,-]*)?$') || self.matches('^ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?[^/?#@]+/[A-Za-z0-9._~/+@=,-]+$')",message="url must be https://host/path or ssh://[user@]host/path, without password, query or fragment; git@host:path is ssh://git@host/path"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.](/|$)')",message="url must not contain .."
	URL string `json:"url"`
	// Ref is what is followed. Empty: the remote's HEAD.
	// +optional
	Ref SourceRef `json:"ref,omitempty"`
	// Path is the directory within the tree.
	// +optional
	// +kubebuilder:default="."
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",message="path must be relative and without .."
	Path string `json:"path,omitempty"`
	// Interval between looks at the remote; a webhook only makes the next one come sooner.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="interval must be 10s to 24h"
	Interval *Duration `json:"interval,omitempty"`
	// Timeout of one fetch in all.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('10m')",message="timeout must be 5s to 10m"
	Timeout *Duration `json:"timeout,omitempty"`
	// Suspend stops fetching, applying, pruning and repairing. Rollouts go on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// SecretRef names the Secret with the credentials: username and password, bearerToken, githubAppID with
	// githubAppPrivateKey, or, for ssh, identity with known_hosts; ca.crt, tls.crt and tls.key join any of https.
	// +optional
	SecretRef *LocalRef `json:"secretRef,omitempty"`
	// ProxySecretRef names the Secret with the address of a proxy (http, https or socks5), and optionally username and password.
	// +optional
	ProxySecretRef *LocalRef `json:"proxySecretRef,omitempty"`
	// Webhook lets a forge say that there is something new.
	// +optional
	Webhook *SourceWebhook `json:"webhook,omitempty"`
	// ServiceAccountName is the account of this namespace that objects are applied as. Empty: the operator's default.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Prune deletes objects that Git no longer has, last and never what stable needs.
	// +optional
	// +kubebuilder:default=true
	Prune *bool `json:"prune,omitempty"`
	// PruneLimitPercent of the inventory may be pruned at once; more is held.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	PruneLimitPercent int32 `json:"pruneLimitPercent,omitempty"`
}

// SourceRef is what is followed: at most one of branch, tag, semver, commit and name.
//
// +kubebuilder:validation:XValidation:rule="[has(self.branch) && size(self.branch) > 0, has(self.tag) && size(self.tag) > 0, has(self.semver) && size(self.semver) > 0, has(self.commit) && size(self.commit) > 0, has(self.name) && size(self.name) > 0].filter(x, x).size() <= 1",message="ref takes at most one of branch, tag, semver, commit and name"
// +kubebuilder:validation:XValidation:rule="!has(self.tagPrefix) || size(self.tagPrefix) == 0 || (has(self.semver) && size(self.semver) > 0)",message="tagPrefix needs semver"
type SourceRef struct {
	// Branch to follow. Empty: the remote's HEAD.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._/+@=,#-]*$`
	Branch string `json:"branch,omitempty"`
	// Tag to keep to. A tag that is moved holds the Source.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._/+@=,#-]*$`
	Tag string `json:"tag,omitempty"`
	// Semver is a range of versions; the highest tag in it is followed, as ">=1.2.0 <2.0.0".
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Semver string `json:"semver,omitempty"`
	// TagPrefix stands before the version in the names of tags, as in "shop/v1.2.3".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._/+@=,#-]*$`
	TagPrefix string `json:"tagPrefix,omitempty"`
	// Commit to stay at, in full.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{40})?$`
	Commit string `json:"commit,omitempty"`
	// Name of any ref, as refs/pull/7/head. It may be rewritten at will.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^(refs/[A-Za-z0-9._/+@=,#-]+)?$`
	Name string `json:"name,omitempty"`
}

// LocalRef names an object of the same namespace.
type LocalRef struct {
	// Name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SourceWebhook says who may wake the Source.
type SourceWebhook struct {
	// Provider says how a request is authenticated: by the forge's own signature, or, for Generic, by that of Standard Webhooks.
	// +optional
	// +kubebuilder:default=Generic
	Provider WebhookProvider `json:"provider,omitempty"`
	// SecretRef names the Secret whose key token, of at least 16 bytes, is shared with the sender.
	// +required
	SecretRef LocalRef `json:"secretRef"`
}

// WebhookProvider is a way to authenticate webhooks.
// +kubebuilder:validation:Enum=Generic;GitHub;GitLab;Gitea
type WebhookProvider string

// The providers. Gitea stands for Forgejo too.
const (
	WebhookGeneric WebhookProvider = "Generic" // Standard Webhooks
	WebhookGitHub  WebhookProvider = "GitHub"
	WebhookGitLab  WebhookProvider = "GitLab"
	WebhookGitea   WebhookProvider = "Gitea"
)

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
	// Time of the commit.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
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
