package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Rollout says which version of a host serves, and how traffic moves to the next one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=slr,categories=delivery
// +kubebuilder:printcolumn:name="READY",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="STATUS",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="STEP",type=string,JSONPath=`.status.display.step`
// +kubebuilder:printcolumn:name="WEIGHT",type=string,JSONPath=`.status.display.weight`
// +kubebuilder:printcolumn:name="VERDICT",type=string,JSONPath=`.status.display.verdict`
// +kubebuilder:printcolumn:name="COMMIT",type=string,JSONPath=`.status.display.commit`
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="STABLE",type=string,priority=1,JSONPath=`.status.stable.name`
// +kubebuilder:printcolumn:name="CANARY",type=string,priority=1,JSONPath=`.status.canary.name`
// +kubebuilder:printcolumn:name="PROXIES",type=string,priority=1,JSONPath=`.status.display.proxies`
// +kubebuilder:printcolumn:name="SINCE",type=date,priority=1,JSONPath=`.status.since`
// +kubebuilder:printcolumn:name="MESSAGE",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || has(self.status)",message="G1 the status never vanishes"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.epoch >= oldSelf.status.epoch && (self.status.seq - oldSelf.status.seq) in [0, 1] && (self.status.attempt - oldSelf.status.attempt) in [0, 1]",message="G2 epoch, seq and attempt never fall, and seq and attempt rise by one at most"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.seq > oldSelf.status.seq || (self.status.phase == oldSelf.status.phase && self.status.step == oldSelf.status.step && self.status.weight == oldSelf.status.weight && self.status.attempt == oldSelf.status.attempt && has(self.status.outcome) == has(oldSelf.status.outcome) && (!has(self.status.outcome) || self.status.outcome == oldSelf.status.outcome) && self.status.stable.name == oldSelf.status.stable.name && has(self.status.canary) == has(oldSelf.status.canary) && (!has(self.status.canary) || self.status.canary.name == oldSelf.status.canary.name))",message="G3 a change of phase, step, weight, attempt, outcome or version needs the next seq"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.phase == oldSelf.status.phase || self.status.phase in {'Idle': ['Preparing', 'RolledBack'], 'Preparing': ['Shifting', 'Baking', 'RollingBack'], 'Shifting': ['Baking', 'RollingBack'], 'Baking': ['Idle', 'Shifting', 'Holding', 'RollingBack'], 'Holding': ['Idle', 'Shifting', 'RollingBack'], 'RollingBack': ['Idle', 'RolledBack'], 'RolledBack': ['Idle', 'Preparing']}[oldSelf.status.phase]",message="G3a no such transition"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.attempt == oldSelf.status.attempt || (oldSelf.status.phase in ['Idle', 'RolledBack'] && self.status.phase == 'Preparing' && self.status.weight == 0 && has(self.status.outcome) && self.status.outcome == 'open' && !has(self.status.gates))",message="G3b an attempt starts at rest, with weight 0 and without gates"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.weight <= oldSelf.status.weight || (self.status.attempt == oldSelf.status.attempt && self.status.phase == 'Shifting' && oldSelf.status.phase in ['Preparing', 'Baking', 'Holding'] && self.status.step > oldSelf.status.step && has(self.status.plan) && self.status.step <= size(self.status.plan) && self.status.weight == self.status.plan[self.status.step - 1].weight && (has(self.status.gates) ? self.status.gates.filter(g, g.step >= oldSelf.status.step && g.step < self.status.step).size() : 0) == self.status.step - (oldSelf.status.step == 0 ? 1 : oldSelf.status.step))",message="G4 the weight rises only to that of a later step of the plan, with a gate for each step left behind"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.attempt != oldSelf.status.attempt || !has(oldSelf.status.outcome) || oldSelf.status.outcome == 'open' || (has(self.status.outcome) && self.status.outcome == oldSelf.status.outcome && self.status.weight <= oldSelf.status.weight)",message="G5 an attempt that has ended keeps its outcome and never gets more weight"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.attempt == oldSelf.status.attempt || !has(self.status.canary) || !has(self.status.canary.digest) || !has(oldSelf.status.rejected) || !oldSelf.status.rejected.exists(r, r.digest == self.status.canary.digest) || (has(self.status.consumed) && self.status.consumed.exists(a, a.verb == 'retry' && a.result == 'accepted' && (!has(oldSelf.status.consumed) || !oldSelf.status.consumed.exists(b, b.uid == a.uid))))",message="G6 a rejected version is not started again, but by the action retry"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !(self.status.phase in ['Idle', 'RolledBack']) || (self.status.weight == 0 && !has(self.status.canary))",message="G7 at rest there is no canary and no weight"
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(oldSelf.status) || self.status.stable.name == oldSelf.status.stable.name || oldSelf.status.stable.name.size() == 0 || (self.status.phase == 'Idle' && has(oldSelf.status.canary) && self.status.stable.name == oldSelf.status.canary.name && has(self.status.outcome) && self.status.outcome == 'completed' && (oldSelf.status.weight == 100 || (has(oldSelf.status.observe) && oldSelf.status.observe)))",message="G8 stable changes only by adoption or by a completed promotion"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="the name of a Rollout is at most 63 characters without dots"
type Rollout struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object; the name is a DNS label of at most 63 characters.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what Git wants.
	// +required
	Spec RolloutSpec `json:"spec"`
	// Status is what Sluice did about it. It alone decides the weights that proxies get.
	// +optional
	Status *RolloutStatus `json:"status,omitempty"`
}

// RolloutList is a list of Rollouts.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rollout `json:"items"`
}

// RolloutSpec is what Git wants of a host.
//
// +kubebuilder:validation:XValidation:rule="!has(self.previewHost) || self.previewHost != self.host",message="previewHost must be another host"
type RolloutSpec struct {
	// Host whose traffic is split. A short name belongs to the namespace of the Rollout, as in Istio.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="host cannot change; make a new Rollout for another host"
	Host string `json:"host"`
	// Subset that Git wants to run: one that the host's DestinationRule defines. Changing it starts an attempt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Subset string `json:"subset"`
	// InitialStable is adopted as the stable subset while the status is empty; subset then starts an ordinary
	// attempt. Empty: the first subset seen is adopted without analysis.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?)?$`
	InitialStable string `json:"initialStable,omitempty"`
	// Routes are the names of the HTTP routes that take part. Empty: every route that sends to stable or to the
	// bare host.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Routes []string `json:"routes,omitempty"`
	// PreviewHost is another host of the namespace: it shows the canary while a step is open, else stable.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	PreviewHost string `json:"previewHost,omitempty"`
	// Steps are the weights on the way to the new version, never falling. A last step below 100 is followed by one of 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:default={{weight: 15}, {weight: 50}, {weight: 100}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.map(i, i.weight).isSorted()",message="weights must never fall from one step to the next"
	// +kubebuilder:validation:XValidation:rule="self.filter(i, i.weight == 100).size() <= 1",message="weight 100 can stand in one step only"
	// +kubebuilder:validation:XValidation:rule="self.filter(i, has(i.name)).map(i, i.name).all(n, self.filter(i, has(i.name) && i.name == n).size() == 1)",message="step names must be unique"
	Steps []Step `json:"steps,omitempty"`
	// Affinity keeps a client on the version it was sent to while an attempt is open.
	// +optional
	Affinity *Affinity `json:"affinity,omitempty"`
	// Analysis says how the new version is judged against the old one.
	// +optional
	// +kubebuilder:default={}
	Analysis Analysis `json:"analysis,omitempty"`
	// Paused forbids every raise of the canary's traffic. Rollback and analysis go on.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Windows are the times in which the canary's traffic may be raised; none means always.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Windows []Window `json:"windows,omitempty"`
	// Freezes are times in which it is not raised, whatever the windows say.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Freezes []Freeze `json:"freezes,omitempty"`
	// Capacity is what must be ready before the canary gets more traffic.
	// +optional
	// +kubebuilder:default={}
	Capacity Capacity `json:"capacity,omitempty"`
	// Convergence is what the proxies must do before a step's bake begins.
	// +optional
	// +kubebuilder:default={}
	Convergence Convergence `json:"convergence,omitempty"`
	// ProgressDeadline bounds the wait for capacity or proxies.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="progressDeadline must be 10s to 24h"
	ProgressDeadline *Duration `json:"progressDeadline,omitempty"`
	// MaxDuration bounds a whole attempt by the wall clock, pauses included.
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="maxDuration must be 1m to 720h"
	MaxDuration *Duration `json:"maxDuration,omitempty"`
	// OnDeadline says what happens when progressDeadline or maxDuration has passed.
	// +optional
	// +kubebuilder:default=rollback
	OnDeadline DeadlinePolicy `json:"onDeadline,omitempty"`
	// RollbackWindow is when a version that was stable a short while ago comes back without analysis.
	// +optional
	// +kubebuilder:default={}
	RollbackWindow RollbackWindow `json:"rollbackWindow,omitempty"`
	// WarmDown is how long the former stable version is kept after a promotion.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('168h')",message="warmDown must be at most 168h"
	WarmDown *Duration `json:"warmDown,omitempty"`
	// DryRun judges without moving traffic: no split is rendered, and the weights of the VirtualService act.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// HistoryLimit is how many ended attempts the status remembers.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	HistoryLimit int32 `json:"historyLimit,omitempty"`
	// Notify names the Notifiers that hear of this Rollout, whose own filters still apply. Empty: all that match.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Notify []NotifyRef `json:"notify,omitempty"`
}

// Step is one weight on the way, and which requests go to the canary besides.
//
// +kubebuilder:validation:XValidation:rule="self.weight < 100 || (!has(self.match) && !has(self.mirror))",message="a step of weight 100 has neither match nor mirror"
type Step struct {
	// Name of the step; step-<n> where empty.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`
	// Weight is the canary's share in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Bake bounds the observed time of the step.
	// +optional
	Bake *Bake `json:"bake,omitempty"`
	// Promotion says what ends the step: evidence (shown not to be worse) or timeOnly (bake.min has passed without harm).
	// Empty: evidence, but timeOnly at weight 0 and with match or mirror.
	// +optional
	Promotion Promotion `json:"promotion,omitempty"`
	// Metrics are the metrics of the analysis that this step's gate requires; empty: all. Harm in any metric counts in every step.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=12
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Metrics []string `json:"metrics,omitempty"`
	// Pause holds the rollout once the gate is recorded: for a time, or until somebody promotes.
	// +optional
	Pause *Pause `json:"pause,omitempty"`
	// Approval holds the rollout at the end of the step until enough people approve.
	// +optional
	Approval *Approval `json:"approval,omitempty"`
	// Match sends requests for which any of these holds to the canary, whatever the weight. The next step does not inherit it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Match []ClientMatch `json:"match,omitempty"`
	// Mirror sends copies of stable's requests to the canary, whose answers are dropped.
	// +optional
	Mirror *Mirror `json:"mirror,omitempty"`
}

// Bake bounds the observed time of a step.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || duration(self.min) <= duration(self.max)",message="bake.min must not be longer than bake.max"
type Bake struct {
	// Min is the observed time the step needs. Empty: analysis.bake; 0 at weight 0.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('720h')",message="bake.min must be at most 720h"
	Min *Duration `json:"min,omitempty"`
	// Max is the observed time after which onInconclusive acts. Empty: analysis.maxDuration, or twice min if that is longer.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="bake.max must be 1s to 720h"
	Max *Duration `json:"max,omitempty"`
}

// Promotion is what ends a step.
// +kubebuilder:validation:Enum=evidence;timeOnly
type Promotion string

// The ways a step ends.
const (
	PromotionEvidence Promotion = "evidence"
	PromotionTimeOnly Promotion = "timeOnly"
)

// DeadlinePolicy is what happens at a deadline.
// +kubebuilder:validation:Enum=rollback;pause
type DeadlinePolicy string

// The deadline policies.
const (
	DeadlineRollback DeadlinePolicy = "rollback"
	DeadlinePause    DeadlinePolicy = "pause"
)

// Capacity is what must be ready before the canary gets more traffic: at weight w and R ready stable endpoints,
// max(minReady, ceil(ratio/100 * w/100 * R)) ready canary endpoints.
type Capacity struct {
	// MinReady is the smallest number of ready canary endpoints.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReady int32 `json:"minReady,omitempty"`
	// Ratio is the share, in percent, of the stable capacity for that weight that the canary must have. 0 asks for minReady only.
	// +optional
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Ratio *int32 `json:"ratio,omitempty"`
}

// Convergence is what the proxies must do before a step's bake begins.
type Convergence struct {
	// MinProxies is the smallest number of connected proxies.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MinProxies int32 `json:"minProxies,omitempty"`
	// Timeout bounds the wait for their acknowledgement; then the attempt is rolled back.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="convergence.timeout must be 1s to 10m"
	Timeout *Duration `json:"timeout,omitempty"`
}
