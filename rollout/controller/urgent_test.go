package controller_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/fault"
)

// failing is the server to those who read one kind from it.
type failing struct {
	client.Client
	rollouts bool
	actions  bool
	asked    int // for actions
}

func (f *failing) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	switch o.(type) {
	case *v1alpha1.RolloutAction:
		if f.asked++; f.actions {
			return errors.New("connection refused")
		}
	case *v1alpha1.Rollout:
		if f.rollouts {
			return errors.New("connection refused")
		}
	}
	return f.Client.Get(ctx, key, o, opts...)
}

// However many actions there are, a rollback waits for the reading of a few.
func TestActions_thatAreManyDelayNoRollback(t *testing.T) {
	w := newWorld(t)
	live := &failing{Client: w.client, actions: true}
	w.live = live
	pass := w.driven(&cached{Client: w.client}, nil)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	for range 12 {
		w.act(v1alpha1.ActionPause)
	}
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	live.asked = 0
	must(t, pass())
	st := w.get().Status
	if passes := len(w.reasons()); live.asked > 4*passes {
		t.Errorf("%d reads of actions in at most %d looks", live.asked, passes)
	}
	if st.Outcome != v1alpha1.OutcomeRolledBack || st.Weight != 0 {
		t.Errorf("%s at %d%%", st.Phase, st.Weight)
	}
}

// A rollback is stored before anything else is.
func TestRollback_isWrittenFirst(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	c, err := client.New(proxy.Open(t, "one").Config(), client.Options{Scheme: w.client.Scheme()})
	must(t, err)
	pass, clock := w.shifted(&cached{Client: c})
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	name := w.act(v1alpha1.ActionRetry, func(s *v1alpha1.RolloutActionSpec) { s.IfAttempt = 0 })
	*clock += 11 * time.Minute
	ro := w.get()
	ro.Finalizers = nil
	must(t, w.client.Update(t.Context(), ro))
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	before := len(proxy.Writes())
	must(t, pass())
	writes := proxy.Writes()[before:]
	if len(writes) == 0 || writes[0].Key.Resource != statusPatch.Resource || writes[0].Key.Subresource != "status" {
		t.Errorf("the first of %d writes is another one", len(writes))
	}
	must(t, pass())
	if a := w.action(name); a.Status.Result != v1alpha1.ActionExpired || len(w.get().Finalizers) != 1 {
		t.Errorf("action %+v, finalizers %v", a.Status, w.get().Finalizers)
	}
}

// What a person asks for as well keeps no harm from being braked.
func TestBrake_actsBesidesAnAbort(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	pass := w.behind(proxy)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	proxy.Add(fault.Rule{Match: statusPatch, Mode: fault.Invalid})
	w.act(v1alpha1.ActionAbort)
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass(), pass(), pass())
	if got := w.mesh.braked(); got != 1 {
		t.Errorf("attempt %d is braked, want 1", got)
	}
}

// A server that fell silent between a write and its echo is no reason not to judge.
func TestBrake_actsWhileTheCacheIsBehind(t *testing.T) {
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	c, err := client.New(proxy.Open(t, "one").Config(), client.Options{Scheme: w.client.Scheme()})
	must(t, err)
	w.rollout("v1")
	live := &failing{Client: w.client}
	w.live = live
	cache := &cached{Client: c}
	pass := w.driven(cache, nil)
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass())
	cache.frozen = w.get()
	must(t, pass())
	if st := w.get().Status; st.Weight != 15 {
		t.Fatalf("%s at %d%%", st.Phase, st.Weight)
	}
	live.rollouts = true
	proxy.Add(fault.Rule{Match: statusPatch, Mode: fault.Before})
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	for range 4 {
		_ = pass() // nothing can be stored
	}
	if got := w.mesh.braked(); got != 1 {
		t.Errorf("attempt %d is braked, want 1", got)
	}
}
