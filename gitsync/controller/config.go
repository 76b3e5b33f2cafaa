package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
)

// Identities hands out Appliers that act as a service account.
type Identities interface {
	As(namespace, account string) (gitsync.Applier, error)
}

// Watch sees what becomes of applied objects; gitsync/watch does.
type Watch interface {
	Subscribe(changed func(owner gitsync.Owner, id gitsync.ID))
	Follow(ctx context.Context, owner gitsync.Owner, have gitsync.Inventory)
	Owned(ctx context.Context, owner gitsync.Owner) []gitsync.ID
	Start(ctx context.Context) error
}

// Config is what the controller works with. All fields are required but the Defaults.
type Config struct {
	Client   client.Client        // reads from the cache, writes to the server
	Live     client.Reader        // reads from the server
	Recorder events.EventRecorder // of events.k8s.io
	Fetcher  gitsync.Fetcher
	Renderer gitsync.Renderer
	Decoder  *decode.Decoder
	Appliers Identities
	Watch    Watch
	Now      func() time.Time // with a monotonic reading
	Random   func() float64   // uniform from 0 to 1, spreads looks over time
	Defaults
}

// Defaults are what the operator sets for all Sources.
type Defaults struct {
	Account string        // service account of Sources that name none; empty: they must
	Domain  string        // suffix of Kubernetes services; "cluster.local"
	Resync  time.Duration // between comparisons of everything with the cluster; 10 min
}

func (c Config) validate() error {
	for _, part := range []struct {
		name  string
		there bool
	}{{"Client", c.Client != nil}, {"Live", c.Live != nil}, {"Recorder", c.Recorder != nil}, {"Fetcher", c.Fetcher != nil},
		{"Renderer", c.Renderer != nil}, {"Decoder", c.Decoder != nil}, {"Appliers", c.Appliers != nil}, {"Watch", c.Watch != nil}, {"Now", c.Now != nil},
		{"Random", c.Random != nil}} {
		if !part.there {
			return errors.New("source controller: Config." + part.name + " is missing")
		}
	}
	return nil
}

// Controller reconciles Sources.
type Controller struct {
	config   Config
	wake     waker
	receiver *receiver
	account
	builds      builds
	definitions definitions
	back        Back

	mu     sync.Mutex
	memory map[types.NamespacedName]*memory             // guarded by mu; each entry belongs to the one reconcile of its Source
	hints  map[types.NamespacedName]hint                // not acted on yet; guarded by mu
	drifts map[types.NamespacedName]map[gitsync.ID]bool // changed and not told to the pass yet; guarded by mu
	turns  map[string]*turn                             // by namespace; guarded by mu
}

// New makes a Controller.
func New(c Config) (*Controller, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.Domain == "" {
		c.Domain = "cluster.local"
	}
	if c.Resync == 0 {
		c.Resync = resync
	}
	made := &Controller{config: c, account: account{meters: newMeters()}, memory: map[types.NamespacedName]*memory{}, hints: map[types.NamespacedName]hint{}, drifts: map[types.NamespacedName]map[gitsync.ID]bool{}, turns: map[string]*turn{}}
	made.receiver = newReceiver(made)
	return made, nil
}

// hint asks for a look; after is a commit that it should show, or empty.
type hint struct {
	after string
	first time.Time // when we heard of the first that is not acted on yet
	last  time.Time // and of the newest
}

// Hint asks for a look at a Source soon. after is a commit id that the remote should show by then, or empty.
func (c *Controller) Hint(source types.NamespacedName, after string) {
	now := c.config.Now()
	c.mu.Lock()
	first := now
	if earlier, ok := c.hints[source]; ok {
		first = earlier.first
	}
	c.hints[source] = hint{after, first, now}
	c.mu.Unlock()
	c.nudge(source)
	c.wake.now(source)
}

// takeHint gives and forgets the hint of a Source.
func (c *Controller) takeHint(source types.NamespacedName) (hint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hints[source]
	delete(c.hints, source)
	return h, ok
}

func (c *Controller) hinted(source types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.hints[source]
	return ok
}

// recall gives the memory of a Source; one of another uid starts anew.
func (c *Controller) recall(source types.NamespacedName, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory[source]
	if m == nil || m.uid != uid {
		m = &memory{uid: uid, applied: map[gitsync.ID]gitsync.Item{}, units: retries{}, drift: newDrift(), timetable: timetable{preemption: newPreemption()}}
		c.memory[source] = m
	}
	return m
}

func (c *Controller) forget(ctx context.Context, source types.NamespacedName) {
	c.config.Watch.Follow(ctx, gitsync.Owner{Namespace: source.Namespace, Name: source.Name}, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.memory[source]; m != nil {
		c.builds.drop(m.uid)
		c.forgetNotes(m)
	}
	delete(c.memory, source)
	delete(c.hints, source)
	delete(c.drifts, source)
	c.meters.forget(source)
	c.runs.forget(source)
}
