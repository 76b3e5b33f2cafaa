package fleet

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// A replica that ends while proxies of it are cut off, or are on their way to another one, goes on to count until its Lease has ended,
// with what it knew last: nobody else knows yet what they run.
func TestWriter_keepsItsLeaseForProxiesThatAreUnderWay(t *testing.T) {
	lost := step(2, 0, 0, 0)
	lost.Lost, lost.Splits[0].Convergence.Lost = 2, 2
	away := step(2, 0, 0, 0)
	away.Away, away.Splits[0].Convergence.Away = 2, 2
	unrendered := step(2, 3, 3, 0)
	unrendered.Splits[0].Convergence.Rendered = false
	for _, c := range []struct {
		name string
		end  ir.Report
		kept bool
	}{
		{"lost", lost, true},
		{"pending", step(2, 3, 2, 0), true},
		{"not rendered", unrendered, true},
		{"all have acknowledged", step(2, 3, 3, 0), true},
		{"one rejects", step(2, 3, 2, 1), true},
		{"sent away", away, true},
		{"nobody is left", step(2, 0, 0, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, ns := server(t)
			l := &ledger{report: step(1, 3, 3, 0), changed: make(chan struct{})}
			stop := run(t, cl, ns, l)
			shows(t, cl, ns, "the first", func(s v1alpha1.FleetReportStatus) bool { return s.Proxies.Synced == 3 })
			l.set(c.end)
			stop()
			lease := &coordinationv1.Lease{}
			if err := cl.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-replica-sluice-0"}, lease); err != nil {
				t.Fatal(err)
			}
			if kept := lease.Spec.HolderIdentity != nil; kept != c.kept {
				t.Errorf("the Lease is held: %v, want %v", kept, c.kept)
			}
			if !c.kept {
				return
			}
			shows(t, cl, ns, "what was known last", func(s v1alpha1.FleetReportStatus) bool {
				return len(s.Splits) == 1 && s.Splits[0].Seq == 2 && s.Proxies.Lost == int32(c.end.Lost) && s.Splits[0].Away == int32(c.end.Away) && s.Proxies.Connected == int32(c.end.Connected)
			})
		})
	}
}

// tardy is a client to which the reply to a write of a Lease does not come before its context ends, once that is wanted.
type tardy struct {
	client.Client
	wanted  atomic.Bool
	written chan struct{}
}

func (l *tardy) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	err := l.Client.Update(ctx, o, opts...)
	if l.wanted.CompareAndSwap(true, false) {
		close(l.written)
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// A replica that ends while it renews its Lease releases it all the same.
func TestWriter_releasesALeaseThatItWasWriting(t *testing.T) {
	cl, ns := server(t)
	l := &tardy{Client: cl, written: make(chan struct{})}
	stop := run(t, l, ns, &ledger{report: step(1, 0, 0, 0), changed: make(chan struct{})})
	shows(t, cl, ns, "the first", func(s v1alpha1.FleetReportStatus) bool { return len(s.Splits) == 1 })
	l.wanted.Store(true)
	select {
	case <-l.written:
	case <-time.After(time.Minute):
		t.Fatal("the Lease is not renewed")
	}
	stop()
	lease := &coordinationv1.Lease{}
	if err := cl.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-replica-sluice-0"}, lease); err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity != nil {
		t.Errorf("the Lease is still held by %s", *lease.Spec.HolderIdentity)
	}
}
