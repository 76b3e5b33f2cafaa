package ir

import "time"

// Spread says how requests are spread over the endpoints of a cluster.
type Spread struct {
	Balance    Balance
	HashSize   uint64  // least size of RingHash's ring, or size of Maglev's table; 0: Envoy's default
	Warmup     *Warmup // only with LeastRequest and RoundRobin; nil: new endpoints get their whole share at once
	Localities bool    // the weights of localities come before those of endpoints
}

// Warmup lets the share of a new endpoint grow.
type Warmup struct {
	For        time.Duration
	Least      *float64 // percent of its weight that it begins with; nil: Envoy's default
	Aggression *float64 // 1 is a straight line; nil: 1
}

// Balance is a load-balancing policy. The zero value is LeastRequest.
type Balance int

// The policies.
const (
	LeastRequest Balance = iota
	RoundRobin
	Random
	RingHash // by the route's Hash
	Maglev   // likewise
)

// String is the policy's name in Envoy.
func (b Balance) String() string {
	switch b {
	case RoundRobin:
		return "ROUND_ROBIN"
	case Random:
		return "RANDOM"
	case RingHash:
		return "RING_HASH"
	case Maglev:
		return "MAGLEV"
	default:
		return "LEAST_REQUEST"
	}
}

// Pool is how one proxy uses connections to a cluster. A zero count means no bound, a zero duration Envoy's default.
type Pool struct {
	Limits
	ConnectTimeout        time.Duration // 0: 10 s
	RequestsPerConnection uint32
	ConcurrentStreams     uint32
	IdleTimeout           *time.Duration // 0: connections stay open; nil: Envoy's default
	ConnectionDuration    time.Duration
	Keepalive             *Keepalive
	Ping                  *Ping
	ClientProtocol        bool // upstream uses the protocol of the client's request
}

// Limits bound what one proxy sends to a cluster at once. Zero means no bound.
type Limits struct {
	MaxConnections uint32
	MaxPending     uint32
	MaxRequests    uint32
	MaxRetries     uint32
	Budget         *RetryBudget // in the place of MaxRetries
}

// RetryBudget bounds the retries under way by the requests under way.
type RetryBudget struct {
	Percent  *float64      // of requests; nil: 20
	Least    uint32        // retries that are always allowed; 0: 3
	Interval time.Duration // how long a request counts; 0: while it is under way
}

// Ping asks idle HTTP/2 connections whether they live.
type Ping struct {
	Interval time.Duration
	Timeout  time.Duration
}

// Keepalive is TCP keepalive towards endpoints. Zero fields mean the operating system's default.
type Keepalive struct {
	Probes   uint32
	Time     time.Duration
	Interval time.Duration
}

// Outlier ejects endpoints that keep failing. A nil count leaves that detector at Envoy's default, 0 turns it off.
type Outlier struct {
	Consecutive5xx     *uint32
	ConsecutiveGateway *uint32
	ConsecutiveLocal   *uint32
	SplitLocal         bool
	Interval           time.Duration // 0: Envoy's default
	BaseEjection       time.Duration // 0: Envoy's default
	MaxEjectionPercent uint32        // 0: Envoy's default
	PanicThreshold     uint32        // percent; 0: panic mode is off
}
