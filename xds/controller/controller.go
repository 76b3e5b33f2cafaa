package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// secretRetry is how soon a class that waits for Secrets is looked at again, if nothing happens before.
const secretRetry = 100 * time.Millisecond

// retryMissing is how often kinds that were not served are asked for again.
const retryMissing = 5 * time.Second

// Publisher gives resources to proxies.
type Publisher interface {
	// Publish makes r what the proxies of the class should have.
	Publish(ctx context.Context, class ir.ProxyClass, r envoy.Resources) error
}

// Demand knows which classes of proxies there are.
type Demand interface {
	// Classes that are compiled for, and a channel that is closed when they change.
	Classes() ([]ir.ProxyClass, <-chan struct{})
	// SetClassKeys says what of proxies tells classes apart.
	SetClassKeys(keys ir.ClassKeys)
}

// Config is what a Controller works with. The first four fields are required.
type Config struct {
	Cache     cache.Cache // of the cluster's objects; it may already run
	Publisher Publisher
	Demand    Demand
	Now       func() time.Time

	Reader  client.Reader // of the API server itself, for Barrier; nil: streams are served without proof
	Secrets SecretReader  // of the cluster; nil: every Secret counts as missing

	Ready         func()       // called once, when everything that exists has been seen; nil: nobody waits
	DomainSuffix  string       // of Kubernetes services; empty: "cluster.local"
	RootNamespace string       // of mesh-wide objects; empty: "istio-system"
	RegistryDir   string       // of manifests of machines outside the cluster; empty: none
	Namespaces    []string     // that Cache holds, besides what it holds of the root namespace; empty: all
	Log           *slog.Logger // nil: discard
}

// Controller compiles and publishes. It is a Runnable for a controller-runtime manager, on every replica.
type Controller struct {
	config  Config
	world   *world
	watches []*watch
	wake    chan struct{} // of size one: pace has something new
	demand
	late

	mu    sync.Mutex // guards everything below
	pace  pace
	known bool // everything that exists has been seen
	shown
	changed chan struct{} // closed at the next change of facts
	proving proving
}

// shown is what others may ask for.
type shown struct {
	problems []problem.Problem
	rendered []ir.SplitUse // by every class in demand
}

// demand is what is known of the proxies that are connected, and what they need.
type demand struct {
	secrets    *secrets
	classes    map[ir.ProxyClass]*compiled
	waiting    map[ir.ProxyClass]bool // for Secrets
	demanded   []ir.ProxyClass
	unselected []problem.Problem // about Gateways that none of them meets
	compilation
}

// compilation is what is compiled, and how sure that is.
type compilation struct {
	compiler  *istio.Compiler
	input     istio.Input // as of the newest change but of weights and endpoints
	metrics   meters
	verifying *verification // nil: none is on its way
	verified  time.Time     // when the newest began
	edits     int           // since then
	renders   renders
	checks    sync.WaitGroup
}

// late is what is looked at again and again: it may appear after the start.
type late struct {
	missing time.Duration // how often kinds that are not served are asked for again
	running *watch        // of pods' addresses; it begins when they are asked for
	files   *files        // nil: there are none
	reread  time.Duration // how often the files are
}

// New makes a Controller that watches nothing yet.
func New(cfg Config) (*Controller, error) {
	if cfg.Cache == nil || cfg.Publisher == nil || cfg.Demand == nil || cfg.Now == nil {
		return nil, errors.New("making the mesh controller: Cache, Publisher, Demand and Now are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Controller{
		config: cfg, world: newWorld(cfg.DomainSuffix, cfg.RootNamespace),
		wake: make(chan struct{}, 1), demand: demand{classes: map[ir.ProxyClass]*compiled{}}, late: late{missing: retryMissing, reread: readFiles}, changed: make(chan struct{}),
	}
	c.watches, c.running = watches(c.world), watchRunning(c.world)
	if cfg.RegistryDir != "" {
		if err := checkDir(cfg.RegistryDir); err != nil {
			return nil, err
		}
		c.files = &files{dir: cfg.RegistryDir, suffix: cfg.DomainSuffix, good: map[string][]byte{}}
	}
	c.compilation = compilation{compiler: istio.NewCompiler(cfg.DomainSuffix, cfg.RootNamespace), metrics: newMeters()}
	c.secrets = &secrets{
		reader: cfg.Secrets, log: cfg.Log, now: cfg.Now, watched: map[types.NamespacedName]*secretWatch{}, wake: c.rouse,
		set: func(name types.NamespacedName, s *corev1.Secret) { c.note(c.world.setSecret(name, s)) },
	}
	return c, nil
}

// NeedLeaderElection tells the manager that every replica serves proxies.
func (c *Controller) NeedLeaderElection() bool { return false }

// Facts says what the mesh holds for a split: endpoints, clusters, and what forbids raising it. Nothing is known
// before everything that exists has been seen.
func (c *Controller) Facts(s ir.Split) ir.SplitFacts {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if !known {
		return ir.SplitFacts{}
	}
	var classes []ir.ProxyClass
	if c.config.Demand != nil && s.Canary != "" { // at rest nothing is to be raised
		classes, _ = c.config.Demand.Classes()
	}
	return c.world.facts(s, classes)
}

// Changed gives a channel that is closed when some Facts may have changed. Take it before asking.
func (c *Controller) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Problems are those of the newest compilation, over all classes, sorted.
func (c *Controller) Problems() []problem.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]problem.Problem(nil), c.problems...)
}

// PodLabels are the labels of a Pod as last seen; ok is false when there is none of that name.
func (c *Controller) PodLabels(namespace, name string) (labels map[string]string, ok bool) {
	return c.world.podLabels(types.NamespacedName{Namespace: namespace, Name: name})
}

// note takes a change of the world.
func (c *Controller) note(u urgency) {
	if u == unchanged {
		return
	}
	now := c.config.Now()
	c.mu.Lock()
	c.pace.note(u, now)
	if u != weighed {
		close(c.changed)
		c.changed = make(chan struct{})
	}
	c.mu.Unlock()
	c.rouse()
}

// rouse lets the loop look again at what is due.
func (c *Controller) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Start watches, compiles and publishes until ctx ends. Before everything that exists has been seen nothing is
// published: a part of the truth would take routes away.
func (c *Controller) Start(ctx context.Context) error {
	for _, w := range c.watches {
		if err := c.begin(ctx, w); err != nil {
			return err
		}
	}
	if err := c.synced(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	if err := c.settled(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	if c.files != nil {
		c.refresh()
	}
	c.mu.Lock()
	c.known = true
	c.mu.Unlock()
	c.note(atOnce)
	var admitting sync.WaitGroup
	admitting.Go(func() { c.admit(ctx) })
	if c.files != nil {
		admitting.Go(func() { c.follow(ctx) })
	}
	defer admitting.Wait()
	defer c.secrets.close()
	defer c.checks.Wait()
	return c.run(ctx)
}

func (c *Controller) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	missing := time.NewTicker(c.missing)
	defer missing.Stop()
	for {
		c.followRunning(ctx)
		classes, demand := c.config.Demand.Classes()
		wait := c.work(ctx, classes)
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-demand:
		case <-timer.C:
		case <-missing.C:
			c.retry(ctx)
		}
	}
}

// retry begins to watch kinds that have appeared. Where the server does not answer, proxies are served what is known.
func (c *Controller) retry(ctx context.Context) {
	for _, w := range c.watches {
		if w.registration != nil {
			continue
		}
		if err := c.begin(ctx, w); err != nil && ctx.Err() == nil {
			c.config.Log.Warn("asking for a kind that was not served; it is asked for again", "err", err)
		}
	}
}

// work compiles what is due, and says how long to wait until more is; zero: until something happens.
func (c *Controller) work(ctx context.Context, classes []ir.ProxyClass) time.Duration {
	now := c.config.Now()
	c.mu.Lock()
	waiting := c.proving.flushes
	c.proving.flushes = nil
	due := c.pace.take(now, len(waiting) > 0)
	next := c.pace.due()
	c.mu.Unlock()
	if c.verify(ctx) {
		due.rest = true
	}
	held := c.compile(ctx, classes, due)
	for _, done := range waiting {
		close(done)
	}
	wait := time.Duration(0)
	if !next.IsZero() {
		wait = max(next.Sub(now), time.Millisecond)
	}
	if held && (wait == 0 || wait > secretRetry) {
		wait = secretRetry
	}
	return wait
}
