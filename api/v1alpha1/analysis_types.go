package v1alpha1

// Analysis says how the new version is judged against the old one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || self.metrics.filter(m, !has(m.disabled) || !m.disabled).size() + ['errors', 'latency', 'attempts'].filter(n, !self.metrics.exists(m, m.name == n)).size() <= 12",message="at most 12 metrics with those that are on by themselves: disable some"
type Analysis struct {
	// FalseRollback is the probability, over a whole attempt, of rolling back a version that is not worse.
	// +optional
	// +kubebuilder:default="1%"
	FalseRollback Percent `json:"falseRollback,omitempty"`
	// FalsePromotion is the probability, per step and metric, of calling a version that is worse than the tolerance not worse.
	// +optional
	// +kubebuilder:default="5%"
	FalsePromotion Percent `json:"falsePromotion,omitempty"`
	// Objective is the share of good answers the service promises, such as 99.9%. Empty: none.
	// +optional
	Objective Percent `json:"objective,omitempty"`
	// Bake is the observed time a step needs unless it says otherwise. Empty: 5m, and 10m at weight 100.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('720h')",message="analysis.bake must be at most 720h"
	Bake *Duration `json:"bake,omitempty"`
	// MaxDuration is the observed time after which onInconclusive acts, unless the step says otherwise.
	// +optional
	// +kubebuilder:default="30m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="analysis.maxDuration must be 1s to 720h"
	MaxDuration *Duration `json:"maxDuration,omitempty"`
	// OnInconclusive says what happens when a step found neither harm nor safety in its time.
	// +optional
	// +kubebuilder:default=pause
	OnInconclusive InconclusivePolicy `json:"onInconclusive,omitempty"`
	// OnBlind says what happens when the metrics were unusable for blindAfter. Blindness never promotes.
	// +optional
	// +kubebuilder:default=hold
	OnBlind BlindPolicy `json:"onBlind,omitempty"`
	// BlindAfter is how long the metrics may be unusable before it is said and onBlind acts.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="analysis.blindAfter must be 1s to 720h"
	BlindAfter *Duration `json:"blindAfter,omitempty"`
	// Prometheus that the metrics are read from, unless a metric's template names another one. Empty: the one named default.
	// +optional
	Prometheus *PrometheusReference `json:"prometheus,omitempty"`
	// Metrics are merged by name with the built-in ones that are on by themselves: errors, the share of 5xx answers that Envoy
	// saw; latency, how long answers take; attempts, the share of tries that fail as proxies report them. One that is not
	// listed and that nobody counts is left out of an attempt, and the condition NotJudged says so.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=12
	Metrics []Metric `json:"metrics,omitempty"`
}

// InconclusivePolicy is what happens to a step that found neither harm nor safety in its time.
// +kubebuilder:validation:Enum=pause;promote;rollback
type InconclusivePolicy string

// The policies for steps without a finding.
const (
	InconclusivePause    InconclusivePolicy = "pause"
	InconclusivePromote  InconclusivePolicy = "promote"
	InconclusiveRollback InconclusivePolicy = "rollback"
)

// BlindPolicy is what happens when the metrics are unusable.
// +kubebuilder:validation:Enum=hold;rollback
type BlindPolicy string

// The policies for unusable metrics.
const (
	BlindHold     BlindPolicy = "hold"
	BlindRollback BlindPolicy = "rollback"
)

// The built-in metrics, from what Envoy counts. DefaultMetrics are on by themselves, the others where they are listed.
const (
	MetricErrors       = "errors"       // the share of 5xx answers
	MetricLatency      = "latency"      // how long answers take
	MetricAttempts     = "attempts"     // the share of tries that failed, retried ones too, as proxies report them
	MetricClientErrors = "clientErrors" // the share of 4xx answers
)

// BuiltinMetrics are the names of metrics that need no template.
func BuiltinMetrics() []string {
	return []string{MetricErrors, MetricLatency, MetricAttempts, MetricClientErrors}
}

// DefaultMetrics are the names of built-in metrics that are on unless they are listed as disabled.
func DefaultMetrics() []string { return []string{MetricErrors, MetricLatency, MetricAttempts} }

// Metric is one comparison of the new version with the old one.
//
// +kubebuilder:validation:XValidation:rule="self.name in ['errors', 'latency', 'attempts', 'clientErrors'] || has(self.template)",message="the built-in metrics are errors, latency, attempts and clientErrors; any other name needs a template"
// +kubebuilder:validation:XValidation:rule="!has(self.args) || has(self.template)",message="args belong to a template"
// +kubebuilder:validation:XValidation:rule="!has(self.dryRun) || !self.dryRun || !has(self.promotion) || self.promotion != 'required'",message="promotion cannot require a metric in dryRun"
type Metric struct {
	// Name of the metric, unique within the Rollout.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Name string `json:"name"`
	// Disabled drops the metric.
	// +optional
	Disabled bool `json:"disabled,omitempty"`
	// Tolerance is how much worse, relative to stable, still counts as not worse. Empty: 25%, of a histogram 10%.
	// +optional
	Tolerance Percent `json:"tolerance,omitempty"`
	// Harmful is the smallest difference that must be found.
	// +optional
	Harmful *Harmful `json:"harmful,omitempty"`
	// Noise says whether failures come in bursts or one by one. Empty: bursty.
	// +optional
	Noise Noise `json:"noise,omitempty"`
	// Window is the length of the stretches that are compared. Empty: 5s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="window must be 1s to 10m"
	Window *Duration `json:"window,omitempty"`
	// Warmup is the time after each change of weight that is not judged. Empty: 10s, of a histogram 30s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="warmup must be at most 1h"
	Warmup *Duration `json:"warmup,omitempty"`
	// Share of falseRollback this metric may use, relative to the others. Empty: 4 for errors, 2 for
	// latency and attempts, else 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Share int32 `json:"share,omitempty"`
	// Promotion says whether the steps' gates need the metric. Harm counts either way. Empty: ignored for attempts and
	// clientErrors, else required; without a Prometheus, attempts are required where errors is not listed.
	// +optional
	Promotion MetricPromotion `json:"promotion,omitempty"`
	// FromStep is the first step, counted from 1, in which the metric counts and is required. Empty: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	FromStep int32 `json:"fromStep,omitempty"`
	// DryRun shows what the metric finds, and lets it decide nothing.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// Template is the name of a MetricTemplate in the same namespace, or of a shared one. Empty: the built-in metric of that name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Template string `json:"template,omitempty"`
	// Args replace the template's own.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Args []Argument `json:"args,omitempty"`
}

// MetricPromotion says whether promotion needs a metric.
// +kubebuilder:validation:Enum=ignored;required
type MetricPromotion string

// What promotion may make of a metric.
const (
	PromotionIgnored  MetricPromotion = "ignored"
	PromotionRequired MetricPromotion = "required"
)

// Harmful is the smallest difference that must be found: a ratio or, for rare failures, a rate.
type Harmful struct {
	// Ratio of the canary's rate to stable's. Empty: 2.
	// +optional
	Ratio Decimal `json:"ratio,omitempty"`
	// Rate above stable's. Empty: 0.5%, of a histogram 1%.
	// +optional
	Rate Percent `json:"rate,omitempty"`
}

// Noise says how failures arrive.
// +kubebuilder:validation:Enum=bursty;independent
type Noise string

// The kinds of noise.
const (
	NoiseBursty      Noise = "bursty"
	NoiseIndependent Noise = "independent"
)

// Argument gives a variable of a MetricTemplate its value.
type Argument struct {
	// Name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
	Name string `json:"name"`
	// Value of the variable: text without control characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Value string `json:"value"`
}
