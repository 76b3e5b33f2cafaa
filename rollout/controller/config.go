package controller

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Fleet knows how far the proxies are, and what they report.
type Fleet interface {
	Loads
	// Convergence of a split, "namespace/name", of the Rollout with the uid at a traffic seq.
	Convergence(key, uid string, seq uint64) ir.Convergence
	// Changed is closed at the next change of any convergence.
	Changed() <-chan struct{}
}

// Loads knows what proxies report of their requests.
type Loads interface {
	// LoadsOf several clusters, by seconds, or parts of the newest ones, that begin at since or later and are known.
	LoadsOf(clusters []string, since time.Time) []ir.Load
	// Reported is closed when another second or part of one is known.
	Reported() <-chan struct{}
}

// Mesh knows what a split would mean before it is rendered.
type Mesh interface {
	// Facts about a split: endpoints, clusters, and what forbids raising it.
	Facts(s ir.Split) ir.SplitFacts
	// Changed is closed at the next change of any facts.
	Changed() <-chan struct{}
}

// Servers knows every Prometheus that may be asked.
type Servers interface {
	// Querier of the server that an object of a namespace refers to; nil: the one named default. The error says, for a
	// person, why there is none.
	Querier(namespace string, ref *v1alpha1.PrometheusReference) (analysis.Querier, error)
}

// Outbox delivers the notes that statuses list.
type Outbox interface {
	// Stored is called with the object as stored: when it is first seen, and after each status write.
	Stored(ro *v1alpha1.Rollout)
	// Results of deliveries whose effect is not stored yet.
	Results(uid types.UID) []notify.Result
	// Forget an object that does not exist any more.
	Forget(uid types.UID)
}

// Config is what the controller works with. All fields are required but Outbox, Observe and Digest.
type Config struct {
	Client   client.Client        // reads from the cache, writes to the server
	Live     client.Reader        // reads from the server
	Recorder events.EventRecorder // of events.k8s.io
	Fleet    Fleet
	Mesh     Mesh
	Servers  Servers
	// CheckSource says why a Querier would not take what a template reads; nil: it would.
	CheckSource func(s analysis.Source) error
	Now         func() time.Time // with a monotonic reading
	// Digest of what the Rollout wants, for one without the annotation; nil: such a Rollout's want is unknown.
	Digest  func(ctx context.Context, ro *v1alpha1.Rollout) (string, error)
	Outbox  Outbox      // nil: no notes
	Observe func(Event) // called in order, after the write returned; nil: nobody listens
	Lead    Lead        // what keeps two processes apart, and a rollback going while the server does not answer
}

// Lead is what a process needs to lead. Only Lease is required.
type Lead struct {
	// Lease whose annotation keeps the epoch. Shared MetricTemplates of its namespace may be named by every Rollout.
	Lease types.NamespacedName
	// Rollbacks writes them: by a connection and at a rate of its own, so that nothing else delays one. nil: Config.Client.
	Rollbacks client.Client
	Braker    Braker // nil: no proxies are served here
	// Confirmed reports that the lease could be renewed in time. While it could not, because the server does not answer,
	// nothing is written: this process judges on and may only brake. nil: always.
	Confirmed func() bool
	Patience  Patience
	ActionTTL time.Duration // how long actions are kept after their result; 24 h
	// Namespaces whose Rollouts are looked at; empty: all.
	Namespaces []string
}

// Braker takes the canary of an attempt to 0 at the proxies of this process, before that is stored.
type Braker interface {
	// Brake the Rollout, "namespace/name" with the uid, for one attempt. It does not block.
	Brake(key, uid string, attempt int64)
	// Release says that the end of the attempt is stored, or that the object is gone.
	Release(key, uid string)
}

// Patience is how long an answer of the server is waited for.
type Patience struct {
	Write    time.Duration // 10 s
	Rollback time.Duration // 1 s; after half of it the brake is engaged
	Read     time.Duration // 2 s; of what is not watched here, or not known to be
	Action   time.Duration // 1 s; of all actions of one pass, which are looked at again in the next one
}

func (c Config) validate() error {
	var errs []error
	for _, need := range []struct {
		name string
		set  bool
	}{
		{"Client", c.Client != nil}, {"Live", c.Live != nil}, {"Recorder", c.Recorder != nil}, {"Fleet", c.Fleet != nil},
		{"Lead.Lease", c.Lead.Lease.Name != ""}, {"Mesh", c.Mesh != nil}, {"Servers", c.Servers != nil}, {"CheckSource", c.CheckSource != nil}, {"Now", c.Now != nil},
	} {
		if !need.set {
			errs = append(errs, errors.New("the rollout controller needs "+need.name))
		}
	}
	return errors.Join(errs...)
}

// defaulted fills in what was left to it.
func (c Config) defaulted() Config {
	if c.Lead.Patience.Write == 0 {
		c.Lead.Patience.Write = writeTimeout
	}
	if c.Lead.Patience.Read == 0 {
		c.Lead.Patience.Read = readTimeout
	}
	if c.Lead.Patience.Action == 0 {
		c.Lead.Patience.Action = actionTimeout
	}
	if c.Lead.Patience.Rollback == 0 {
		c.Lead.Patience.Rollback = rollbackTimeout
	}
	if c.Lead.ActionTTL == 0 {
		c.Lead.ActionTTL = defaultTTL
	}
	if len(c.Lead.Namespaces) == 0 {
		c.Lead.Namespaces = []string{""}
	}
	if c.Lead.Rollbacks == nil {
		c.Lead.Rollbacks = c.Client
	}
	if c.Lead.Confirmed == nil {
		c.Lead.Confirmed = func() bool { return true }
	}
	return c
}

// Event is a transition that was stored, or the first time that all connected proxies had a traffic seq.
type Event struct {
	At        time.Time // by Config.Now
	Namespace string
	Name      string
	Attempt   int64
	Subset    string // the canary, or the stable one at rest
	Connected int    // proxies
	// Transition that was stored; nil: every connected proxy has acknowledged traffic seq Acked at Weight.
	Transition *rollout.Transition
	Acked      uint64
	Weight     int
}
