package analysis

import (
	"context"
	"time"
)

// Arms says what tells the arms apart.
type Arms struct {
	Canary     []string // Envoy clusters, one per service port: for built-in metrics
	Stable     []string
	CanaryVars []map[string]string // for templates, one per service port: namespace, host, subset, cluster, port, rollout
	StableVars []map[string]string
}

// Ratio selects counters of one's own: instant selectors as PromQL writes them, with a metric name. Variables stand
// inside label values, as {{subset}}.
type Ratio struct {
	Bad   string // exactly one of Bad and Good; with Good, bad is total less good
	Good  string
	Total string
	Args  map[string]string // further variables and their values
}

// Query asks for the raw samples of both arms of a metric with From < t <= Until.
type Query struct {
	Metric string
	Ratio  *Ratio // nil: Metric names a built-in one
	Arms   Arms
	From   time.Time
	Until  time.Time
}

// Querier fetches raw samples; it computes nothing, so that windows stay a function of the samples alone.
// An error that carries a Failure says why in a Reason; any other counts as Unreachable. Partial data is an error.
// No series at all is none.
type Querier interface {
	Series(ctx context.Context, q Query) ([]Series, error)
}

// Failure is an error of a Querier that knows its Reason.
type Failure interface {
	error
	BlindReason() Reason
}

// Arm is a side of the split.
type Arm string

// The arms. The zero value is not valid.
const (
	Canary Arm = "canary"
	Stable Arm = "stable"
)

// Role is what a counter counts.
type Role string

// The roles of a series. The zero value is not valid.
const (
	Total Role = "total"
	Bad   Role = "bad"
	Good  Role = "good" // instead of bad
)

// Series is one counter as scraped from one target.
type Series struct {
	Target string // job and instance
	Arm    Arm
	Role   Role
	Points []Point // by rising time
}

// Point is one sample.
type Point struct {
	T int64 // Unix ms
	V float64
}

// Read is the outcome of one Query.
type Read struct {
	Metric string
	Series []Series
	Err    error
}
