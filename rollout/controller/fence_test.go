package controller_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/kube"
)

// epoch is the one that the lease keeps.
func (w *world) epoch() int64 {
	w.t.Helper()
	lease := &coordinationv1.Lease{}
	if err := w.client.Get(w.t.Context(), w.lease(), lease); err != nil {
		w.t.Fatal(err)
	}
	n, err := strconv.ParseInt(lease.Annotations[controller.AnnotationEpoch], 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestEpoch_risesWithEachProcessAndIsInItsWrites(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	must(t, w.driven(&cached{Client: w.client}, nil)())
	first := w.epoch()
	if got := w.get().Status.Epoch; got != first || first < 1 {
		t.Errorf("the status has epoch %d, the lease %d", got, first)
	}
	was := w.get().ResourceVersion
	next := w.driven(&cached{Client: w.client}, nil)
	must(t, next())
	if w.epoch() <= first {
		t.Errorf("the next process has epoch %d after %d", w.epoch(), first)
	}
	if w.get().ResourceVersion != was {
		t.Error("the object was written for its epoch alone")
	}
	w.push("v2", "digest-v2")
	must(t, next())
	if got := w.get().Status.Epoch; got != w.epoch() {
		t.Errorf("the status has epoch %d, the lease %d", got, w.epoch())
	}
}

func TestEpoch_isAboveThoseOfAllStatuses(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	must(t, w.driven(&cached{Client: w.client}, nil)())
	w.raiseEpoch(1000)
	if err := w.client.Delete(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: w.lease().Name}}); err != nil {
		t.Fatal(err)
	}
	must(t, w.driven(&cached{Client: w.client}, nil)())
	if w.epoch() <= 1000 {
		t.Errorf("epoch %d, a status has 1000", w.epoch())
	}
}

// raiseEpoch is what a process with a higher epoch would write.
func (w *world) raiseEpoch(to int64) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		ro := w.get()
		before := ro.DeepCopy()
		ro.Status.Epoch = to
		return w.client.Status().Patch(w.t.Context(), ro, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
}

func TestHigherEpoch_endsTheProcess(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	mgr, ended := w.manager(), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- mgr.Start(ctx) }()
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.raiseEpoch(w.epoch() + 1)
	select {
	case err := <-ended:
		if !errors.Is(err, controller.ErrFenced) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	was := w.get()
	w.push("v2", "digest-v2")
	if is := w.get(); is.Status.Seq != was.Status.Seq {
		t.Errorf("seq went from %d to %d", was.Status.Seq, is.Status.Seq)
	}
}

// behind is a controller behind a door of a fault proxy, whose passes the test makes.
func (w *world) behind(proxy *fault.Proxy) func() error {
	w.t.Helper()
	c, err := client.New(proxy.Open(w.t, "one").Config(), client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.driven(&cached{Client: c}, nil)
}

var statusPatch = fault.Key{Verb: "patch", Resource: "rollouts.sluice.dev", Subresource: "status"}

func statusWrites(p *fault.Proxy) int {
	return len(slices.DeleteFunc(p.Writes(), func(w fault.Write) bool { return w.Key.Subresource != "status" }))
}

func TestRefusedStatus_isNotOfferedForEver(t *testing.T) {
	w := newWorld(t)
	w.notifier("team")
	proxy := fault.Start(t, w.config)
	pass := w.behind(proxy)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	rule := proxy.Add(fault.Rule{Match: statusPatch, Nth: 1, Mode: fault.Invalid}) // that an attempt starts
	before := statusWrites(proxy)
	for range 10 {
		must(t, pass())
	}
	if got := statusWrites(proxy) - before; got != 2 { // the refused one, and the transition that says so, once
		t.Errorf("%d writes in 10 passes, want 2", got)
	}
	ready := v1alpha1.Condition(w.get().Status.Conditions, v1alpha1.ConditionReady)
	if st := w.get().Status; st.Reason != "StatusRefused" || len(st.Notes) != 1 || st.Notes[0].Kind != v1alpha1.NoteBlocked {
		t.Errorf("%s with notes %+v", st.Reason, st.Notes)
	}
	if !rule.HasFired() || ready.Reason != v1alpha1.ReasonBlocked || !strings.Contains(ready.Message, "AttemptStarted") {
		t.Errorf("ready: %+v", ready)
	}
	for range 25 { // two seconds each: it is offered again
		must(t, pass())
	}
	if st := w.get().Status; st.Attempt != 1 || st.Weight != 15 {
		t.Errorf("%s, attempt %d at %d%%", st.Phase, st.Attempt, st.Weight)
	}
}

func TestRefusedRollback_isOfferedAgainAndBraked(t *testing.T) {
	for name, body := range map[string]string{"all refused": "", "the rollback alone": `"phase":"RollingBack"`} {
		t.Run(name, func(t *testing.T) { testRefusedRollback(t, body) })
	}
}

// testRefusedRollback refuses the writes that hold body: what is stored between them does not make a rollback less overdue.
func testRefusedRollback(t *testing.T, body string) {
	t.Helper()
	w := newWorld(t)
	proxy := fault.Start(t, w.config)
	pass := w.behind(proxy)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass())
	rule := proxy.Add(fault.Rule{Match: statusPatch, Body: body, Mode: fault.Invalid})
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	must(t, pass(), pass())
	if got := w.mesh.braked(); got != 1 {
		t.Errorf("attempt %d is braked, want 1", got)
	}
	rule.Remove()
	must(t, pass())
	if st := w.get().Status; st.Phase != v1alpha1.PhaseRollingBack || st.Weight != 0 {
		t.Errorf("%s at %d%%", st.Phase, st.Weight)
	}
	must(t, pass())
	if got := w.mesh.braked(); got != 0 {
		t.Errorf("attempt %d is still braked", got)
	}
}
