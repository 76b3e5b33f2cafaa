package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	renewEvery    = 5 * time.Second
	lookEvery     = time.Second           // acknowledgements that move no split are told of by nobody
	lookAfter     = 50 * time.Millisecond // many proxies answer within a moment
	callWithin    = 3 * time.Second
	releaseWithin = 3 * time.Second // a process that ends waits for no server
	retryAfter    = time.Second
)

// Ledger knows how far the proxies are.
type Ledger interface {
	Report() ir.Report
	// Changed gives a channel that is closed when a split may have moved or something was rejected.
	Changed() <-chan struct{}
}

// Config is what a Writer works with. All but Log and Tells is required.
type Config struct {
	Client    client.Client // without a cache
	Ledger    Ledger
	Namespace string // Sluice's own
	Replica   string // name of this process
	Now       func() time.Time
	Log       *slog.Logger // nil: discard
	Tells     Tells        // zero: nobody is told what proxies report
}

// Writer is a Runnable for a controller-runtime manager.
type Writer struct {
	config      Config
	name        string
	incarnation string
	pace        pace
	lease       *coordinationv1.Lease // as stored; nil: it is to be read
	report      *v1alpha1.FleetReport // as stored; nil: it is to be read
	renewed     time.Time             // when the Lease was last asked to be renewed
	telling     telling
	waits       map[string]time.Time // until when a failed call is not made again
	said        map[string]string    // what was last complained of
}

// New makes a Writer that has written nothing yet.
func New(cfg Config) (*Writer, error) {
	if cfg.Client == nil || cfg.Ledger == nil || cfg.Now == nil || cfg.Namespace == "" || cfg.Replica == "" {
		return nil, errors.New("making the writer of fleet reports: Client, Ledger, Now, Namespace and Replica are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making the writer of fleet reports: %w", err)
	}
	return &Writer{
		config: cfg, name: objectName(cfg.Replica), incarnation: hex.EncodeToString(random),
		waits: map[string]time.Time{}, said: map[string]string{},
	}, nil
}

// objectName is the replica's name as that of an object.
func objectName(replica string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, strings.ToLower(replica))
	return strings.Trim(name[:min(len(name), 200)], "-.")
}

// NeedLeaderElection tells the manager that every replica reports.
func (w *Writer) NeedLeaderElection() bool { return false }

// Start writes until ctx ends. A store that does not answer is asked again; it stops nothing else.
func (w *Writer) Start(ctx context.Context) error {
	for {
		changed := w.config.Ledger.Changed()
		wait := w.work(ctx)
		if !sleep(ctx, min(lookAfter, wait), nil) || !sleep(ctx, wait-lookAfter, changed) {
			w.release(ctx)
			return nil
		}
	}
}

// sleep waits for d or until woken; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-woken:
	case <-timer.C:
	}
	return true
}

// work does what is due and says how long to wait until more is.
func (w *Writer) work(ctx context.Context) time.Duration {
	w.attempt("renewing its Lease", w.renewed.Add(renewEvery), func() error {
		now := w.config.Now()
		err := w.renew(ctx)
		if err == nil {
			w.renewed = now
		}
		return err
	})
	look := w.tell(ctx)
	now := w.config.Now()
	next := statusOf(w.config.Ledger.Report(), w.pace.written, w.incarnation, now)
	due := w.pace.look(next, now)
	if due.IsZero() || w.lease == nil {
		return look
	}
	if now.Before(due) {
		return min(look, due.Sub(now))
	}
	w.attempt("writing its FleetReport", due, func() error {
		w.pace.tried(now)
		if err := w.write(ctx, next); err != nil {
			return err
		}
		w.pace.wrote(next)
		return nil
	})
	return look
}

// attempt makes a call that is due, unless it has just failed. What goes wrong is said once.
func (w *Writer) attempt(what string, due time.Time, call func() error) {
	now := w.config.Now()
	if now.Before(due) || now.Before(w.waits[what]) {
		return
	}
	err := call()
	if err == nil {
		delete(w.waits, what)
		delete(w.said, what)
		return
	}
	w.waits[what] = w.config.Now().Add(retryAfter)
	if text := err.Error(); w.said[what] != text && !errors.Is(err, context.Canceled) {
		w.said[what] = text
		w.config.Log.Warn("this replica does not get through to the API server; it goes on trying", "reason", what, "err", err)
	}
}

// renew shows that this replica lives: whoever sees the Lease change knows it.
func (w *Writer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	if w.lease == nil {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: w.config.Namespace, Name: leasePrefix + w.name}}
		err := w.config.Client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
		if apierrors.IsNotFound(err) {
			err = w.config.Client.Create(ctx, w.held(lease))
		}
		if err != nil {
			return err
		}
		w.lease = lease
		w.report, w.pace.written.Incarnation = nil, "" // the report may have gone with the Lease before
	}
	lease := w.held(w.lease.DeepCopy())
	if err := w.config.Client.Update(ctx, lease); err != nil {
		w.lease = nil
		return err
	}
	w.lease = lease
	return nil
}

// release says that this replica has gone: nobody then waits for what its proxies would have said. While some of them are on their
// way to another one, the last report stands until the Lease has ended by itself: by then they are elsewhere.
func (w *Writer) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	if w.lease == nil && !w.regain(ctx) {
		return
	}
	if last := w.config.Ledger.Report(); underway(last) {
		if err := w.write(ctx, statusOf(last, w.pace.written, w.incarnation, w.config.Now())); err != nil {
			w.config.Log.Warn("the last FleetReport of this replica is not written; the one before stands until its Lease has ended", "err", err)
		}
		return
	}
	w.telling.text = ""
	lease := w.held(w.lease.DeepCopy())
	lease.Spec.HolderIdentity = nil
	if err := w.config.Client.Update(ctx, lease); err != nil {
		w.config.Log.Warn("the Lease of this replica is not released; it ends by itself", "err", err)
	}
}

// regain reads the Lease again where the end of the process broke off a write of it, which may have arrived. It reports whether
// there is one, and it is this process's.
func (w *Writer) regain(ctx context.Context) bool {
	lease := &coordinationv1.Lease{}
	if err := w.config.Client.Get(ctx, client.ObjectKey{Namespace: w.config.Namespace, Name: leasePrefix + w.name}, lease); err != nil {
		return false
	}
	w.lease = lease
	return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == w.incarnation
}

// underway reports that proxies which run splits are cut off now, or were sent away a moment ago: nobody else may count them yet.
func underway(r ir.Report) bool {
	return slices.ContainsFunc(r.Splits, func(s ir.SplitReport) bool {
		c := s.Convergence
		return c.Connected > 0 || c.Lost > 0 || c.Away > 0
	})
}

func (w *Writer) held(lease *coordinationv1.Lease) *coordinationv1.Lease {
	lease.Spec.HolderIdentity = new(w.incarnation)
	lease.Spec.LeaseDurationSeconds = new(int32(3 * renewEvery / time.Second))
	lease.Spec.RenewTime = new(metav1.NewMicroTime(w.config.Now()))
	delete(lease.Annotations, sharedAnnotation)
	if w.telling.text != "" {
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, sharedAnnotation, w.telling.text)
	}
	return lease
}

// write stores the report: the one place where the status of the kind is written.
func (w *Writer) write(ctx context.Context, status v1alpha1.FleetReportStatus) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	before, err := w.stored(ctx)
	if err != nil {
		return err
	}
	report := before.DeepCopy()
	report.Status = *status.DeepCopy()
	w.report = nil
	if err := w.config.Client.Status().Patch(ctx, report, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	w.report = report
	return nil
}

// stored is the report as it is, made where there is none. It goes when the Lease goes.
func (w *Writer) stored(ctx context.Context) (*v1alpha1.FleetReport, error) {
	if w.report != nil {
		return w.report, nil
	}
	report := &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: w.config.Namespace, Name: w.name}}
	err := w.config.Client.Get(ctx, client.ObjectKeyFromObject(report), report)
	owners := []metav1.OwnerReference{{
		APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease", Name: w.lease.Name, UID: w.lease.UID,
	}}
	switch {
	case apierrors.IsNotFound(err):
		report.OwnerReferences = owners
		return report, w.config.Client.Create(ctx, report)
	case err == nil && !slices.Equal(report.OwnerReferences, owners): // of a Lease that had the name before
		report.OwnerReferences = owners
		return report, w.config.Client.Update(ctx, report)
	}
	return report, err
}
