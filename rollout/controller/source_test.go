package controller_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// source makes the Source that brings the Rollout, and says what it is doing.
func (w *world) source(reason string, held ...v1alpha1.HeldUnit) {
	w.t.Helper()
	key := metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}
	kube.Eventually(w.t, patience, func() error {
		src := &v1alpha1.Source{ObjectMeta: key}
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(src), src); err != nil {
			src = &v1alpha1.Source{ObjectMeta: key}
			src.Spec.URL = "https://git.example.com/shop.git"
			if err := w.client.Create(w.t.Context(), src); err != nil {
				return err
			}
		}
		list := v1alpha1.NewConditions(nil, 1, time.Now())
		switch reason {
		case v1alpha1.ReasonForbidden, v1alpha1.ReasonUnreachable:
			list.Stalled(reason, "as the test says")
		default:
			list.Moving(reason, "as the test says")
		}
		src.Status.Conditions, src.Status.Held = list.List(), held
		return w.client.Status().Update(w.t.Context(), src)
	})
}

func fromSource(ro *v1alpha1.Rollout) {
	ro.Labels = map[string]string{v1alpha1.LabelSourceName: "shop", v1alpha1.LabelSourceNamespace: ro.Namespace}
}

func (w *world) untilCondition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	w.t.Helper()
	ro := w.until(kind+" "+reason, func(ro *v1alpha1.Rollout) bool {
		c := v1alpha1.Condition(ro.Status.Conditions, kind)
		return c != nil && c.Status == status && c.Reason == reason
	})
	return *v1alpha1.Condition(ro.Status.Conditions, kind)
}

func TestSource_holdsTheFirstWeightWhileItApplies(t *testing.T) {
	w := newWorld(t)
	w.source(v1alpha1.ReasonApplied)
	w.run()
	w.rollout("v1", fromSource)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionTrue, v1alpha1.ReasonInSync)

	w.source(v1alpha1.ReasonWaitingForRollout)
	w.push("v2", "digest-v2")
	ro := w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonSourceApplying)
	if ro.Status.Phase != v1alpha1.PhasePreparing || ro.Status.Attempted != "digest-v2" {
		t.Errorf("phase %s, attempted %s", ro.Status.Phase, ro.Status.Attempted)
	}
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
	w.source(v1alpha1.ReasonApplied)
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)

	w.source(v1alpha1.ReasonApplied, v1alpha1.HeldUnit{Rollouts: []string{"Rollout/" + w.ns + "/reviews"}, Codes: []string{"S003"}})
	if c := w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionFalse, v1alpha1.ReasonHeld); !strings.Contains(c.Message, "S003") {
		t.Errorf("message %q does not say why", c.Message)
	}
}

// A Source that waits for one Rollout delays no other.
func TestSource_thatWaitsForAnotherRolloutHoldsNothing(t *testing.T) {
	w := newWorld(t)
	w.source(v1alpha1.ReasonApplied)
	w.run()
	w.rollout("v1", fromSource)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionTrue, v1alpha1.ReasonInSync)
	w.source(v1alpha1.ReasonWaitingForRollout, v1alpha1.HeldUnit{Rollouts: []string{"Rollout/" + w.ns + "/ratings"}})
	w.push("v2", "digest-v2")
	w.until("at its first weight", raised)
}

// A Source that applies objects of one Rollout, or of none, delays no other.
func TestSource_thatAppliesForAnotherRolloutHoldsNothing(t *testing.T) {
	w := newWorld(t)
	w.source(v1alpha1.ReasonApplied)
	w.run()
	w.rollout("v1", fromSource)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionTrue, v1alpha1.ReasonInSync)
	w.source(v1alpha1.ReasonApplying) // it does not say what: nothing is raised
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonSourceApplying)
	w.source(v1alpha1.ReasonApplying, v1alpha1.HeldUnit{Rollouts: []string{"Rollout/" + w.ns + "/ratings"}})
	w.until("at its first weight", raised)
	w.source(v1alpha1.ReasonApplying, v1alpha1.HeldUnit{})
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
}

// A Source that may not apply some other object has said what Git wants of this Rollout; one that cannot be reached has not.
func TestSource_thatIsForbiddenSomethingElseIsNotDown(t *testing.T) {
	w := newWorld(t)
	w.source(v1alpha1.ReasonUnreachable)
	w.run()
	w.rollout("v1", fromSource)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionUnknown, v1alpha1.ReasonSourceNotReady)
	w.source(v1alpha1.ReasonForbidden, v1alpha1.HeldUnit{Codes: []string{"S406"}})
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionTrue, v1alpha1.ReasonInSync)
}

func TestSource_thatWaitsForTheRolloutHoldsIt(t *testing.T) {
	w := newWorld(t)
	w.source(v1alpha1.ReasonApplied)
	w.run()
	w.rollout("v1", fromSource)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionTrue, v1alpha1.ReasonInSync)
	w.source(v1alpha1.ReasonWaitingForRollout, v1alpha1.HeldUnit{Rollouts: []string{"Rollout/" + w.ns + "/reviews"}})
	w.push("v2", "digest-v2")
	w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonSourceApplying)
	w.untilCondition(v1alpha1.ConditionInSyncWithGit, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
	w.source(v1alpha1.ReasonApplied)
	w.until("at its first weight", raised)
}

func TestSpec_editedInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true })
	w.untilReady(metav1.ConditionUnknown, v1alpha1.ReasonPausedInGit)
	w.untilCondition(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPausedInGit)
	goOn := w.unjudged()
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Steps, ro.Spec.Paused = []v1alpha1.Step{{Weight: 40}}, false })
	w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPlanPending)
	goOn()
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	if !slices.Equal(w.weights(), []int{15, 100}) {
		t.Errorf("weights %v, want those of the plan the attempt started with", w.weights())
	}
}

// weights are those that were asked for, in order.
func (w *world) weights() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []int
	for _, e := range w.events {
		if e.Transition != nil && e.Transition.To.String() == "Shifting" {
			out = append(out, e.Transition.Weight)
		}
	}
	return out
}

func TestSpec_thatNobodyCanReadStartsNothing(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) {
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "errors", Tolerance: "5%"}} // too little for failures in bursts
	})
	c := w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec)
	if ro := w.get(); !strings.Contains(c.Message, "tolerated ratio") || ro.Status.Seq != 1 || ro.Status.Stable.Name != "v1" {
		t.Errorf("message %q, status %+v", c.Message, ro.Status)
	}
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Analysis.Metrics = nil })
	w.until("started", func(ro *v1alpha1.Rollout) bool { return ro.Status.Attempt == 1 })
}

// An attempt is judged on although its analysis became unusable: by what was usable last.
func TestSpec_thatNobodyCanReadHidesNoHarm(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.prom.set(func(p *prometheus) { p.err = errors.New("not yet") })
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) {
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "errors", Tolerance: "5%"}}
	})
	w.untilCondition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec)
	w.prom.set(func(p *prometheus) { p.err, p.bad = nil, 0.5 })
	if ro := w.untilPhase(v1alpha1.PhaseRolledBack); ro.Status.Rejected[0].Reason != "RegressionDetected" && ro.Status.Rejected[0].Reason != "HardFail" {
		t.Errorf("rejected %+v", ro.Status.Rejected)
	}
}

// A process that starts while the analysis is unusable looks for harm by the defaults, and promotes nothing.
func TestSpec_thatNobodyEverReadFindsHarmOnly(t *testing.T) {
	w := newWorld(t)
	stop := w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.prom.set(func(p *prometheus) { p.err = errors.New("not yet") })
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	stop()
	w.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) {
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "errors", Tolerance: "5%"}}
	})
	w.prom.set(func(p *prometheus) { p.err = nil })
	w.run()
	ro := w.until("judged", func(ro *v1alpha1.Rollout) bool {
		return ro.Status.Analysis != nil && (ro.Status.Analysis.Reason == "GateInconclusive" || ro.Status.Analysis.Reason == "Collecting")
	})
	if ro.Status.Weight != 15 {
		t.Errorf("%d%%", ro.Status.Weight)
	}
	w.prom.set(func(p *prometheus) { p.bad, p.since = 0.5, time.Now() })
	w.untilPhase(v1alpha1.PhaseRolledBack)
}

func TestAcknowledgement_isToldOncePerTraffic(t *testing.T) {
	w := newWorld(t)
	defer w.unjudged()()
	w.fleet.set(func(f *fleet) { f.silent = true })
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.fleet.set(func(f *fleet) { f.silent = false })
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.mu.Lock()
	defer w.mu.Unlock()
	told := map[uint64]int{}
	for _, e := range w.events {
		if e.Transition == nil {
			told[e.Acked]++
			if e.Connected != 2 {
				t.Errorf("seq %d acknowledged by %d proxies, want 2", e.Acked, e.Connected)
			}
		}
	}
	if told[1] != 1 || told[3] != 1 {
		t.Errorf("acknowledgements told by traffic seq: %v", told)
	}
}
