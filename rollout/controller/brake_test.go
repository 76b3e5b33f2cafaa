package controller_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/kube"
)

// untilBraked waits until the canary of an attempt is kept at 0; 0: until none is.
func (w *world) untilBraked(attempt int64) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		if got := w.mesh.braked(); got != attempt {
			return errors.New("another attempt is braked, or none")
		}
		return nil
	})
}

func TestBrake_actsWhileTheServerIsSilent(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	w.config = proxy.Open(t, "one").Config()
	w.lead = func(l *controller.Lead) { l.Patience.Rollback = time.Second }
	w.run()
	w.atFifteen()
	proxy.Silence()
	w.prom.set(func(p *prometheus) { p.err, p.bad = nil, 1 })
	began := time.Now()
	w.untilBraked(1)
	t.Logf("braked %v after the canary turned bad", time.Since(began))
	if st := w.get().Status; st.Weight != 15 || !st.Phase.AtRest() && st.Phase == v1alpha1.PhaseRollingBack {
		t.Errorf("%s at %d%% while nothing can be stored", st.Phase, st.Weight)
	}
	proxy.Resume()
	ro := w.untilPhase(v1alpha1.PhaseRolledBack)
	w.untilBraked(0)
	if ro.Status.Attempt != 1 || len(ro.Status.Rejected) != 1 {
		t.Errorf("attempt %d, rejected %v", ro.Status.Attempt, ro.Status.Rejected)
	}
	kube.Eventually(t, patience, func() error {
		list := &eventsv1.EventList{}
		if err := w.client.List(t.Context(), list, client.InNamespace(w.ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "BrakeReleased" {
				return nil
			}
		}
		return errors.New("no event says that the brake was released")
	})
}

// A verdict that comes while another write hangs does not wait for it.
func TestBrake_doesNotWaitForAWriteThatHangs(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	w.config = proxy.Open(t, "one").Config()
	w.lead = func(l *controller.Lead) { l.Patience = controller.Patience{Rollback: time.Second, Write: time.Minute} }
	w.run()
	w.atFifteen()
	held := proxy.Add(fault.Rule{Match: statusPatch, Mode: fault.Held})
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true }) // observed, which is written
	<-held.Fired()
	began := time.Now()
	w.prom.set(func(p *prometheus) { p.err, p.bad = nil, 1 })
	w.untilBraked(1)
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("braked after %v, the write that hangs has a minute", took)
	}
	held.Remove()
	w.untilPhase(v1alpha1.PhaseRolledBack)
	w.untilBraked(0)
}

// A rollback whose write takes long brakes while it goes on, and is stored by that write.
func TestBrake_comesBeforeASlowWrite(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	w.config = proxy.Open(t, "one").Config()
	w.lead = func(l *controller.Lead) { l.Patience = controller.Patience{Rollback: 10 * time.Second} }
	w.run()
	w.atFifteen()
	held := proxy.Add(fault.Rule{Match: statusPatch, Body: string(v1alpha1.PhaseRollingBack), Nth: 1, Mode: fault.Held})
	w.prom.set(func(p *prometheus) { p.err, p.bad = nil, 1 })
	<-held.Fired()
	w.untilBraked(1)
	held.Release()
	w.untilPhase(v1alpha1.PhaseRolledBack)
	w.untilBraked(0)
	offered := 0
	for _, one := range proxy.Writes() {
		if one.Key.Subresource == "status" && strings.Contains(string(one.Body), `"phase":"RollingBack"`) {
			offered++
		}
	}
	if offered != 1 {
		t.Errorf("the rollback was offered %d times, once would do", offered)
	}
}

// A process that could not renew its lease judges on, stores nothing, and hands over when another one leads, though the server
// does not take that at once.
func TestBrake_isHandedOverByWhoDoesNotLead(t *testing.T) {
	w := newWorld(t)
	var confirmed atomic.Bool
	confirmed.Store(true)
	server := &flaky{Client: w.client, fails: 2}
	w.lead = func(l *controller.Lead) { l.Confirmed, l.Rollbacks = confirmed.Load, server }
	mgr, ended := w.manager(), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- mgr.Start(ctx) }()
	w.atFifteen()
	confirmed.Store(false)
	w.prom.set(func(p *prometheus) { p.err, p.bad = nil, 1 })
	w.untilBraked(1)
	if st := w.get().Status; st.Weight != 15 || len(st.Rejected) != 0 {
		t.Errorf("it wrote: %s at %d%%", st.Phase, st.Weight)
	}
	w.it.Replaced()
	if err := <-ended; !errors.Is(err, controller.ErrFenced) {
		t.Errorf("it ended with %v", err)
	}
	list := &v1alpha1.RolloutActionList{}
	if err := w.client.List(t.Context(), list, client.InNamespace(w.ns)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Spec.Verb != v1alpha1.ActionRollback || list.Items[0].Spec.IfAttempt != 1 ||
		!strings.HasPrefix(list.Items[0].Name, "brake-") {
		t.Fatalf("handed over: %+v", list.Items)
	}
	w.lead = nil
	w.prom.set(func(p *prometheus) { p.err = errors.New("connection refused") })
	w.run()
	if st := w.untilPhase(v1alpha1.PhaseRolledBack).Status; st.History[0].Reason != "ManualRollback" {
		t.Errorf("history %+v", st.History)
	}
}

// flaky is the server to one whose first objects it does not make.
type flaky struct {
	client.Client
	fails int
}

func (f *flaky) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	if f.fails > 0 {
		f.fails--
		return errNoAnswer
	}
	return f.Client.Create(ctx, o, opts...)
}
