package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestGoodRelease(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	if !slices.Contains(ro.Finalizers, v1alpha1.RolloutFinalizer) || ro.Status.ObservedGeneration != ro.Generation {
		t.Errorf("finalizers %v, observed generation %d of %d", ro.Finalizers, ro.Status.ObservedGeneration, ro.Generation)
	}
	w.push("v2", "digest-v2")
	ro = w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	w.untilReasons(completed())
	st := ro.Status
	if st.Stable.Name != "v2" || st.Previous == nil || st.Previous.Name != "v1" || st.Weight != 0 || st.Canary != nil || st.Outcome != v1alpha1.OutcomeCompleted ||
		!slices.Equal(st.Managed, []string{"v1"}) {
		t.Errorf("status after completion: %+v", st)
	}
	for kind, reason := range map[string]string{v1alpha1.ConditionAccepted: "Accepted", v1alpha1.ConditionResolvedRefs: "ResolvedRefs",
		v1alpha1.ConditionProgrammed: "Programmed", v1alpha1.ConditionHealthy: "NonInferior"} {
		w.until(kind+" "+reason, func(ro *v1alpha1.Rollout) bool {
			c := v1alpha1.Condition(ro.Status.Conditions, kind)
			return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reason
		})
	}
	w.untilProgrammed("2/2 proxies run weight 0")
	if len(st.Display.Commit) != 7 || st.Display.Proxies != "2/2" || st.Display.Weight != "0%" {
		t.Errorf("display %+v", st.Display)
	}
	w.quiet()
}

// completed are the transitions of a good release in two steps.
func completed() []string {
	return []string{"1 Adopted", "2 AttemptStarted", "3 WeightRequested", "4 WeightProgrammed", "5 StepPassed", "6 WeightProgrammed", "7 Completed"}
}

// untilProgrammed waits until the condition says so of the proxies.
func (w *world) untilProgrammed(message string) {
	w.t.Helper()
	w.until("Programmed: "+message, func(ro *v1alpha1.Rollout) bool {
		c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionProgrammed)
		return c != nil && c.Message == message
	})
}

// untilReasons waits until just these transitions were told.
func (w *world) untilReasons(want []string) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		if diff := cmp.Diff(want, w.reasons()); diff != "" {
			return fmt.Errorf("transitions (-want +got):\n%s", diff)
		}
		return nil
	})
}

// quiet says that nothing is written while nothing happens: what was still under way comes to an end.
func (w *world) quiet() {
	w.t.Helper()
	w.until("settled", func(ro *v1alpha1.Rollout) bool { return ro.Status.SettledSeq == ro.Status.Traffic.Seq })
	was, since := w.get().ResourceVersion, time.Now()
	kube.Eventually(w.t, patience, func() error {
		if is := w.get().ResourceVersion; is != was {
			was, since = is, time.Now()
		}
		if rests := time.Since(since); rests < 3*time.Second {
			return fmt.Errorf("resourceVersion %s is %v old, though nothing happens", was, rests)
		}
		return nil
	})
}

func TestBadRelease_isRememberedUntilItsContentChanges(t *testing.T) {
	w := newWorld(t)
	w.prom.set(func(p *prometheus) { p.bad = 0.2 })
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	if ro.Status.Weight != 0 || len(ro.Status.Rejected) != 1 || ro.Status.Rejected[0].Digest != "digest-v2" || ro.Status.Stable.Name != "v1" {
		t.Errorf("after the rollback: %+v", ro.Status)
	}
	for kind, status := range map[string]metav1.ConditionStatus{v1alpha1.ConditionHealthy: "False", v1alpha1.ConditionRolledBack: "True", v1alpha1.ConditionStalled: "True"} {
		if c := v1alpha1.Condition(ro.Status.Conditions, kind); c == nil || c.Status != status {
			t.Errorf("condition %s is %+v, want %s", kind, c, status)
		}
	}
	// The numbers are in the event.
	kube.Eventually(t, patience, func() error {
		list := &eventsv1.EventList{}
		if err := w.client.List(t.Context(), list, client.InNamespace(w.ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Type == "Warning" && strings.Contains(e.Note, "rolled back to v1 at step 1/2 (15%): errors 20%") {
				return nil
			}
		}
		return fmt.Errorf("no event with numbers among %d", len(list.Items))
	})
	// Another commit with the same content changes nothing; other content does.
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Annotations[v1alpha1.AnnotationCommit] = "d41b8c0000" })
	w.quiet()
	w.prom.set(func(p *prometheus) { p.bad = 0 })
	w.push("v2", "digest-v2-fixed")
	ro = w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	if ro.Status.Attempt != 2 || ro.Status.Stable.Digest != "digest-v2-fixed" {
		t.Errorf("attempt %d, stable %+v", ro.Status.Attempt, ro.Status.Stable)
	}
}

func TestRejection_isNotDelayedByASlowPrometheus(t *testing.T) {
	w := newWorld(t)
	blocks := make(chan struct{})
	defer close(blocks)
	w.prom.set(func(p *prometheus) { p.blocks = blocks })
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	kube.Eventually(t, patience, func() error {
		if w.prom.queries() == 0 {
			return errors.New("no query is under way")
		}
		return nil
	})
	w.fleet.set(func(f *fleet) { f.nack = "no cluster" })
	ro := w.untilPhase(v1alpha1.PhaseRollingBack)
	if n := w.prom.over(); n > 0 {
		t.Errorf("the rollback waited for %d queries", n)
	}
	if ro.Status.Reason != "DataPlaneRejected" || !strings.Contains(ro.Status.History[0].Text, "S093: proxy gw-1 rejected route http.8080: no cluster") {
		t.Errorf("reason %s, history %+v", ro.Status.Reason, ro.Status.History)
	}
	w.untilProgrammed("S093: proxy gw-1 rejected route http.8080: no cluster")
	w.fleet.set(func(f *fleet) { f.nack, f.silent = "", true })
	w.untilProgrammed("1/2 proxies run weight 0; waiting for gw-2")
	w.fleet.set(func(f *fleet) { f.silent = false })
	w.untilPhase(v1alpha1.PhaseRolledBack)
}

func TestRestart_goesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	stop := w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Bake = v1alpha1.DurationOf(5 * time.Second) })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	goOn := w.unjudged()
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	stop()
	goOn()
	stop = w.run()
	w.until("at 100", func(ro *v1alpha1.Rollout) bool { return ro.Status.Weight == 100 })
	stop()
	w.run()
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	if ro.Status.Seq != 7 || ro.Status.Attempt != 1 {
		t.Errorf("seq %d of attempt %d over two restarts, want 7 of 1", ro.Status.Seq, ro.Status.Attempt)
	}
	got := w.reasons() // one whose write was under way at a stop may not be told, none is told twice
	for i, r := range got {
		if slices.Index(completed(), r) < 0 || slices.Index(got, r) != i {
			t.Errorf("transition %q among %v", r, got)
		}
	}
}

func TestForeignWrites_costNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	for i := range 40 {
		w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Annotations["example.com/n"] = fmt.Sprint(i) })
	}
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	w.untilReasons(completed())
}

func TestDeletion_takesTheCanaryToZeroFirst(t *testing.T) {
	w := newWorld(t)
	defer w.unjudged()()
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.fleet.set(func(f *fleet) { f.silent = true })
	if err := w.client.Delete(t.Context(), w.get()); err != nil {
		t.Fatal(err)
	}
	ro := w.untilPhase(v1alpha1.PhaseRollingBack)
	if ro.Status.Weight != 0 || len(ro.Finalizers) != 1 {
		t.Errorf("weight %d, finalizers %v", ro.Status.Weight, ro.Finalizers)
	}
	w.fleet.set(func(f *fleet) { f.silent = false })
	kube.Eventually(t, patience, func() error {
		err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, &v1alpha1.Rollout{})
		if err == nil {
			return errors.New("the Rollout is still there")
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		w.outbox.mu.Lock()
		defer w.outbox.mu.Unlock()
		if len(w.outbox.forgotten) == 0 {
			return errors.New("the outbox still holds it")
		}
		return nil
	})
}

func TestUnknownSubset_hasNoEffectAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.mesh.set(func(m *mesh) { m.unknown = []string{"v9"} })
	w.run()
	w.rollout("v9")
	ro := w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRefsNotResolved)
	if c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionResolvedRefs); c.Reason != v1alpha1.ReasonSubsetNotFound ||
		!strings.Contains(c.Message, "v9") || ro.Status.Seq != 0 || ro.Status.Stable.Name != "" {
		t.Errorf("condition %+v, status %+v", c, ro.Status)
	}
	w.push("v1", "digest-v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v9", "digest-v9")
	ro = w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonRefsNotResolved)
	if ro.Status.Phase != v1alpha1.PhasePreparing || ro.Status.Weight != 0 {
		t.Errorf("phase %s at %d%%", ro.Status.Phase, ro.Status.Weight)
	}
}

func TestBlind_freezesTheWeight(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.prom.set(func(p *prometheus) { p.err = errors.New("connection refused") })
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonBlind)
	if ro.Status.Weight != 15 || ro.Status.Phase != v1alpha1.PhaseBaking || ro.Status.Analysis.Verdict != "Blind" {
		t.Errorf("phase %s at %d%%, %+v", ro.Status.Phase, ro.Status.Weight, ro.Status.Analysis)
	}
	w.prom.set(func(p *prometheus) { p.err = nil })
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
}

// notifier makes one that wants every note.
func (w *world) notifier(name string) {
	w.t.Helper()
	n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	n.Spec.Webhook = &v1alpha1.WebhookSink{URL: "https://example.com/hook", Unsigned: true}
	if err := w.client.Create(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
}

func TestNotes_areInTheWriteOfTheirTransition(t *testing.T) {
	w := newWorld(t)
	w.notifier("team")
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	var got []string
	for _, n := range ro.Status.Notes {
		got = append(got, fmt.Sprintf("%s %d.%d %s %d%%", n.Kind, n.Attempt, n.Seq, n.Notifier, n.Weight))
	}
	want := []string{"Started 1.2 team 0%", "StepPassed 1.5 team 100%", "Completed 1.7 team 100%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	w.outbox.mu.Lock()
	w.outbox.delivered = true
	w.outbox.mu.Unlock()
	ro = w.until("without notes", func(ro *v1alpha1.Rollout) bool { return len(ro.Status.Notes) == 0 })
	if diff := cmp.Diff([]v1alpha1.Receipt{{Notifier: "team", Attempt: 1, Ref: "thread of team"}}, ro.Status.Receipts); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
}

// A Notifier of the controller's namespace may be about all, and a Rollout may name it.
func TestNotes_goToNotifiersOfTheController(t *testing.T) {
	w := newWorld(t)
	w.system = kube.Namespace(t, w.config)
	for _, n := range []*v1alpha1.Notifier{
		{ObjectMeta: metav1.ObjectMeta{Namespace: w.system, Name: "ops"}, Spec: v1alpha1.NotifierSpec{Namespaces: v1alpha1.ScopeAll}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: w.system, Name: "own"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "greedy"}, Spec: v1alpha1.NotifierSpec{Namespaces: v1alpha1.ScopeAll}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "unnamed"}},
	} {
		n.Spec.Webhook = &v1alpha1.WebhookSink{URL: "https://example.com/hook", Unsigned: true}
		if err := w.client.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	w.notifier("team")
	w.run()
	w.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Spec.Notify = []v1alpha1.NotifyRef{{Name: "ops"}, {Name: "team"}, {Name: "greedy"}}
	})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	var got []string
	for _, n := range ro.Status.Notes {
		got = append(got, fmt.Sprintf("%s %s acked=%v", n.Kind, n.Notifier, n.AckedAt != nil))
	}
	want := []string{"Started " + w.system + "/ops acked=false", "Started team acked=false", "StepPassed " + w.system + "/ops acked=true", "StepPassed team acked=true",
		"Completed " + w.system + "/ops acked=true", "Completed team acked=true"}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionResolvedRefs); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("the names of Notifiers: %+v", c)
	}
}

func TestStableEmpty_holdsTheWeight(t *testing.T) {
	w := newWorld(t)
	w.notifier("team")
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.prom.set(func(p *prometheus) { p.bad = 0.5 })
	w.mesh.set(func(m *mesh) { m.facts.StableReady = 0 })
	w.push("v2", "digest-v2")
	ro := w.untilPhase(v1alpha1.PhaseRollingBack)
	if c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionProgrammed); ro.Status.Weight != 15 || len(ro.Status.Rejected) != 1 ||
		c.Reason != v1alpha1.ReasonStableEmpty {
		t.Errorf("weight %d, rejected %v, programmed %+v", ro.Status.Weight, ro.Status.Rejected, c)
	}
	ro = w.until("told", func(ro *v1alpha1.Rollout) bool { return ro.Status.Reason == v1alpha1.ReasonStableEmpty })
	var told []string
	for _, n := range ro.Status.Notes {
		told = append(told, string(n.Kind))
	}
	if want := []string{"RolledBack", "Blocked"}; len(told) < 2 || !slices.Equal(told[len(told)-2:], want) || ro.Status.Weight != 15 {
		t.Errorf("notes %v at %d%%, want %v last", told, ro.Status.Weight, want)
	}
	w.mesh.set(func(m *mesh) { m.facts.StableReady = 1 })
	w.untilPhase(v1alpha1.PhaseRolledBack)
}
