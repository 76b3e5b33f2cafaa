package controller_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/trace"
)

// told keeps the spans of controllers that follow each other.
type told struct {
	mu  sync.Mutex // guards all
	all []trace.Span
}

func (s *told) tell(one trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

// of are those of an attempt by a name.
func (s *told) of(attempt int64, name string) []trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), func(one trace.Span) bool { return one.Attempt.Number != attempt || one.Name != name })
}

func attribute(s trace.Span, key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

// An attempt that one process begins and another ends is one trace.
func TestSpans_anotherProcessGoesOnWithTheTrace(t *testing.T) {
	w := newWorld(t)
	spans := &told{}
	start := func() (stop func()) {
		mgr := w.manager()
		w.it.Tell(controller.Telling{Span: spans.tell, Arrival: justNow, Environment: "prod"})
		return w.start(mgr)
	}
	w.prom.set(func(p *prometheus) { p.err = errors.New("connection refused") })
	stop := start()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.push("v2", "digest-v2")
	w.untilPhase(v1alpha1.PhaseBaking)
	w.until("told", func(*v1alpha1.Rollout) bool { return len(spans.of(1, trace.NameDecide)) >= 3 }) // which comes after the write
	stop()
	w.prom.set(func(p *prometheus) { p.err = nil })
	start()
	ro := w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonCompleted)
	of := trace.Attempt{UID: string(ro.UID), Number: 1}
	w.until("traced", func(*v1alpha1.Rollout) bool { return len(spans.of(1, trace.NameAttempt)) > 0 })

	roots := spans.of(1, trace.NameAttempt)
	root := roots[0]
	if len(roots) != 1 || root.ID() != of.Root() || root.Attempt != of || root.Failure != "" || !root.From.Before(root.To) {
		t.Errorf("roots %+v", roots)
	}
	for key, want := range map[string]any{trace.KeyPipeline: w.ns + "/reviews", trace.KeyRun: of.String(), trace.KeyResult: trace.ResultSuccess,
		trace.KeyEnvironment: "prod", trace.KeyCanary: "v2", trace.KeyRevision: "c07aa19f00"} {
		if got := attribute(root, key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for n := 1; n <= 2; n++ {
		steps := spans.of(1, trace.StepName(n))
		if len(steps) != 1 || steps[0].ID() != of.Step(n) || steps[0].Above() != of.Root() || steps[0].To.Before(steps[0].From) {
			t.Errorf("step %d: %+v", n, steps)
		}
		i := slices.IndexFunc(spans.of(1, trace.NamePush), func(s trace.Span) bool { return s.Parent == of.Step(n) })
		if i < 0 {
			t.Errorf("step %d has no push", n)
			continue
		}
		push := spans.of(1, trace.NamePush)[i]
		if len(push.Events) != 2 || push.Events[0].Name != trace.EventAck || push.Failure != "" || push.To.Before(push.From) {
			t.Errorf("push of step %d: %+v, want an event for each of two proxies", n, push)
		}
	}
	if len(spans.of(1, trace.NameFetch)) != 1 || len(spans.of(1, trace.NameApply)) != 1 || len(spans.of(1, trace.NameQuery)) == 0 {
		t.Errorf("fetch %v, apply %v, query %v", spans.of(1, trace.NameFetch), spans.of(1, trace.NameApply), spans.of(1, trace.NameQuery))
	}
	var reasons []string
	for _, d := range spans.of(1, trace.NameDecide) {
		reasons = append(reasons, attribute(d, trace.KeyReason).(string))
	}
	if text := strings.Join(reasons, " "); !strings.HasPrefix(text, "AttemptStarted WeightRequested WeightProgrammed") || !strings.HasSuffix(text, "Completed") {
		t.Errorf("decisions %v", reasons)
	}
}

func TestSpans_sayWhatFailed(t *testing.T) {
	w := newWorld(t)
	spans := &told{}
	mgr := w.manager()
	w.it.Tell(controller.Telling{Span: spans.tell})
	w.start(mgr)
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.fleet.set(func(f *fleet) { f.nack = "no such cluster" })
	w.push("v2", "digest-v2")
	w.until("rejected", func(ro *v1alpha1.Rollout) bool { return len(ro.Status.Rejected) == 1 })
	w.fleet.set(func(f *fleet) { f.nack = "" })
	w.untilReady(metav1.ConditionFalse, v1alpha1.ReasonRolledBack)
	w.until("traced", func(*v1alpha1.Rollout) bool { return len(spans.of(1, trace.NameAttempt)) > 0 })
	root := spans.of(1, trace.NameAttempt)[0]
	if root.Failure == "" || attribute(root, trace.KeyResult) != trace.ResultFailure || attribute(root, trace.KeyReason) != "DataPlaneRejected" {
		t.Errorf("root %+v", root)
	}
	nacks := 0
	for _, p := range spans.of(1, trace.NamePush) {
		for _, e := range p.Events {
			if e.Name == trace.EventNack {
				nacks++
			}
		}
	}
	if nacks == 0 {
		t.Errorf("no rejection in the pushes %+v", spans.of(1, trace.NamePush))
	}
	if zero := spans.of(1, trace.NamePush); zero[len(zero)-1].Failure != "" || attribute(zero[len(zero)-1], trace.KeyWeight) != 0 {
		t.Errorf("the last push is %+v, want the way to 0", zero[len(zero)-1])
	}
}
