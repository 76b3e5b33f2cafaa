package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FleetReport says how far the proxies of one replica are. Each replica owns one of its name, in Sluice's namespace, and
// writes it only when something has changed. It goes with the Lease sluice-replica-<name>, which the replica renews: a
// report whose Lease stands still says nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=delivery
// +kubebuilder:printcolumn:name="CONNECTED",type=integer,JSONPath=`.status.proxies.connected`
// +kubebuilder:printcolumn:name="SYNCED",type=integer,JSONPath=`.status.proxies.synced`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.proxies.pending`
// +kubebuilder:printcolumn:name="REJECTED",type=integer,JSONPath=`.status.proxies.rejected`
// +kubebuilder:printcolumn:name="LOST",type=integer,JSONPath=`.status.proxies.lost`
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type FleetReport struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the object; the name is the replica's.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is what the replica knows of its proxies.
	// +optional
	Status FleetReportStatus `json:"status,omitempty"`
}

// FleetReportList is a list of FleetReports.
//
// +kubebuilder:object:root=true
type FleetReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FleetReport `json:"items"`
}

// The bounds of a FleetReport.
const (
	MaxFleetSplits     = 1000
	MaxFleetPending    = 20
	MaxFleetExceptions = 200
)

// FleetReportStatus is what a replica knows of its proxies.
type FleetReportStatus struct {
	// Incarnation is random for each process of the replica.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Incarnation string `json:"incarnation,omitempty"`
	// Proxies in numbers.
	// +optional
	Proxies FleetProxies `json:"proxies"`
	// Splits that the replica renders, for proxies or not; first those that some proxy does not run, then those that are
	// not at rest.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Splits []FleetSplit `json:"splits,omitempty"`
	// SplitsOmitted is how many more there are.
	// +optional
	SplitsOmitted int32 `json:"splitsOmitted,omitempty"`
	// Exceptions are the proxies that are not in sync, worst first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	Exceptions []FleetException `json:"exceptions,omitempty"`
	// ExceptionsOmitted is how many more there are.
	// +optional
	ExceptionsOmitted int32 `json:"exceptionsOmitted,omitempty"`
}

// FleetProxies counts proxies. Synced, Pending and Rejected add up to Connected.
type FleetProxies struct {
	// Connected proxies.
	// +optional
	Connected int32 `json:"connected"`
	// Synced ones run all that they should have.
	// +optional
	Synced int32 `json:"synced"`
	// Pending ones have not acknowledged something yet.
	// +optional
	Pending int32 `json:"pending"`
	// Rejected counts those that have rejected something, or are kept from it since others like them have.
	// +optional
	Rejected int32 `json:"rejected"`
	// Lost ones went away while they were pending, a moment ago.
	// +optional
	Lost int32 `json:"lost"`
	// Away ones were sent to other replicas a moment ago, since this one goes down; they ran all that they should have.
	// +optional
	Away int32 `json:"away,omitempty"`
}

// FleetSplit is how far the proxies of a replica are with the traffic of a Rollout.
type FleetSplit struct {
	// Split is namespace/name of the Rollout.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Split string `json:"split"`
	// UID of the Rollout.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
	// Seq of the newest traffic that this replica renders.
	// +optional
	Seq int64 `json:"seq"`
	// Weight of the canary at that seq, in percent.
	// +optional
	Weight int32 `json:"weight"`
	// Rest says that no canary takes part.
	// +optional
	Rest bool `json:"rest,omitempty"`
	// Rendered says that every class of proxies is served that seq.
	// +optional
	Rendered bool `json:"rendered"`
	// Connected proxies that take part.
	// +optional
	Connected int32 `json:"connected"`
	// Acked counts those that run it.
	// +optional
	Acked int32 `json:"acked"`
	// Nacked counts those that reject it.
	// +optional
	Nacked int32 `json:"nacked"`
	// Lost counts those that went away while they were pending, a moment ago.
	// +optional
	Lost int32 `json:"lost,omitempty"`
	// Away counts those that ran it when this replica sent them to another one, a moment ago: until they are there, nobody
	// knows that they run anything newer.
	// +optional
	Away int32 `json:"away,omitempty"`
	// Pending are the ids of proxies that have not answered, the first twenty.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Pending []string `json:"pending,omitempty"`
	// FirstNack is the first rejection of that seq.
	// +optional
	FirstNack *FleetNack `json:"firstNack,omitempty"`
}

// FleetNack is a proxy's refusal of a resource.
type FleetNack struct {
	// Node is the id of the proxy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Node string `json:"node"`
	// Type of the resource.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Type string `json:"type,omitempty"`
	// Resource is its name.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Resource string `json:"resource,omitempty"`
	// Version that was refused.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`
	// Message is the proxy's own text.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// At is when it came.
	// +optional
	At metav1.MicroTime `json:"at,omitempty"`
}

// FleetState is how a proxy that is not in sync stands.
// +kubebuilder:validation:Enum=Rejected;Lost;Pending
type FleetState string

// The states of proxies that are not in sync, worst first.
const (
	FleetRejected FleetState = "Rejected" // it has rejected something, or is kept from it since others like it have
	FleetLost     FleetState = "Lost"     // it went away while it was pending
	FleetPending  FleetState = "Pending"  // it has not acknowledged something yet
)

// FleetException is a proxy that is not in sync.
type FleetException struct {
	// Node is the id of the proxy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Node string `json:"node"`
	// Namespace of the proxy; empty: it did not tell.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Namespace string `json:"namespace,omitempty"`
	// Kind of the proxy: gateway, sidecar or grpc.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Kind string `json:"kind,omitempty"`
	// State of the proxy.
	// +required
	State FleetState `json:"state"`
	// Type of the resource that it does not run; empty: it has acknowledged nothing yet.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Type string `json:"type,omitempty"`
	// Resource is its name.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Resource string `json:"resource,omitempty"`
	// Message is the proxy's own text.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// Since is when the replica first saw it so.
	// +optional
	Since metav1.MicroTime `json:"since,omitempty"`
}
