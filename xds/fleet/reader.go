package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// leasePrefix is what the names of Leases of replicas begin with.
const leasePrefix = "sluice-replica-"

// Own knows how far the proxies of this replica are.
type Own interface {
	// Convergence of a split, "namespace/name", of the Rollout with the uid at a traffic seq.
	Convergence(key, uid string, seq uint64) ir.Convergence
	// Changed is closed at the next change of any convergence.
	Changed() <-chan struct{}
	// Splits that every proxy of this replica is served as they are there, or newer, where it asks for them: sorted by key,
	// and not copied.
	Splits() []ir.SplitUse
}

// ReaderConfig is what a Reader works with. All but Log, Leader and Hear is required.
type ReaderConfig struct {
	Cache     cache.Cache   // of Leases and FleetReports, in Namespace at least
	Client    client.Client // for what is to be removed
	Own       Own
	Namespace string // Sluice's own
	Replica   string // name of this process
	Now       func() time.Time
	Log       *slog.Logger // nil: discard

	Leader string                              // name of the Lease of the process that decides; empty: there is none
	Hear   func(replica, process, text string) // is given what another replica shares, each time its Lease changes; nil: nobody wants to know
}

// Reader knows how far the proxies of all replicas are: those of this one by its own ledger, those of others by the
// reports of replicas that live. It is a Runnable for a controller-runtime manager, on every replica, so that the next
// leader knows what the last one knew.
type Reader struct {
	config ReaderConfig
	self   string

	mu      sync.Mutex // guards everything below
	peers   peers
	leader  leader
	known   bool          // everything that exists was seen
	changed chan struct{} // closed at the next change
}

// NewReader makes a Reader that knows of nobody yet: nothing counts as rendered until it has seen all reports.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	if cfg.Cache == nil || cfg.Client == nil || cfg.Own == nil || cfg.Now == nil || cfg.Namespace == "" || cfg.Replica == "" {
		return nil, errors.New("making the reader of fleet reports: Cache, Client, Own, Now, Namespace and Replica are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Reader{config: cfg, self: objectName(cfg.Replica), changed: make(chan struct{})}, nil
}

// NeedLeaderElection tells the manager that every replica reads.
func (r *Reader) NeedLeaderElection() bool { return false }

// Convergence says how far the proxies of all replicas that live are with a split.
func (r *Reader) Convergence(key, uid string, seq uint64) ir.Convergence {
	own := r.config.Own.Convergence(key, uid, seq)
	own.Rendered = own.Rendered || own.Connected == 0 && r.rendered(key, uid, seq)
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Sum(append([]ir.Convergence{own}, r.peers.parts(key, uid, seq, now)...)...)
	if !r.known {
		out.Rendered, out.SettledAt = false, time.Time{}
	}
	return out
}

// rendered reports whether this replica has rendered a split that no proxy of it asks for.
func (r *Reader) rendered(key, uid string, seq uint64) bool {
	all := r.config.Own.Splits()
	i, found := slices.BinarySearchFunc(all, key, func(use ir.SplitUse, key string) int { return strings.Compare(use.Key, key) })
	return found && all[i].UID == uid && all[i].Seq >= seq
}

// Changed gives a channel that is closed when some Convergence may have changed. Take it before asking.
func (r *Reader) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// announce tells of a change; the Reader is locked.
func (r *Reader) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Start follows the others until ctx ends.
func (r *Reader) Start(ctx context.Context) error {
	err := errors.Join(
		r.watch(ctx, &coordinationv1.Lease{}, r.seeLease),
		r.watch(ctx, &v1alpha1.FleetReport{}, r.seeReport))
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	r.mu.Lock()
	r.known = true
	r.announce()
	r.mu.Unlock()
	removing := time.NewTicker(renewEvery)
	defer removing.Stop()
	for {
		own := r.config.Own.Changed()
		expiry, stop := r.expiry()
		select {
		case <-ctx.Done():
			stop()
			return nil
		case <-own:
		case <-expiry:
		case <-removing.C:
			stop()
			r.removeDead(ctx)
			continue
		}
		stop()
		r.mu.Lock()
		r.announce()
		r.mu.Unlock()
	}
}

// expiry gives a channel that tells when a replica does not live any more.
func (r *Reader) expiry() (due <-chan time.Time, stop func()) {
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.peers.expires(now)
	if at.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(at.Sub(now))
	return timer.C, func() { timer.Stop() }
}

// watch lets see be called with each object of a kind, and with whether it is gone; it returns when all are seen.
func (r *Reader) watch(ctx context.Context, kind client.Object, see func(o client.Object, gone bool)) error {
	informer, err := r.config.Cache.GetInformer(ctx, kind)
	if err != nil {
		return fmt.Errorf("watching the reports of other replicas: %w", err)
	}
	tell := func(o any, gone bool) {
		if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		if one, ok := o.(client.Object); ok && one.GetNamespace() == r.config.Namespace {
			see(one, gone)
		}
	}
	seen, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell(o, false) },
		UpdateFunc: func(_, o any) { tell(o, false) },
		DeleteFunc: func(o any) { tell(o, true) },
	})
	if err != nil {
		return fmt.Errorf("watching the reports of other replicas: %w", err)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
		return errors.New("watching the reports of other replicas: stopped")
	}
	return nil
}

// seeLease takes the Lease of another replica, or of the process that decides.
func (r *Reader) seeLease(o client.Object, gone bool) {
	name, of := strings.CutPrefix(o.GetName(), leasePrefix)
	lease, ok := o.(*coordinationv1.Lease)
	switch {
	case !ok:
	case of:
		if holder, other := r.seePeer(name, lease, gone); other && r.config.Hear != nil {
			r.config.Hear(name, holder, lease.Annotations[sharedAnnotation])
		}
	case o.GetName() == r.config.Leader:
		now := r.config.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.leader.saw(lease, gone, now)
	}
}

// seePeer takes the Lease of a replica and gives the process that holds it, empty where none does. other: it is not this one.
func (r *Reader) seePeer(name string, lease *coordinationv1.Lease, gone bool) (holder string, other bool) {
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == r.self {
		r.peers.looked(now)
		return "", false
	}
	if gone {
		r.peers.released(name)
		r.announce()
		return "", true
	}
	if id := lease.Spec.HolderIdentity; id != nil {
		holder = *id
	}
	if r.peers.renewed(name, lease.ResourceVersion, holder, now) {
		r.announce()
	}
	return holder, true
}

// seeReport takes the report of another replica.
func (r *Reader) seeReport(o client.Object, gone bool) {
	report, ok := o.(*v1alpha1.FleetReport)
	if !ok || report.Name == r.self {
		return
	}
	st := report.Status
	if gone {
		st = v1alpha1.FleetReportStatus{}
	}
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers.reported(report.Name, st, now)
	r.announce()
}

// removeDead removes what is left of replicas that have not lived for long. One that comes back makes it anew.
func (r *Reader) removeDead(ctx context.Context) {
	now := r.config.Now()
	r.mu.Lock()
	dead := r.peers.dead(now)
	r.mu.Unlock()
	for _, name := range dead {
		if err := r.remove(ctx, name); err != nil {
			if ctx.Err() == nil {
				r.config.Log.Warn("what is left of a replica stays for now", "reason", name, "err", err)
			}
			continue
		}
		r.mu.Lock()
		r.peers.forget(name)
		r.mu.Unlock()
	}
}

// remove deletes the Lease and the report of a replica as they were last seen: neither when it has come back since.
func (r *Reader) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	lease, report := &coordinationv1.Lease{}, &v1alpha1.FleetReport{}
	for _, one := range []struct {
		object client.Object
		name   string
	}{{lease, leasePrefix + name}, {report, name}} {
		err := r.config.Cache.Get(ctx, client.ObjectKey{Namespace: r.config.Namespace, Name: one.name}, one.object)
		if err == nil {
			uid, version := one.object.GetUID(), one.object.GetResourceVersion()
			err = r.config.Client.Delete(ctx, one.object, client.Preconditions{UID: &uid, ResourceVersion: &version})
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
