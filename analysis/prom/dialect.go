package prom

import "fmt"

// Dialect is how proxies name what they count.
type Dialect string

// The dialects. The zero value means Envoy.
const (
	Envoy Dialect = "envoy" // of Sluice's own bootstrap
	Istio Dialect = "istio" // of Istio's bootstrap
)

// names are those of Envoy's counters as a server holds them.
type names struct {
	total   string // counter of final responses
	classed string // and of those of a class
	cluster string // label
	class   string // label
	code    string // label that a series of classed with a single code has, and one of a class has not; empty: there are no such
	suffix  string // of a class
	buckets string // of the time that responses took, in ms
}

func (d Dialect) names() (names, error) {
	switch d {
	case Envoy, "":
		return names{
			total: "envoy_cluster_upstream_rq_completed", classed: "envoy_cluster_upstream_rq_xx",
			cluster: "envoy_cluster_name", class: "envoy_response_code_class", buckets: "envoy_cluster_upstream_rq_time_bucket",
		}, nil
	case Istio:
		return names{
			total: "envoy_cluster_upstream_rq_completed", classed: "envoy_cluster_upstream_rq",
			cluster: "cluster_name", class: "response_code_class", code: "response_code", suffix: "xx", buckets: "envoy_cluster_upstream_rq_time_bucket",
		}, nil
	}
	return names{}, fmt.Errorf("dialect %q is unknown: want %s or %s", d, Envoy, Istio)
}
