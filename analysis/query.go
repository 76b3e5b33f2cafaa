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

// Histogram selects the classic buckets of a histogram of one's own, as Ratio does its counters.
type Histogram struct {
	Buckets string // an instant selector; its series carry the label le
	Unit    Unit   // of le
	Args    map[string]string
}

// Unit is what the bounds of a histogram are written in. The zero value means Seconds.
type Unit string

// The units of bounds.
const (
	Seconds      Unit = "s"
	Milliseconds Unit = "ms"
)

// Condition is a threshold on the value of a query, as CEL writes it over value (the canary's) and stable, both doubles.
// At least one of Pass and Fail is set.
type Condition struct {
	Query string // PromQL with variables inside label values, that gives a scalar or a vector of one sample
	Pass  string
	Fail  string
	Args  map[string]string
}

// Query asks for the raw samples of both arms of a metric with From < t <= Until, or for one measurement of a
// condition at Until. At most one of Ratio, Histogram and Condition is set; none: Metric names a built-in one.
type Query struct {
	Metric    string
	Ratio     *Ratio
	Histogram *Histogram
	Condition *Condition
	Arms      Arms
	From      time.Time
	Until     time.Time
	Since     time.Time     // up to it the newest sample of each series is enough, where it is known; zero: all are needed
	Bounds    []float64     // of a histogram: those that are judged, in ms; the others need not be read. None: all are needed
	Oldest    time.Duration // of a condition: what was scraped longer before Until is no value; zero: as the server holds it
	Base      bool          // of a histogram: stable's hour is wanted too, to choose bounds by
}

// Querier fetches raw samples; it computes nothing, so that windows stay a function of the samples alone.
// An error that carries a Failure says why in a Reason; any other counts as Unreachable. Partial data is an error.
// No series at all is none.
type Querier interface {
	// Series of a ratio or a histogram.
	Series(ctx context.Context, q Query) ([]Series, error)
	// Base is what stable's events of the hour up to q.Until looked like, by rising bound; it chooses, it does not judge.
	Base(ctx context.Context, q Query) ([]Bucket, error)
	// Measure looks at a condition once. An answer that its expressions cannot be held against is an error.
	Measure(ctx context.Context, q Query) (Measurement, error)
}

// Bucket counts the events that took at most Le milliseconds; the last bucket's Le is +Inf.
type Bucket struct {
	Le float64
	N  float64
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
	Total  Role = "total"
	Bad    Role = "bad"
	Good   Role = "good"   // instead of bad
	Within Role = "within" // of a histogram: at most Le milliseconds; with Le +Inf all events
)

// Series is one counter as scraped from one target.
type Series struct {
	Target string // job and instance
	Arm    Arm
	Role   Role
	Le     float64 // of Within only, ms
	Points []Point // by rising time
}

// Point is one sample.
type Point struct {
	T int64 // Unix ms
	V float64
}

// Read is the outcome of one Query.
type Read struct {
	Metric      string
	Series      []Series
	Base        []Bucket     // where it was asked for and could be read
	Measurement *Measurement // of a condition
	Err         error
}
