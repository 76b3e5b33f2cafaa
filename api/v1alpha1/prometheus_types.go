package v1alpha1

// PrometheusDefault is the name of the Prometheus that is read where an object names none.
const PrometheusDefault = "default"

// PrometheusReference says which Prometheus is read: one that the controller knows by name, or one of one's own.
//
// +kubebuilder:validation:XValidation:rule="has(self.name) != has(self.url)",message="exactly one of name and url must be set"
// +kubebuilder:validation:XValidation:rule="has(self.url) || !(has(self.secretRef) || has(self.headers) || has(self.serverName) || has(self.dialect) || has(self.targetLabels))",message="secretRef, headers, serverName, dialect and targetLabels belong to a url"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) || !has(self.headers) || self.headers.all(h, !has(h.secretKey))",message="a header's secretKey needs secretRef"
type PrometheusReference struct {
	// Name of a server that the controller was started with: --prometheus is "default", --prometheus-config names others.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// URL of a server, with its path prefix and without user, query or fragment.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@]+(/[^?#]*)?$`
	URL string `json:"url,omitempty"`
	// SecretRef names the Secret of the same namespace with token, or username and password; with tls.crt and tls.key; with
	// ca.crt, which alone is trusted then.
	// +optional
	SecretRef *LocalRef `json:"secretRef,omitempty"`
	// Headers are sent along with each query.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []PrometheusHeader `json:"headers,omitempty"`
	// ServerName is expected in the server's certificate. Empty: the URL's host.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
	// Dialect says how the proxies name their clusters and classes of answers. Empty: envoy, as Sluice's bootstrap does.
	// +optional
	Dialect PrometheusDialect `json:"dialect,omitempty"`
	// TargetLabels tell scraped targets apart. Empty: job and instance.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
	TargetLabels []string `json:"targetLabels,omitempty"`
}

// PrometheusHeader is a header of a query.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretKey)",message="exactly one of value and secretKey must be set"
type PrometheusHeader struct {
	// Name of the header.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$`
	Name string `json:"name"`
	// Value of the header, for everybody to read.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
	// SecretKey is the key of the Secret of secretRef that holds the value.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretKey string `json:"secretKey,omitempty"`
}

// PrometheusDialect is how proxies name what they count.
// +kubebuilder:validation:Enum=envoy;istio
type PrometheusDialect string

// The dialects.
const (
	DialectEnvoy PrometheusDialect = "envoy" // Sluice's own bootstrap: envoy_cluster_name, envoy_response_code_class="5"
	DialectIstio PrometheusDialect = "istio" // Istio's bootstrap: cluster_name, response_code_class="5xx"
)
