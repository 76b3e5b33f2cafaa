package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/kube"
)

// cached is a client whose reads are those of a cache that can stand still, or wait for a kind that never comes.
type cached struct {
	client.Client
	frozen  *v1alpha1.Rollout // nil: up to date
	waiting atomic.Bool       // lists end with their context
}

func (c *cached) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if ro, ok := o.(*v1alpha1.Rollout); ok && c.frozen != nil {
		c.frozen.DeepCopyInto(ro)
		return nil
	}
	return c.Client.Get(ctx, key, o, opts...)
}

func (c *cached) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if c.waiting.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return c.Client.List(ctx, list, opts...)
}

// driven is a controller whose passes the test makes itself, each a while after the one before.
func (w *world) driven(c *cached, digest func(context.Context, *v1alpha1.Rollout) (string, error)) (pass func() error) {
	w.t.Helper()
	pass, _ = w.offset(c, digest)
	return pass
}

// shifted is the same with the clock in the test's hand.
func (w *world) shifted(c *cached) (pass func() error, clock *time.Duration) { return w.offset(c, nil) }

func (w *world) offset(c *cached, digest func(context.Context, *v1alpha1.Rollout) (string, error)) (pass func() error, clock *time.Duration) {
	w.t.Helper()
	offset := time.Duration(0)
	it, err := controller.New(controller.Config{
		Client: c, Live: w.server(), Recorder: events.NewFakeRecorder(1000), Fleet: w.proxies(), Mesh: w.mesh, Servers: w.prom,
		Now: func() time.Time { return time.Now().Add(offset) }, Outbox: w.outbox, Observe: w.observe, Digest: digest, CheckSource: prom.CheckSource,
		Lead: controller.Lead{Lease: w.lease(), Braker: w.mesh, Patience: controller.Patience{Rollback: 10 * time.Second}}, // the machine may be busy
	})
	if err != nil {
		w.t.Fatal(err)
	}
	it.Thawed(w.ns)
	w.it = it
	return func() error {
		offset += 2 * time.Second
		_, err := it.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: w.ns, Name: "reviews"}})
		return err
	}, &offset
}

// server is what a controller reads from that does not read from its cache.
func (w *world) server() client.Reader {
	if w.live != nil {
		return w.live
	}
	return w.client
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestCacheThatStandsStill_stopsNothing(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	pass := w.driven(&cached{Client: w.client, frozen: w.get()}, nil)
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	if st := w.get().Status; st.Weight != 15 {
		t.Errorf("%s at %d%% after %v, want 15%%", st.Phase, st.Weight, w.reasons())
	}
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass())
	if st := w.get().Status; st.Phase != v1alpha1.PhaseRollingBack || st.Weight != 0 {
		t.Errorf("%s at %d%% after %v, want RollingBack at 0", st.Phase, st.Weight, w.reasons())
	}
}

func TestRejection_isNotDelayedByReadsThatDoNotEnd(t *testing.T) {
	w := newWorld(t)
	c := &cached{Client: w.client}
	pass := w.driven(c, func(ctx context.Context, ro *v1alpha1.Rollout) (string, error) {
		return "live-" + ro.Spec.Subset, c.List(ctx, &v1alpha1.NotifierList{})
	})
	w.rollout("v1", func(ro *v1alpha1.Rollout) { ro.Annotations = map[string]string{} })
	must(t, pass())
	kube.Eventually(t, patience, func() error {
		ro := w.get()
		ro.Spec.Subset = "v2"
		return w.client.Update(t.Context(), ro)
	})
	must(t, pass())
	if st := w.get().Status; st.Weight != 15 {
		t.Fatalf("%s at %d%% after %v, want 15%%", st.Phase, st.Weight, w.reasons())
	}
	c.waiting.Store(true)
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	done := make(chan error, 1)
	go func() { done <- pass() }()
	kube.Eventually(t, 15*time.Second, func() error {
		if st := w.get().Status; st.Phase != v1alpha1.PhaseRollingBack || st.Weight != 0 {
			return fmt.Errorf("%s at %d%% after %v", st.Phase, st.Weight, w.reasons())
		}
		return nil
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
}
