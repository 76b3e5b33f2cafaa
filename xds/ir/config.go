package ir

import "time"

// Config is everything that the proxies of one class are given, before it takes Envoy's form.
// Each slice is sorted by name and holds a name once. What is pointed to is never changed once it is in a Config: the
// next Config shares all that stayed the same, so equal pointers are equal content.
type Config struct {
	Kind      Kind
	Listeners []*Listener
	Tables    []*RouteTable
	Clusters  []*Cluster
	Endpoints []*Endpoints
	Secrets   []*Secret
	Splits    []SplitUse // sorted by Key
}

// RouteTable is a set of virtual hosts whose domains are disjoint.
type RouteTable struct {
	Name         string
	VirtualHosts []*VirtualHost // sorted by name
	Origins      []Origin
}

// VirtualHost holds the routes of one or several domains. The first route that matches a request wins.
type VirtualHost struct {
	Name       string
	Domains    []string // sorted
	Routes     []Route  // in the order of evaluation
	RequireTLS bool     // plain requests are redirected to https before any route is looked at
	Origins    []Origin
}

// Cluster is a group of endpoints that are balanced alike. Port, Subset and Host are the parts of its name.
type Cluster struct {
	Name      string
	Host      string
	Subset    string // empty: all endpoints of the host
	Port      int
	Discovery Discovery
	Targets   []Locality // where Discovery is by DNS: the host names to resolve
	HTTP2     bool       // upstream connections speak HTTP/2
	Balance   Balance
	HashSize  uint64 // least size of RingHash's ring, or size of Maglev's table; 0: Envoy's default
	Pool      Pool
	Outlier   *Outlier // nil: endpoints are never ejected
	Origins   []Origin
}

// Discovery is how a cluster learns its endpoints. The zero value is DiscoveryEDS.
type Discovery int

// The ways of discovery.
const (
	DiscoveryEDS        Discovery = iota // Endpoints of the same name in the Config
	DiscoveryStrictDNS                   // every address of every target
	DiscoveryLogicalDNS                  // one address of the single target
	DiscoveryOriginal                    // none: connections go where the client meant them to go
	DiscoveryNothing                     // there is no endpoint and never will be
)

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

// Pool bounds what one proxy sends to a cluster at once. A zero count means no bound, a zero duration Envoy's default.
type Pool struct {
	ConnectTimeout        time.Duration // 0: 10 s
	MaxConnections        uint32
	MaxPending            uint32
	MaxRequests           uint32
	MaxRetries            uint32
	RequestsPerConnection uint32
	ConcurrentStreams     uint32
	IdleTimeout           time.Duration
	ConnectionDuration    time.Duration
	Keepalive             *Keepalive
	ClientProtocol        bool // upstream uses the protocol of the client's request
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

// Endpoints are where the requests of an EDS cluster go.
type Endpoints struct {
	Cluster    string
	Localities []Locality // sorted; empty: no endpoint is ready
	Origins    []Origin
}

// Locality is a group of endpoints near each other.
type Locality struct {
	Region    string
	Zone      string
	SubZone   string
	Endpoints []Endpoint // sorted by address and port
}

// Endpoint is one address that serves requests.
type Endpoint struct {
	Address string
	Port    int
	Weight  uint32 // at least 1
}
