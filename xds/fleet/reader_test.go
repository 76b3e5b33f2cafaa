package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/ir"
)

// here is this replica's own fleet: one proxy that runs everything.
type here struct{ changed chan struct{} }

// Convergence implements Own.
func (here) Convergence(string, string, uint64) ir.Convergence {
	return ir.Convergence{Rendered: true, Connected: 1, Acked: 1, SettledAt: start}
}

// Changed implements Own.
func (h here) Changed() <-chan struct{} { return h.changed }

// Splits implements Own.
func (here) Splits() []ir.SplitUse { return nil }

// read lets a Reader work whose clock is later by what shift says.
func read(t *testing.T, c client.Client, ns string, shift *atomic.Int64) *Reader {
	t.Helper()
	return readTold(t, c, ns, shift, nil)
}

// readTold is read, and lets hear what others tell.
func readTold(t *testing.T, c client.Client, ns string, shift *atomic.Int64, hear func(replica, process, text string)) *Reader {
	t.Helper()
	all, err := cache.New(kube.Start(t), cache.Options{Scheme: c.Scheme(), DefaultNamespaces: map[string]cache.Config{ns: {}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(ReaderConfig{Cache: all, Client: c, Own: here{make(chan struct{})}, Namespace: ns, Replica: "Sluice_0", Leader: "sluice", Hear: hear,
		Now: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, f := range []func(context.Context) error{all.Start, r.Start} {
		running.Go(func() {
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// another makes the Lease and the report of a replica with one proxy that runs seq 7.
func another(t *testing.T, c client.Client, ns, name string) {
	t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sluice-replica-" + name}}
	lease.Spec.HolderIdentity = new("i")
	report := &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	if err := errors.Join(c.Create(t.Context(), lease), c.Create(t.Context(), report)); err != nil {
		t.Fatal(err)
	}
	report.Status = v1alpha1.FleetReportStatus{Incarnation: "i", Proxies: v1alpha1.FleetProxies{Connected: 1, Synced: 1},
		Splits: []v1alpha1.FleetSplit{{Split: "shop/reviews", UID: "u", Seq: 7, Rendered: true, Connected: 1, Acked: 1}}}
	if err := c.Status().Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
}

// counts waits until the Reader says so of seq 7 of the split.
func counts(t *testing.T, r *Reader, what string, ok func(ir.Convergence) bool) {
	t.Helper()
	kube.Eventually(t, 15*time.Second, func() error {
		if c := r.Convergence("shop/reviews", "u", 7); !ok(c) {
			return fmt.Errorf("%s: %+v", what, c)
		}
		return nil
	})
}

// pass lets time go by in which only this replica renews its Lease, and sees that.
func pass(t *testing.T, c client.Client, ns string, r *Reader, shift *atomic.Int64, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= renewEvery {
		shift.Add(int64(renewEvery))
		now := r.config.Now()
		kube.Eventually(t, 15*time.Second, func() error {
			lease := &coordinationv1.Lease{}
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-replica-sluice-0"}, lease); err != nil {
				return err
			}
			lease.Spec.RenewTime = &metav1.MicroTime{Time: now}
			return c.Update(t.Context(), lease)
		})
		kube.Eventually(t, 15*time.Second, func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.peers.own.Before(now) {
				return errors.New("the own renewal is not seen")
			}
			return nil
		})
	}
}

func TestReader_addsUpReplicasThatLiveAndRemovesThoseThatDoNot(t *testing.T) {
	c, ns := server(t)
	another(t, c, ns, "sluice-0") // what this replica itself wrote is not read
	another(t, c, ns, "sluice-1")
	shift := &atomic.Int64{}
	r := read(t, c, ns, shift)
	counts(t, r, "both", func(c ir.Convergence) bool { return c.Done() && c.Connected == 2 })
	if at := r.Convergence("shop/reviews", "u", 7).SettledAt; time.Since(at) > 90*time.Second {
		t.Errorf("settled at %s, which is long ago: the report of the other has just been read", at)
	}

	changed := r.Changed()
	report := &v1alpha1.FleetReport{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-1"}, report); err != nil {
		t.Fatal(err)
	}
	report.Status.Splits[0].Acked, report.Status.Splits[0].Pending = 0, []string{"n2"}
	if err := c.Status().Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	<-changed
	counts(t, r, "one waits", func(c ir.Convergence) bool { return c.Rendered && !c.Done() && len(c.Laggards) == 1 })

	pass(t, c, ns, r, shift, liveFor)
	counts(t, r, "the other does not live", func(c ir.Convergence) bool { return c.Done() && c.Connected == 1 })
	shift.Add(int64(keepDead))
	kube.Eventually(t, 3*renewEvery, func() error {
		for _, o := range []client.Object{
			&v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Name: "sluice-1"}},
			&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "sluice-replica-sluice-1"}},
		} {
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: o.GetName()}, o); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s is still there: %w", o.GetName(), err)
			}
		}
		return nil
	})
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-0"}, report); err != nil {
		t.Errorf("its own report: %v", err)
	}
}
