package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SourceVerify demands signatures.
type SourceVerify struct {
	// Mode says what must be signed: the commit (Head), the annotated tag (Tag), or both. Tags need ref.tag or ref.semver.
	// +optional
	// +kubebuilder:default=Head
	Mode VerifyMode `json:"mode,omitempty"`
	// SecretRef names the Secret with the trusted public keys: *.asc (OpenPGP, armoured), *.pub and *.sshpub (lines of
	// an authorized_keys file).
	// +required
	SecretRef LocalRef `json:"secretRef"`
}

// VerifyMode says what must be signed.
// +kubebuilder:validation:Enum=Head;Tag;TagAndHead
type VerifyMode string

// The modes. VerifyHead is the default.
const (
	VerifyHead       VerifyMode = "Head"
	VerifyTag        VerifyMode = "Tag"
	VerifyTagAndHead VerifyMode = "TagAndHead"
)

// RewritePolicy is the answer to rewritten history.
// +kubebuilder:validation:Enum=Hold;Follow
type RewritePolicy string

// The answers. RewriteHold is the default.
const (
	RewriteHold   RewritePolicy = "Hold"
	RewriteFollow RewritePolicy = "Follow"
)

// SourceAccept is what a person agrees to once.
type SourceAccept struct {
	// Revision is the full id of a commit that is followed though history was rewritten or a tag was moved.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{40})?$`
	Revision string `json:"revision,omitempty"`
	// Prune is the full id of the commit whose prune may pass its limit.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{40})?$`
	Prune string `json:"prune,omitempty"`
}

// SourceSubstitute fills ${NAME}, ${NAME:-default}, and, where the whole value is one variable, ${NAME:int} and
// ${NAME:bool}. $${ stands for a literal ${.
type SourceSubstitute struct {
	// Vars by name, at most 100. They count more than those of from.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_]*$') && self[k].size() <= 4096)",message="names are letters, digits and _; values are at most 4096 characters"
	Vars map[string]string `json:"vars,omitempty"`
	// From are ConfigMaps and Secrets of this namespace; a later one counts more.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	From []SubstituteFrom `json:"from,omitempty"`
}

// SubstituteFrom names an object whose data are variables.
type SubstituteFrom struct {
	// Kind of the object.
	// +required
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`
	// Name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Optional: it may be missing.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// DeletionPolicy says what becomes of the objects of a deleted Source.
// +kubebuilder:validation:Enum=Orphan;Delete
type DeletionPolicy string

// The policies. DeletionOrphan is the default: deleting one object must not delete production.
const (
	DeletionOrphan DeletionPolicy = "Orphan"
	DeletionDelete DeletionPolicy = "Delete"
)

// SourceWriteBack says what is written to the repository, with a credential of its own.
type SourceWriteBack struct {
	// SecretRef names the Secret with a credential that may push; its keys are those of spec.secretRef. The forge's API
	// is asked with its password or bearerToken.
	// +required
	SecretRef LocalRef `json:"secretRef"`
	// LastGood keeps a ref at the newest commit at which all Rollouts rested, so that a rebuilt cluster begins there.
	// +optional
	// +kubebuilder:default=true
	LastGood *bool `json:"lastGood,omitempty"`
	// LastGoodRef is that ref, below refs/sluice/ or refs/heads/sluice/: it is moved back and forth, so it must be nobody
	// else's. Empty: refs/sluice/<cluster>/<namespace>/<name>/last-good.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^(refs/(heads/)?sluice/[A-Za-z0-9._/+@=,-]+)?$`
	LastGoodRef string `json:"lastGoodRef,omitempty"`
	// Revert says how a version that was rolled back is taken out of Git.
	// +optional
	// +kubebuilder:default=None
	Revert RevertPolicy `json:"revert,omitempty"`
	// Provider of the forge's API. Empty: by the host of the URL where it is github.com or gitlab.com; PullRequest needs one.
	// +optional
	Provider ForgeProvider `json:"provider,omitempty"`
	// APIURL of the forge. Empty: that of the provider at the host of the URL.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https?://[^/?#@]+(/[A-Za-z0-9._~/+@%=,-]*)?)?$`
	APIURL string `json:"apiURL,omitempty"`
	// Author of the commits.
	// +optional
	Author *CommitAuthor `json:"author,omitempty"`
	// SigningSecretRef names the Secret with the SSH key, identity, that signs the commits.
	// +optional
	SigningSecretRef *LocalRef `json:"signingSecretRef,omitempty"`
}

// RevertPolicy says how a rejected version is taken out of Git.
// +kubebuilder:validation:Enum=None;Branch;Commit;PullRequest
type RevertPolicy string

// The policies. RevertNone is the default.
const (
	RevertNone        RevertPolicy = "None"
	RevertBranch      RevertPolicy = "Branch"      // a branch of its own
	RevertCommit      RevertPolicy = "Commit"      // on the branch that is followed
	RevertPullRequest RevertPolicy = "PullRequest" // a branch, and a request to merge it
)

// ForgeProvider is a forge whose API is known.
// +kubebuilder:validation:Enum="";GitHub;GitLab;Gitea
type ForgeProvider string

// The providers. ForgeGitea stands for Forgejo too.
const (
	ForgeGitHub ForgeProvider = "GitHub"
	ForgeGitLab ForgeProvider = "GitLab"
	ForgeGitea  ForgeProvider = "Gitea"
)

// CommitAuthor is who commits.
type CommitAuthor struct {
	// Name of the author.
	// +optional
	// +kubebuilder:default=Sluice
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^<>\n\x00]*$`
	Name string `json:"name,omitempty"`
	// Email of the author.
	// +optional
	// +kubebuilder:default="sluice@localhost"
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:Pattern=`^[^<>\s\x00]*$`
	Email string `json:"email,omitempty"`
}

// WriteBackStatus is something that was written to the repository.
type WriteBackStatus struct {
	// Kind of what was written: Branch, Commit, PullRequest or LastGood.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Kind string `json:"kind"`
	// Rollout that was rolled back; empty for LastGood.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Rollout string `json:"rollout,omitempty"`
	// Digest that was rejected.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Digest string `json:"digest,omitempty"`
	// Ref that was pushed.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Ref string `json:"ref,omitempty"`
	// Commit that it points to.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// URL of the pull or merge request.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`
	// Result: Pushed, Proposed, NotSeparable, Conflict, Refused or Failed.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Result string `json:"result"`
	// Message says why it failed.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// Time of it.
	// +required
	Time metav1.Time `json:"time"`
}
