package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/kube"
)

// act asks for something, and gives the name of the action.
func (w *world) act(verb v1alpha1.ActionVerb, edit ...func(*v1alpha1.RolloutActionSpec)) string {
	w.t.Helper()
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, GenerateName: "act-"}}
	a.Spec = v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: verb, Actor: "ana", Reason: "the test wants it", IfAttempt: 1}
	for _, e := range edit {
		e(&a.Spec)
	}
	if err := w.client.Create(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
	return a.Name
}

func (w *world) action(name string) *v1alpha1.RolloutAction {
	w.t.Helper()
	a := &v1alpha1.RolloutAction{}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) untilResult(name string, want v1alpha1.ActionResult) *v1alpha1.RolloutAction {
	w.t.Helper()
	var a *v1alpha1.RolloutAction
	kube.Eventually(w.t, patience, func() error {
		if a = w.action(name); a.Status.Result != want {
			return fmt.Errorf("%s is %q, want %q: %+v", a.Spec.Verb, a.Status.Result, want, a.Status)
		}
		return nil
	})
	return a
}

// atFifteen runs an attempt of v2 up to its first weight, where no verdict lets it go on.
func (w *world) atFifteen() {
	w.t.Helper()
	w.prom.set(func(p *prometheus) { p.err = fmt.Errorf("connection refused") })
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
}

func TestAction_isDecidedOnAndTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.atFifteen()
	refused := w.untilResult(w.act(v1alpha1.ActionPause, func(s *v1alpha1.RolloutActionSpec) { s.IfAttempt = 7 }), v1alpha1.ActionRefused)
	if refused.Status.Code != "WrongAttempt" || !strings.Contains(refused.Status.Message, "WrongAttempt") || len(refused.Status.Conditions) != 1 {
		t.Errorf("refused with %+v", refused.Status)
	}
	abort := w.untilResult(w.act(v1alpha1.ActionAbort), v1alpha1.ActionAccepted)
	ro := w.untilPhase(v1alpha1.PhaseRolledBack)
	if ro.Status.Outcome != "aborted" || abort.Status.Attempt != 1 || len(ro.Status.Rejected) != 1 {
		t.Errorf("outcome %s, rejected %v, action %+v", ro.Status.Outcome, ro.Status.Rejected, abort.Status)
	}
	retry := w.untilResult(w.act(v1alpha1.ActionRetry, func(s *v1alpha1.RolloutActionSpec) { s.IfAttempt = 0 }), v1alpha1.ActionAccepted)
	w.until("retried", func(ro *v1alpha1.Rollout) bool { return ro.Status.Attempt == 2 })
	if retry.Status.Attempt == 0 {
		t.Errorf("action %+v", retry.Status)
	}
	w.until("without consumed uids", func(ro *v1alpha1.Rollout) bool { return len(ro.Status.Consumed) == 0 })
}

func TestAction_withoutItsRolloutExpires(t *testing.T) {
	w := newWorld(t)
	w.run()
	name := w.act(v1alpha1.ActionAbort)
	if a := w.untilResult(name, v1alpha1.ActionExpired); !strings.Contains(a.Status.Message, "no Rollout reviews") {
		t.Errorf("message %q", a.Status.Message)
	}
}

func TestAction_expiresAndIsRemovedLater(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	pass, offset := w.shifted(&cached{Client: w.client})
	must(t, pass())
	name := w.act(v1alpha1.ActionRetry, func(s *v1alpha1.RolloutActionSpec) { s.IfAttempt = 0 })
	// What a busy server does not answer within a second the next pass does.
	soon := func(what string, ok func() bool) {
		t.Helper()
		for range 20 {
			if must(t, pass()); ok() {
				return
			}
		}
		t.Error(what)
	}
	*offset += 11 * time.Minute
	soon("after 11 minutes it has not expired", func() bool { return w.action(name).Status.Result == v1alpha1.ActionExpired })
	*offset += 23 * time.Hour
	must(t, pass())
	w.action(name)
	*offset += 2 * time.Hour
	soon("after 25 hours it is there", func() bool {
		return apierrors.IsNotFound(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &v1alpha1.RolloutAction{}))
	})
}

// Two processes, one of which reads late: what a person asks for happens once.
func TestAction_isTakenOnceByTwoLeaders(t *testing.T) {
	w := newWorld(t)
	w.rollout("v1")
	late := &cached{Client: w.client}
	first, second := w.driven(&cached{Client: w.client}, nil), w.driven(late, nil)
	must(t, first())
	w.push("v2", "digest-v2")
	must(t, first(), first())
	late.frozen = w.get()
	name := w.act(v1alpha1.ActionAbort)
	must(t, first())
	was := w.get().Status
	must(t, second(), second(), first(), second())
	is := w.get().Status
	if was.Outcome != "aborted" || is.Attempt != 1 || len(is.Rejected) != 1 || len(is.History) != len(was.History) {
		t.Errorf("was %+v\nis %+v", was, is)
	}
	if a := w.action(name); a.Status.Result != v1alpha1.ActionAccepted {
		t.Errorf("the action says %+v", a.Status)
	}
}

// What was stored without its reply being seen is not done again, and the action is told.
func TestAction_isTakenOnceWhenTheReplyIsLost(t *testing.T) {
	for _, mode := range []fault.Mode{fault.Before, fault.Applied, fault.Conflict} {
		t.Run(mode.String(), func(t *testing.T) {
			w := newWorld(t)
			proxy := fault.Start(t, w.config)
			pass := w.behind(proxy)
			w.rollout("v1")
			must(t, pass())
			w.push("v2", "digest-v2")
			must(t, pass(), pass())
			name := w.act(v1alpha1.ActionAbort)
			proxy.Add(fault.Rule{Match: statusPatch, Nth: 1, Mode: mode})
			for range 4 {
				_ = pass() // one of them fails
			}
			st := w.get().Status
			if a := w.action(name); a.Status.Result != v1alpha1.ActionAccepted || st.Attempt != 1 || len(st.Rejected) != 1 || st.Weight != 0 {
				t.Errorf("action %+v, status %+v", a.Status, st)
			}
		})
	}
}
