package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestMain(m *testing.M) { kube.Main(m) }

// ledger is a fleet as the test says.
type ledger struct {
	mu      sync.Mutex // guards all
	report  ir.Report
	changed chan struct{}
}

func (l *ledger) set(r ir.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report = r
	close(l.changed)
	l.changed = make(chan struct{})
}

// Report implements Ledger.
func (l *ledger) Report() ir.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.report
}

// Changed implements Ledger.
func (l *ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// server gives a client of an API server that knows the kind, and a namespace.
func server(t *testing.T) (client.Client, string) {
	t.Helper()
	cfg := kube.Start(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	own, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	for _, def := range own {
		if def.Spec.Names.Kind == v1alpha1.KindFleetReport {
			define(t, c, def)
		}
	}
	kube.Eventually(t, 10*time.Second, func() error { return c.List(t.Context(), &v1alpha1.FleetReportList{}) })
	return c, kube.Namespace(t, cfg)
}

// define makes the API server know a kind as this code has it: another program may have defined it before.
func define(t *testing.T, c client.Client, def *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	kube.Eventually(t, 10*time.Second, func() error {
		have := &apiextensionsv1.CustomResourceDefinition{}
		err := c.Get(t.Context(), client.ObjectKeyFromObject(def), have)
		if apierrors.IsNotFound(err) {
			return c.Create(t.Context(), def.DeepCopy())
		}
		if err != nil || equality.Semantic.DeepEqual(have.Spec.Versions, def.Spec.Versions) {
			return err
		}
		next := def.DeepCopy()
		next.ResourceVersion = have.ResourceVersion
		return c.Update(t.Context(), next)
	})
}

// run lets a Writer work until the function that it gives is called.
func run(t *testing.T, c client.Client, ns string, l *ledger) (stop func()) {
	t.Helper()
	w, err := New(Config{Client: c, Ledger: l, Namespace: ns, Replica: "Sluice_0", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	return func() {
		cancel()
		if err := poll.End(20*time.Second, "the Writer", done); err != nil {
			t.Error(err)
		}
	}
}

// shows waits until the report satisfies ok.
func shows(t *testing.T, c client.Client, ns, what string, ok func(v1alpha1.FleetReportStatus) bool) *v1alpha1.FleetReport {
	t.Helper()
	out := &v1alpha1.FleetReport{}
	kube.Eventually(t, 10*time.Second, func() error {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-0"}, out); err != nil {
			return err
		}
		if !ok(out.Status) {
			return fmt.Errorf("%s: %+v", what, out.Status)
		}
		return nil
	})
	return out
}

func TestWriter_storesWhatItsLedgerCounts(t *testing.T) {
	c, ns := server(t)
	l := &ledger{report: step(1, 3, 2, 0), changed: make(chan struct{})}
	stop := run(t, c, ns, l)
	report := shows(t, c, ns, "two of three", func(s v1alpha1.FleetReportStatus) bool {
		return s.Proxies == v1alpha1.FleetProxies{Connected: 3, Synced: 2, Pending: 1} && len(s.Splits) == 1 && s.Splits[0].Acked == 2 && len(s.Exceptions) == 1
	})
	lease := &coordinationv1.Lease{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-replica-sluice-0"}, lease); err != nil {
		t.Fatal(err)
	}
	if o := report.OwnerReferences; len(o) != 1 || o[0].UID != lease.UID || *lease.Spec.HolderIdentity != report.Status.Incarnation {
		t.Errorf("owned by %+v, held by %s; want the Lease %s of %s", o, *lease.Spec.HolderIdentity, lease.UID, report.Status.Incarnation)
	}
	l.set(step(1, 3, 2, 1))
	shows(t, c, ns, "a rejection", func(s v1alpha1.FleetReportStatus) bool {
		return s.Proxies.Rejected == 1 && s.Exceptions[0].State == v1alpha1.FleetRejected
	})
	l.set(ir.Report{Connected: 3, Synced: 3})
	rest := shows(t, c, ns, "at rest", func(s v1alpha1.FleetReportStatus) bool {
		return s.Proxies.Synced == 3 && len(s.Splits) == 0 && len(s.Exceptions) == 0
	})
	stop()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(lease), lease); err != nil || lease.Spec.HolderIdentity != nil {
		t.Errorf("after the end the Lease is held by %v, %v: want nobody", lease.Spec.HolderIdentity, err)
	}

	defer run(t, c, ns, l)()
	next := shows(t, c, ns, "another process", func(s v1alpha1.FleetReportStatus) bool {
		return s.Incarnation != rest.Status.Incarnation
	})
	if next.UID != report.UID {
		t.Error("the next process of the replica has made a report of its own")
	}
}

func TestWriter_writesWhatWasTakenAwayAgain(t *testing.T) {
	c, ns := server(t)
	l := &ledger{report: step(1, 3, 2, 0), changed: make(chan struct{})}
	defer run(t, c, ns, l)()
	all := func(s v1alpha1.FleetReportStatus) bool { return s.Proxies.Connected == 3 }
	report := shows(t, c, ns, "the first", all)
	if err := c.Delete(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	l.set(step(1, 3, 3, 0))
	if again := shows(t, c, ns, "the next", all); again.UID == report.UID {
		t.Error("the report was not deleted")
	}
}
