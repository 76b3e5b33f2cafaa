// Package app is the composition root: the only package that knows all wings. It builds the controllers, the
// xDS server, the webhook receiver and the outbox worker from one Config and runs them until the context ends.
package app

import (
	"log/slog"
	"time"

	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/gitsync/render"
)

// Config is all that a Sluice process needs to know besides how to reach its API server.
// The zero value of a field means its documented default.
type Config struct {
	Namespace  string       // Sluice's own namespace; "sluice-system"
	Namespaces []string     // whose objects are looked at, besides Sluice's own and mesh objects of the mesh's root; empty: all
	Replica    string       // name of this process; the host name
	Listen     Listen       // where it listens
	Proxies    Proxies      // how proxies prove who they are, and what is asked of them
	Mesh       Mesh         // how services and Istio objects are read
	Git        Git          // how repositories are fetched and applied
	Prometheus Prometheus   // which servers can be read by name; none: analysis is Blind
	Outside                 // what others are given of the work
	Leader     Leader       // which of several processes decides
	Observe    func(Event)  // called for each transition and each settled split, in order; nil: nobody listens
	Log        *slog.Logger // nil: discard
}

// Outside is what others are given of the work.
type Outside struct {
	Links     view.LinkTemplates // of pages about Rollouts, for notes
	Egress    Egress             // what may be dialled for objects
	Telemetry Telemetry          // what is measured and told of the work itself
}

// Leader says which of several processes decides, and what it keeps.
type Leader struct {
	Election  bool          // off: this process is the only one
	Lease     time.Duration // after which a leader that is silent is replaced; 15 s
	ActionTTL time.Duration // how long RolloutActions are kept after their result; 24 h
}

// Listen holds listening addresses. "0" turns one off.
type Listen struct {
	XDS       string // ADS; "127.0.0.1:15010". Plain text: loopback or "unix:<path>" only
	SecureXDS string // ADS over mutual TLS; ":15012" where Proxies names certificates, else off
	Hooks     string // webhook receiver; "127.0.0.1:9292"
	HooksCert string // file of its certificate, in PEM; a replaced file counts for new connections. Empty: plain text
	HooksKey  string // and of its key
	Metrics   string // Prometheus metrics of Sluice itself; "127.0.0.1:8080"
	Health    string // /healthz and /readyz; "127.0.0.1:8081"
	Decisions string // what was decided, for programs of this machine; "127.0.0.1:8082"
}

// Proxies says how proxies prove who they are, and what is asked of them. Cert, Key and CA belong together.
type Proxies struct {
	Cert        string // file of this server's certificate, in PEM; replaced files count for new connections
	Key         string // and of its key
	CA          string // and of the authorities that sign the certificates of proxies
	TrustDomain string // of their identities; "cluster.local"
	Identities  string // file of what proxies outside the cluster are; empty: only Pods prove their labels

	StatusReaders []string      // identities that may read the status of all proxies over mutual TLS; on this machine everybody may
	Version       string        // of this program, as they are told; "dev"
	Commit        string        // it was built from, as metrics tell it; empty: as the build itself says
	LoadInterval  time.Duration // between a proxy's reports of its requests, whole seconds from 1 to 60; 1 s
	IgnoreLoads   bool          // these reports are not judged

	Drain Drain // how they are sent to other replicas when this one ends
	Issue Issue // certificates that Sluice makes by itself, in the place of Cert, Key and CA
}

// Issue says which certificates Sluice makes and renews by itself. Without Secret: none.
type Issue struct {
	Secret  string        // of this server
	Names   []string      // and addresses of this server; "sluice.<namespace>.svc", and with the domain
	Gateway string        // Secret of the gateway; empty: there is none
	Account string        // service account of the gateway in the same namespace; "sluice-gateway"
	Proxies []string      // other proxies, as "NAMESPACE/SECRET=ACCOUNT"; their Secrets exist, with the label sluice.dev/certificates: self
	Life    time.Duration // of all; 90 days
}

// Drain says how proxies are sent to other replicas when this one is told to end. Zero: their streams are cut.
type Drain struct {
	Delay time.Duration // this replica is not ready any more, and serves on until everybody knows
	Time  time.Duration // then their streams are ended one after the other
}

// Mesh says how hosts are understood.
type Mesh struct {
	DomainSuffix  string // of Kubernetes services; "cluster.local"
	RootNamespace string // namespace of mesh-wide objects; "istio-system"
	RegistryDir   string // directory of manifests of machines outside the cluster; empty: none
}

// Git says how Sources are fetched and applied.
type Git struct {
	CacheDir       string   // bare repositories; a fresh temporary directory
	ClusterName    string   // names this cluster in the refs of last good commits; empty: none of the default name is kept
	InsecureHosts  []string // hosts (without port) that may be fetched from over plain http besides loopback
	ServiceAccount string   // account that Sources without one of their own apply as; empty: each must name one
	Kinds          []string // that Sources may apply, as "Kind.group", "Kind", "*.group" or "*"; nil: those of progressive delivery
	CrossNamespace bool     // Sources may name other namespaces than their own, and apply kinds without a namespace

	Resync time.Duration // between comparisons of everything with the cluster; 10 min
	Fetch  gogit.Limits  // of what a remote may send and what is kept
	Render render.Limits // of what a build may read and give
}

// Event is something that happened to a Rollout's traffic, stamped by the monotonic clock of this process.
type Event struct {
	At        time.Time
	Kind      EventKind
	Namespace string
	Name      string
	Attempt   int64
	Seq       uint64
	Phase     string
	Reason    string // of the transition
	Subset    string // the canary, or the stable one at rest
	Step      int
	Weight    int // percent of the canary
	Connected int // proxies, for Acked
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events.
const (
	EventTransition EventKind = "transition" // the status write of the transition returned
	EventAcked      EventKind = "acked"      // every connected proxy acknowledged the weight of Seq
)
