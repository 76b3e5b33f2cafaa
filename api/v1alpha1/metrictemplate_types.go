package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MetricTemplate is a comparison of one's own: Prometheus counters of each version.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=mtpl,categories=delivery
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="TOTAL",type=string,priority=1,JSONPath=`.spec.ratio.total`
type MetricTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the comparison.
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

// MetricTemplateSpec is a comparison with variables: namespace, host, subset, cluster, port, rollout and args.
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
	// Ratio compares the share of bad events.
	// +required
	Ratio RatioTemplate `json:"ratio"`
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
