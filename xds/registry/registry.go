// Package registry holds services and their endpoints, whatever they come from.
//
// Adapters (xds/registry/kube, the ServiceEntry reader in xds/istio) fill Snapshots; Merge joins them. The package
// decides which of two services of one name counts, and nothing about traffic.
package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Snapshot is what there is at one moment: services, sorted by host and namespace, and workloads that may back others.
type Snapshot struct {
	Services  []Service
	Workloads []Workload // sorted by namespace and name
}

// Workload is a pod or machine that the selector of a service may choose.
type Workload struct {
	Namespace string
	Name      string
	Endpoint  Endpoint // its Ports are by the names of its own ports
}

// Service is a host that clients know, with its ports and where they lead.
type Service struct {
	Host       string // fully qualified, lower case; may start with "*."
	Namespace  string
	Ports      []Port // sorted by number
	VIPs       []string
	Resolution Resolution
	External   bool     // outside the mesh
	ExportTo   []string // namespaces that may see it; "." own, "*" all, "~" none; empty: all
	Origin     Origin
	Endpoints  []Endpoint // sorted by address
	Selector   map[string]string
	Names      []string  // that certificates of its endpoints have; empty: not told
	Ignored    []Ignored // in the order of the fields
}

// Ignored is a field of a service's object that has no effect.
type Ignored struct {
	Field string
	What  string // completes "... is not supported"
}

// Port is one port of a service.
type Port struct {
	Name       string
	Number     int
	Protocol   Protocol
	Raw        bool   // its object says that it is TCP, or something that a proxy reads as TCP
	Target     int    // port of endpoints that do not say their own; 0: Number
	TargetName string // the name by which workloads know that port; empty: it has none
}

// Protocol is what is spoken on a port. The zero value is TCP.
type Protocol string

// The protocols that are told apart.
const (
	TCP   Protocol = ""
	HTTP  Protocol = "http"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
	TLS   Protocol = "tls" // https, too: the proxy does not look inside
)

// HTTP reports whether requests of p can be routed one by one.
func (p Protocol) HTTP() bool { return p == HTTP || p == HTTP2 || p == GRPC }

// ParseProtocol reads a protocol's name as in the name of a port, in any case. What is not known is TCP.
func ParseProtocol(name string) Protocol {
	switch strings.ToLower(name) {
	case "http", "grpc-web":
		return HTTP
	case "http2":
		return HTTP2
	case "grpc":
		return GRPC
	case "https", "tls":
		return TLS
	default:
		return TCP
	}
}

// Raw reports whether name, as in the name of a port, stands for TCP or for something that is read as TCP; a name that is not
// known does not.
func Raw(name string) bool {
	return slices.Contains([]string{"tcp", "mongo", "redis", "mysql"}, strings.ToLower(name))
}

// Resolution is how the endpoints of a service are found. The zero value is Static.
type Resolution int

// The ways of resolution.
const (
	Static   Resolution = iota // Endpoints lists them
	DNS                        // each endpoint address is a name, all its addresses count
	DNSFirst                   // the single endpoint's name, one address at a time
	Original                   // not at all: the address that the client meant is the endpoint
)

// Endpoint is one instance of a service.
type Endpoint struct {
	Address  string
	Ports    map[string]int // by the name of the service port; a missing name is the service port's Target
	Labels   map[string]string
	Weight   uint32 // 0 counts as 1
	Locality Locality
	Node     string // that it runs on; empty: unknown
	Network  string // that it is reached through; empty: unknown
	Ready    bool
}

// Locality is where an endpoint runs. Empty fields are unknown.
type Locality struct {
	Region  string
	Zone    string
	SubZone string
}

// Origin is the object that a service was read from.
type Origin struct {
	Kind      string // Service, ServiceEntry
	Namespace string
	Name      string
	UID       string
	Created   time.Time // zero: unknown
}

// Conflict is a service that Merge left out.
type Conflict struct {
	Kept    Origin
	Dropped Origin
	Host    string
}

// Merge joins snapshots. Of several services with one host in one namespace the Kubernetes Service counts, else the
// one created first (unknown is last), then by name; the rest is returned as conflicts. The inputs are not changed.
func Merge(snaps ...Snapshot) (Snapshot, []Conflict) {
	var all []Service
	for _, s := range snaps {
		all = append(all, s.Services...)
	}
	slices.SortStableFunc(all, func(a, b Service) int {
		return cmp.Or(
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Namespace, b.Namespace),
			compareOrigin(a.Origin, b.Origin))
	})
	var out Snapshot
	for _, s := range snaps {
		out.Workloads = append(out.Workloads, s.Workloads...)
	}
	var conflicts []Conflict
	for _, s := range all {
		if n := len(out.Services); n > 0 && out.Services[n-1].Host == s.Host && out.Services[n-1].Namespace == s.Namespace {
			conflicts = append(conflicts, Conflict{Kept: out.Services[n-1].Origin, Dropped: s.Origin, Host: s.Host})
			continue
		}
		out.Services = append(out.Services, s)
	}
	return out, conflicts
}

func compareOrigin(a, b Origin) int {
	rank := func(o Origin) int {
		if o.Kind == "Service" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), CompareCreated(a.Created, b.Created), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// CompareCreated orders creation times; an unknown time is after every known one.
func CompareCreated(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	default:
		return a.Compare(b)
	}
}

// Port finds a port by its number.
func (s Service) Port(number int) (Port, bool) {
	for _, p := range s.Ports {
		if p.Number == number {
			return p, true
		}
	}
	return Port{}, false
}

// VisibleTo reports whether clients in namespace may see the service.
func (s Service) VisibleTo(namespace string) bool {
	return Exported(s.ExportTo, s.Namespace, namespace)
}

// Exported reports whether an export list of an object in namespace own admits namespace user.
func Exported(exportTo []string, own, user string) bool {
	if len(exportTo) == 0 {
		return true
	}
	return slices.Contains(exportTo, "*") || slices.Contains(exportTo, user) || (own == user && slices.Contains(exportTo, "."))
}

// Serves reports whether the endpoint has service port p. One that names no ports has all of them.
func (e Endpoint) Serves(p Port) bool {
	_, ok := e.Ports[p.Name]
	return ok || len(e.Ports) == 0
}

// PortOf is the port of the endpoint that serves service port p.
func (e Endpoint) PortOf(p Port) int {
	if n, ok := e.Ports[p.Name]; ok {
		return n
	}
	return cmp.Or(p.Target, p.Number)
}
