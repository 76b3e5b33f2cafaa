package ir

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
	Splits    []*SplitUse // sorted by Key
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
	Wire
	Spread
	Pool    Pool
	Outlier *Outlier // nil: endpoints are never ejected
	Origins []Origin
}

// Wire is what connections to the endpoints of a cluster speak.
type Wire struct {
	HTTP2 bool
	TLS   *ClientTLS // nil: they are not encrypted
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
	Priority  uint32     // 0 is served first; the next one as far as this one fails. Without gaps
	Weight    uint32     // 0: the sum of those of its endpoints
	Endpoints []Endpoint // sorted by address and port
}

// Endpoint is one address that serves requests.
type Endpoint struct {
	Address string // an IP address, a name where Discovery is by DNS, or the path of a Unix socket
	Port    int    // not used with a Unix socket
	Weight  uint32 // at least 1
}
