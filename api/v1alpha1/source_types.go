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
//
// +kubebuilder:validation:XValidation:rule="!has(self.verify) || self.verify.mode == 'Head' || (has(self.ref) && ((has(self.ref.tag) && size(self.ref.tag) > 0) || (has(self.ref.semver) && size(self.ref.semver) > 0)))",message="verify.mode Tag and TagAndHead need ref.tag or ref.semver"
// +kubebuilder:validation:XValidation:rule="!has(self.verify) || !has(self.writeBack) || !has(self.writeBack.revert) || self.writeBack.revert == 'None' || has(self.writeBack.signingSecretRef)",message="with verify, a revert needs writeBack.signingSecretRef"
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
	// Verify demands a signature by one of the keys of a Secret; without it nothing of a commit is rendered.
	// +optional
	Verify *SourceVerify `json:"verify,omitempty"`
	// OnRewrite says what happens when the new tip of a branch does not descend from the one applied: Hold keeps the old.
	// +optional
	// +kubebuilder:default=Hold
	OnRewrite RewritePolicy `json:"onRewrite,omitempty"`
	// Accept lets a person agree, once, to what is held.
	// +optional
	Accept *SourceAccept `json:"accept,omitempty"`
	// Ignore are patterns as in .gitignore, relative to path. They count for plain directories only.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Ignore []string `json:"ignore,omitempty"`
	// Webhook lets a forge say that there is something new.
	// +optional
	Webhook *SourceWebhook `json:"webhook,omitempty"`
	// ServiceAccountName is the account of this namespace that objects are applied as. Empty: the operator's default.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Namespaces that objects may go to, by name or as prefix*. Empty: the namespace of the Source. They narrow what the
	// operator allows and never widen it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9-])?[*]?$`
	Namespaces []string `json:"namespaces,omitempty"`
	// Kinds that may be applied, as Kind.group, *.group or *. Empty: what the operator allows. They narrow and never widen it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^([*]|[A-Z][A-Za-z0-9]*([.][a-z0-9.-]+)?|[*][.][a-z0-9.-]+)$`
	// +kubebuilder:validation:items:MaxLength=256
	Kinds []string `json:"kinds,omitempty"`
	// DependsOn are Sources of this namespace that must be ready first, at the same commit where they share URL and ref.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	DependsOn []LocalRef `json:"dependsOn,omitempty"`
	// Substitute fills ${NAME} in the values of rendered objects.
	// +optional
	Substitute *SourceSubstitute `json:"substitute,omitempty"`
	// DeletionPolicy says what becomes of the objects when the Source is deleted: Orphan leaves them, Delete removes
	// those that it has created.
	// +optional
	// +kubebuilder:default=Orphan
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// WriteBack tells the repository what became of its commits.
	// +optional
	WriteBack *SourceWriteBack `json:"writeBack,omitempty"`
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
// +kubebuilder:validation:Enum=Generic;GitHub;GitLab;Gitea;Bitbucket
type WebhookProvider string

// The providers. Gitea stands for Forgejo too.
const (
	WebhookGeneric   WebhookProvider = "Generic" // Standard Webhooks
	WebhookGitHub    WebhookProvider = "GitHub"
	WebhookGitLab    WebhookProvider = "GitLab"
	WebhookGitea     WebhookProvider = "Gitea"
	WebhookBitbucket WebhookProvider = "Bitbucket" // Cloud and Data Center
)
