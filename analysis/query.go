package analysis

import (
	"context"
	"time"
)

// Arms names the Envoy clusters of both arms, one per service port.
type Arms struct {
	Canary []string
	Stable []string
}

// Query asks for the raw samples of both arms of a metric with From < t <= Until.
type Query struct {
	Metric string // the name of a built-in metric
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
