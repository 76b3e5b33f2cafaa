package apply

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/watch"
)

// FieldManager owns the fields that Git sets.
const FieldManager = "sluice-gitsync"

const (
	parallel       = 8  // objects of one run
	atOnce         = 16 // of all runs of the process
	requestTimeout = 30 * time.Second
	conflictTries  = 5
)

// Stamps knows the newest state of live objects without a request; gitsync/watch does.
type Stamps interface {
	Stamp(ctx context.Context, id gitsync.ID, version string) (s watch.Stamp, known bool)
}

// Appliers hands out one Applier per identity. It is safe for concurrent use.
type Appliers struct {
	config *rest.Config
	mapper meta.RESTMapper
	stamps Stamps
	slots  *semaphore.Weighted

	mu    sync.Mutex
	known map[string]*Applier // by user name; guarded by mu
}

// New makes Appliers for the cluster of config, whose user must be allowed to impersonate. Without stamps every object
// is read before it is compared.
func New(config *rest.Config, mapper meta.RESTMapper, stamps Stamps) *Appliers {
	if stamps == nil {
		stamps = unwatched{}
	}
	return &Appliers{config: config, mapper: mapper, stamps: stamps, slots: semaphore.NewWeighted(atOnce), known: map[string]*Applier{}}
}

type unwatched struct{}

func (unwatched) Stamp(context.Context, gitsync.ID, string) (watch.Stamp, bool) {
	return watch.Stamp{}, false
}

// As gives the Applier that acts as a service account.
func (a *Appliers) As(namespace, account string) (gitsync.Applier, error) {
	user := "system:serviceaccount:" + namespace + ":" + account
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.known[user]; known != nil {
		return known, nil
	}
	config := rest.CopyConfig(a.config)
	config.Timeout = requestTimeout
	// No groups: the server adds those of a service account by itself, and to name one is a right of its own, by which a
	// controller could act as the masters of the cluster.
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(config, client.Options{Mapper: a.mapper})
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", user, err)
	}
	made := &Applier{client: c, stamps: a.stamps, slots: a.slots, parallel: parallel, memory: map[gitsync.ID]memo{}}
	a.known[user] = made
	return made, nil
}

// Applier implements gitsync.Applier.
type Applier struct {
	client   client.Client
	stamps   Stamps
	slots    *semaphore.Weighted
	parallel int // objects of one run

	mu     sync.Mutex
	memory map[gitsync.ID]memo // what our last apply left; guarded by mu
}

// memo is what is known of an object after it was applied. An object whose hash and mark are still these is as Git wants
// it, and its content is still this.
type memo struct {
	hash, mark string
	live       gitsync.Live
}

func memoOf(hash string, o *unstructured.Unstructured, id gitsync.ID, version string) memo {
	return memo{hash, watch.StampOf(o).Mark, liveOf(o, id, version)}
}

func (a *Applier) remember(id gitsync.ID, m memo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.memory[id] = m
}

func (a *Applier) recall(id gitsync.ID) memo {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.memory[id]
}

func (a *Applier) forget(id gitsync.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.memory, id)
}

// do runs work in one of the slots of the process. Once ctx has ended nothing is begun; work that was begun is cut short
// by the end of the process, but not by something newer to apply.
func (a *Applier) do(ctx context.Context, work func(context.Context) error) error {
	if err := a.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for a turn: %w", context.Cause(ctx))
	}
	defer a.slots.Release(1)
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if !preempted(ctx) {
			cancel()
		}
	})()
	return work(inner)
}

func blank(id gitsync.ID, version string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind})
	o.SetNamespace(id.Namespace)
	o.SetName(id.Name)
	return o
}
