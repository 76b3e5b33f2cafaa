package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MetricTemplate is a metric of one's own: Prometheus counters of each version to compare, or a condition to hold.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=mtpl,categories=delivery
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="SHARED",type=boolean,JSONPath=`.spec.shared`
// +kubebuilder:printcolumn:name="TOTAL",type=string,priority=1,JSONPath=`.spec.ratio.total`
// +kubebuilder:printcolumn:name="BUCKETS",type=string,priority=1,JSONPath=`.spec.histogram.buckets`
// +kubebuilder:printcolumn:name="QUERY",type=string,priority=1,JSONPath=`.spec.condition.query`
type MetricTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what is read.
	// +required
	Spec MetricTemplateSpec `json:"spec"`
}

// MetricTemplateList is a list of MetricTemplates.
//
// +kubebuilder:object:root=true
type MetricTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MetricTemplate `json:"items"`
}

// MetricTemplateSpec is a metric with variables: namespace, host, subset, cluster, port, rollout and args.
//
// +kubebuilder:validation:XValidation:rule="(has(self.ratio) ? 1 : 0) + (has(self.histogram) ? 1 : 0) + (has(self.condition) ? 1 : 0) == 1",message="exactly one of ratio, histogram and condition must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.shared) || !self.shared || !has(self.prometheus) || !has(self.prometheus.url)",message="a shared template names its prometheus, and gives no url"
type MetricTemplateSpec struct {
	// Prometheus that holds the counters. Empty: the Rollout's.
	// +optional
	Prometheus *PrometheusReference `json:"prometheus,omitempty"`
	// Args are further variables with their default values.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Args []Argument `json:"args,omitempty"`
	// Shared lets Rollouts of every namespace name the template. It counts in the controller's own namespace only, and the
	// template then names its Prometheus, if any, by name.
	// +optional
	Shared bool `json:"shared,omitempty"`
	// Ratio compares the share of bad events.
	// +optional
	Ratio *RatioTemplate `json:"ratio,omitempty"`
	// Histogram compares how long events take.
	// +optional
	Histogram *HistogramTemplate `json:"histogram,omitempty"`
	// Condition holds the value of a query against thresholds.
	// +optional
	Condition *ConditionTemplate `json:"condition,omitempty"`
}

// RatioTemplate selects counters: how many events there were, and how many of them were bad (or good).
//
// +kubebuilder:validation:XValidation:rule="has(self.bad) != has(self.good)",message="exactly one of bad and good must be set"
type RatioTemplate struct {
	// Bad selects the counters of bad events.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Bad string `json:"bad,omitempty"`
	// Good selects the counters of good events: bad is total less good.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Good string `json:"good,omitempty"`
	// Total selects the counters of all events.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Total string `json:"total"`
}

// HistogramTemplate selects classic histogram buckets: counters with the label le.
type HistogramTemplate struct {
	// Buckets selects the counters of events by how long they took at most.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Buckets string `json:"buckets"`
	// Unit of the label le. Empty: s.
	// +optional
	Unit Unit `json:"unit,omitempty"`
}

// Unit is what bounds are written in.
// +kubebuilder:validation:Enum=s;ms
type Unit string

// The units of bounds.
const (
	UnitSeconds      Unit = "s"
	UnitMilliseconds Unit = "ms"
)

// ConditionTemplate is a gate: a query whose value must keep to thresholds. All limits are of one step.
//
// +kubebuilder:validation:XValidation:rule="has(self.pass) || has(self.fail)",message="pass, fail or both must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.count) || self.count == 0 || !has(self.consecutiveSuccessLimit) || self.consecutiveSuccessLimit <= self.count",message="consecutiveSuccessLimit must be at most count"
type ConditionTemplate struct {
	// Query in PromQL, with variables inside label values only. It gives a scalar or a vector of one sample.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Query string `json:"query"`
	// Pass is a rule in CEL over value (the canary's) and stable, both doubles. Alone: where it does not hold, the
	// measurement fails.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Pass string `json:"pass,omitempty"`
	// Fail is such a rule. Alone: where it does not hold, the measurement passes. With pass: where neither holds, the
	// measurement is inconclusive.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Fail string `json:"fail,omitempty"`
	// Interval between measurements.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('1h')",message="interval must be 5s to 1h"
	Interval *Duration `json:"interval,omitempty"`
	// InitialDelay is the time from the last proxy's acknowledgement of the weight to the first measurement.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="initialDelay must be at most 1h"
	InitialDelay *Duration `json:"initialDelay,omitempty"`
	// Count of measurements that are wanted. 0: they go on until the step ends, and three are needed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Count int32 `json:"count,omitempty"`
	// FailureLimit is how many measurements may fail. -1: any number.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=1000
	FailureLimit int32 `json:"failureLimit,omitempty"`
	// InconclusiveLimit is how many measurements may be inconclusive; one more holds the step.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	InconclusiveLimit int32 `json:"inconclusiveLimit,omitempty"`
	// ConsecutiveErrorLimit is how many measurements in a row may be without a usable answer; one more is Blind.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ConsecutiveErrorLimit *int32 `json:"consecutiveErrorLimit,omitempty"`
	// ConsecutiveSuccessLimit is how many passes in a row pass the gate early. 0: it is not passed early.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ConsecutiveSuccessLimit int32 `json:"consecutiveSuccessLimit,omitempty"`
	// OnFail says what too many fails do.
	// +optional
	// +kubebuilder:default=rollback
	OnFail FailPolicy `json:"onFail,omitempty"`
}

// FailPolicy is what too many failed measurements of a condition do.
// +kubebuilder:validation:Enum=rollback;hold
type FailPolicy string

// The policies for failed conditions.
const (
	FailRollback FailPolicy = "rollback"
	FailHold     FailPolicy = "hold"
)
