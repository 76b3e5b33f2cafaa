package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Notifier says who is told of what happens to Rollouts and Sources, those of its namespace or all.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=delivery
// +kubebuilder:printcolumn:name="READY",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="STATUS",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.pending`
// +kubebuilder:printcolumn:name="LAST",type=date,JSONPath=`.status.lastSuccessTime`
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="MESSAGE",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a Notifier is at most 63 characters"
type Notifier struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object; the name is at most 63 characters.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says who is told of what.
	// +required
	Spec NotifierSpec `json:"spec"`
	// Status says how it went.
	// +optional
	Status NotifierStatus `json:"status,omitempty"`
}

// NotifierList is a list of Notifiers.
//
// +kubebuilder:object:root=true
type NotifierList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Notifier `json:"items"`
}

// NotifierSpec says who is told of what: exactly one sink, and which notes it gets.
//
// +kubebuilder:validation:XValidation:rule="[has(self.slack), has(self.webhook), has(self.teams), has(self.gitStatus), has(self.grafana)].filter(x, x).size() == 1",message="exactly one of slack, webhook, teams, gitStatus and grafana must be set"
type NotifierSpec struct {
	// Selector picks Rollouts and Sources by their labels. Empty: all of the namespaces.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Namespaces whose Rollouts and Sources it is about. All is for Notifiers in the controller's own namespace only.
	// +optional
	// +kubebuilder:default=Same
	Namespaces NotifierScope `json:"namespaces,omitempty"`
	// Kinds of notes that are sent. Empty: all for webhook, and for slack with a token; for teams, and for slack with an
	// incoming webhook, Started, Completed, ApprovalNeeded, RolledBack, Aborted, Blocked and SourceFailed; for gitStatus those
	// that change the state of a commit; for grafana those that begin or end a step.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Kinds []NoteKind `json:"kinds,omitempty"`
	// MinSeverity of notes that are sent.
	// +optional
	// +kubebuilder:default=Info
	MinSeverity Severity `json:"minSeverity,omitempty"`
	// Environment is put before each message, such as prod-eu.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Environment string `json:"environment,omitempty"`
	// Suspend stops sending; what happens meanwhile is not sent later.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// Templates of the first line of messages, by kind of note: text/template with the functions upper, lower, truncate and
	// json. A kind without one has the usual line, as has one whose template fails.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['Started','StepPassed','Completed','Resumed','Superseded','Paused','ApprovalNeeded','WaitingForTraffic','Suspicious','RolledBack','Aborted','Blocked','GitDrift','GitInSync','SourceFailed'])",message="the keys of templates are kinds of notes, such as RolledBack"
	Templates map[NoteKind]LineTemplate `json:"templates,omitempty"`
	// Slack sends messages to a Slack channel.
	// +optional
	Slack *SlackSink `json:"slack,omitempty"`
	// Webhook sends signed CloudEvents.
	// +optional
	Webhook *WebhookSink `json:"webhook,omitempty"`
	// Teams sends cards to a channel of Microsoft Teams.
	// +optional
	Teams *TeamsSink `json:"teams,omitempty"`
	// Grafana draws steps and rollbacks into dashboards.
	// +optional
	Grafana *GrafanaSink `json:"grafana,omitempty"`
	// GitStatus shows on the page of a commit, at its forge, what became of it.
	// +optional
	GitStatus *GitStatusSink `json:"gitStatus,omitempty"`
}

// NotifierScope says whose notes a Notifier sends.
// +kubebuilder:validation:Enum=Same;All
type NotifierScope string

// The scopes of Notifiers.
const (
	ScopeSame NotifierScope = "Same" // of its own namespace
	ScopeAll  NotifierScope = "All"  // of all namespaces
)

// LineTemplate is a text/template for one line; see NoteLine.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=4096
type LineTemplate string

// NoteKind is what a note tells.
// +kubebuilder:validation:Enum=Started;StepPassed;Completed;Resumed;Superseded;Paused;ApprovalNeeded;WaitingForTraffic;Suspicious;RolledBack;Aborted;Blocked;GitDrift;GitInSync;SourceFailed
type NoteKind string

// The kinds of notes.
const (
	NoteStarted           NoteKind = "Started"           // an attempt begins
	NoteStepPassed        NoteKind = "StepPassed"        // the next weight follows
	NoteCompleted         NoteKind = "Completed"         // the new version is stable
	NoteResumed           NoteKind = "Resumed"           // a pause ended
	NoteSuperseded        NoteKind = "Superseded"        // newer content took over
	NotePaused            NoteKind = "Paused"            // the next weight must wait
	NoteApprovalNeeded    NoteKind = "ApprovalNeeded"    // the step waits for people to approve
	NoteWaitingForTraffic NoteKind = "WaitingForTraffic" // too few requests to judge
	NoteSuspicious        NoteKind = "Suspicious"        // evidence of harm grows
	NoteRolledBack        NoteKind = "RolledBack"        // the attempt failed
	NoteAborted           NoteKind = "Aborted"           // a person ended the attempt
	NoteBlocked           NoteKind = "Blocked"           // no proxy, no metrics, nothing to go back to
	NoteGitDrift          NoteKind = "GitDrift"          // Git wants a rejected version
	NoteGitInSync         NoteKind = "GitInSync"         // Git and what runs agree again
	NoteSourceFailed      NoteKind = "SourceFailed"      // what Git says is not applied
)

// NoteKinds are all kinds of notes.
func NoteKinds() []NoteKind {
	return []NoteKind{
		NoteStarted, NoteStepPassed, NoteCompleted, NoteResumed, NoteSuperseded, NotePaused, NoteApprovalNeeded,
		NoteWaitingForTraffic, NoteSuspicious, NoteRolledBack, NoteAborted, NoteBlocked, NoteGitDrift, NoteGitInSync,
		NoteSourceFailed,
	}
}

// Severity ranks notes.
// +kubebuilder:validation:Enum=Info;Warning;Error
type Severity string

// The severities, lowest first.
const (
	SeverityInfo    Severity = "Info"
	SeverityWarning Severity = "Warning"
	SeverityError   Severity = "Error"
)

// SecretKeyRef names a key of a Secret of the same namespace.
type SecretKeyRef struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key within it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// SlackSink sends messages to a Slack channel: with a token one message per attempt that is kept up to date, and each note in
// its thread; with an incoming webhook one message per note.
//
// +kubebuilder:validation:XValidation:rule="has(self.tokenSecretRef) != has(self.webhookSecretRef)",message="exactly one of tokenSecretRef and webhookSecretRef must be set"
// +kubebuilder:validation:XValidation:rule="has(self.tokenSecretRef) == has(self.channel)",message="channel is required with tokenSecretRef, and cannot be set with webhookSecretRef: the webhook has its own"
// +kubebuilder:validation:XValidation:rule="has(self.tokenSecretRef) || (!has(self.plot) && !has(self.apiURL) && !(has(self.mentionAuthor) && self.mentionAuthor))",message="plot, apiURL and mentionAuthor need tokenSecretRef"
type SlackSink struct {
	// TokenSecretRef names the key that holds a bot token with the scopes chat:write and, for plots, files:write.
	// +optional
	TokenSecretRef *SecretKeyRef `json:"tokenSecretRef,omitempty"`
	// WebhookSecretRef names the key that holds the URL of an incoming webhook.
	// +optional
	WebhookSecretRef *SecretKeyRef `json:"webhookSecretRef,omitempty"`
	// Channel by its id or as #name; the token's app has to be a member.
	// +optional
	// +kubebuilder:validation:MaxLength=81
	// +kubebuilder:validation:Pattern=`^(#[^\s#<>&,]{1,80}|[CGD][A-Z0-9]{2,20})$`
	Channel string `json:"channel,omitempty"`
	// MentionOnRollback are Slack members or groups (U…, W… or S…) mentioned in messages of severity Error.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:Pattern=`^[UWS][A-Z0-9]{2,20}$`
	MentionOnRollback []string `json:"mentionOnRollback,omitempty"`
	// MentionAuthor mentions the author of the commit in messages of severity Error, if the workspace knows the e-mail
	// address; needs the scope users:read.email.
	// +optional
	MentionAuthor bool `json:"mentionAuthor,omitempty"`
	// Plot uploads a picture of the evidence. Default true.
	// +optional
	Plot *bool `json:"plot,omitempty"`
	// APIURL of Slack's Web API. Empty: https://slack.com/api.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https?://[^/?#@]+(/[A-Za-z0-9._~/+@%=,-]*)?)?$`
	APIURL string `json:"apiURL,omitempty"`
}

// TeamsSink sends adaptive cards to the workflow of a channel of Microsoft Teams.
type TeamsSink struct {
	// URLSecretRef names the key that holds the URL of the workflow.
	// +required
	URLSecretRef SecretKeyRef `json:"urlSecretRef"`
}

// GrafanaSink draws annotations: a region for each step, a point for a rollback.
//
// +kubebuilder:validation:XValidation:rule="self.url.startsWith('https://') || (has(self.insecure) && self.insecure)",message="url must be https, or set insecure: true to send the token in clear text"
type GrafanaSink struct {
	// URL of Grafana, without /api.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@]+(/[A-Za-z0-9._~/+@%=,-]*)?$`
	URL string `json:"url"`
	// TokenSecretRef names the key that holds the token of a service account with the right to write annotations.
	// +required
	TokenSecretRef SecretKeyRef `json:"tokenSecretRef"`
	// DashboardUID of the dashboard that shows them. Empty: all dashboards that ask for their tags.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	DashboardUID string `json:"dashboardUID,omitempty"`
	// Tags besides sluice, the namespace, the name and the commit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Tags []string `json:"tags,omitempty"`
	// CASecretRef names the key that holds the PEM certificates that alone are trusted.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`
	// Insecure allows http.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
}

// WebhookSink sends CloudEvents 1.0 in structured JSON with Standard Webhooks headers.
//
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.urlSecretRef)",message="exactly one of url and urlSecretRef must be set"
// +kubebuilder:validation:XValidation:rule="has(self.signingSecretRef) != (has(self.unsigned) && self.unsigned)",message="set signingSecretRef, or unsigned: true to send without signature"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.startsWith('https://') || (has(self.insecure) && self.insecure)",message="url must be https, or set insecure: true to send in clear text"
type WebhookSink struct {
	// URL of the receiver.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@]+([/?].*)?$')",message="url must be http(s)://host/path without user and password"
	URL string `json:"url,omitempty"`
	// URLSecretRef names the key that holds the URL.
	// +optional
	URLSecretRef *SecretKeyRef `json:"urlSecretRef,omitempty"`
	// SigningSecretRef names the key that holds the signing secrets (whsec_ and base64), one a line: during a
	// rotation each signs.
	// +optional
	SigningSecretRef *SecretKeyRef `json:"signingSecretRef,omitempty"`
	// HeadersSecretRef names the key that holds further headers, "Name: value", one a line.
	// +optional
	HeadersSecretRef *SecretKeyRef `json:"headersSecretRef,omitempty"`
	// CASecretRef names the key that holds the PEM certificates that alone are trusted.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`
	// Timeout of one delivery.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('30s')",message="timeout must be 1s to 30s"
	Timeout *Duration `json:"timeout,omitempty"`
	// Insecure allows http.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Unsigned allows to send without signature.
	// +optional
	Unsigned bool `json:"unsigned,omitempty"`
}

// GitStatusSink shows the state of commits at their forge: pending, success, failure or error. Objects that no Source has
// brought have no commit and are left out.
type GitStatusSink struct {
	// Provider of the API. Empty: by the host of the Source's URL where that is github.com or gitlab.com.
	// +optional
	Provider ForgeProvider `json:"provider,omitempty"`
	// APIURL of the forge. Empty: that of the provider at the host of the Source's URL.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https?://[^/?#@]+(/[A-Za-z0-9._~/+@%=,-]*)?)?$`
	APIURL string `json:"apiURL,omitempty"`
	// TokenSecretRef names the key that holds a token with the right to set the status of commits.
	// +required
	TokenSecretRef SecretKeyRef `json:"tokenSecretRef"`
	// CASecretRef names the key that holds the PEM certificates that alone are trusted.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`
	// Context that the state stands under. Empty: sluice/<namespace>/<name of the Rollout>, sluice/<namespace>/source/<name>
	// for Sources.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	Context string `json:"context,omitempty"`
}

// NotifierStatus says how sending went.
type NotifierStatus struct {
	// ObservedGeneration is the newest generation of the spec that was acted on.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions for people and tools.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// LastSuccessTime is when a note was last delivered.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// Pending notes.
	// +optional
	Pending int32 `json:"pending"`
	// DeadLetters are the newest notes that were given up.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	DeadLetters []DeadLetter `json:"deadLetters,omitempty"`
}

// DeadLetter is a note that was given up.
type DeadLetter struct {
	// ID of the note.
	// +required
	// +kubebuilder:validation:MaxLength=256
	ID string `json:"id"`
	// Kind of the note.
	// +required
	Kind NoteKind `json:"kind"`
	// Rollout, or Source, it was about.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Rollout string `json:"rollout"`
	// At is when it was given up.
	// +required
	At metav1.Time `json:"at"`
	// LastError of the last try.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	LastError string `json:"lastError,omitempty"`
}
