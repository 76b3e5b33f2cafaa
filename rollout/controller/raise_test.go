package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// one is a controller that nobody runs, with its queue and a single object, whose clock and proxies are the test's.
type one struct {
	*Controller
	t     *testing.T
	now   time.Time
	fleet Fleet
	queue priorityqueue.PriorityQueue[reconcile.Request]
}

func newOne(t *testing.T, fleet Fleet) *one {
	t.Helper()
	o := &one{t: t, now: time.Unix(1_000_000, 0), fleet: fleet, queue: priorityqueue.New[reconcile.Request](t.Name())}
	t.Cleanup(o.queue.ShutDown)
	o.Controller = &Controller{start: o.now, config: Config{Now: func() time.Time { return o.now }, Fleet: fleet}}
	if err := o.wake.start(t.Context(), o.queue); err != nil {
		t.Fatal(err)
	}
	return o
}

// looked is what a pass notes that sees the object now.
func (o *one) looked() {
	m, _ := o.memories.of(named(1), "uid")
	p := &pass{controller: o.Controller, memory: m, given: &given{key: named(1), now: o.now, object: &v1alpha1.Rollout{}}}
	p.object.Namespace, p.object.Name, p.object.UID = named(1).Namespace, named(1).Name, "uid"
	p.object.Status = &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking, Weight: 15}
	p.facts = ir.SplitFacts{CanaryClusters: []string{"canary"}}
	p.fleet = o.fleet.Convergence(named(1).String(), "uid", 0)
	m.note(p.concern())
}

// came is the priority with which the object comes from the queue, where it is.
func (o *one) came() int {
	o.t.Helper()
	req, priority, _ := o.queue.GetWithPriority()
	if req.NamespacedName != named(1) {
		o.t.Fatalf("%s came", req)
	}
	o.wake.looking(req.NamespacedName)
	o.queue.Done(req)
	return priority
}

// troubled is a fleet of which reports and rejections matter.
type troubled struct {
	Fleet
	failed uint64
	nacked int
}

func (t *troubled) LoadsOf(_ []string, since time.Time) []ir.Load {
	return []ir.Load{{Cluster: "canary", From: since, To: since.Add(time.Second), OK: 2000, Failed: t.failed}}
}

func (t *troubled) Convergence(string, string, uint64) ir.Convergence {
	return ir.Convergence{Connected: 3, Nacked: t.nacked}
}

// TestWakeAll_raisesSeldom: a canary that fails a little all the time stands in turn, too.
func TestWakeAll_raisesSeldom(t *testing.T) {
	fleet := &troubled{failed: 4}
	o := newOne(t, fleet)
	m, _ := o.memories.of(named(1), "uid")
	m.note(concern{loads: true, facts: ir.SplitFacts{CanaryClusters: []string{"canary"}}})
	f := follower{matters: always(func(concern) bool { return true }), first: o.fails, every: raiseEvery}
	for _, row := range []struct {
		what   string
		after  time.Duration
		failed uint64
		want   int
	}{
		{"some have failed that no pass has seen", 0, 4, firstOfAll},
		{"more have, but it was just first", 20 * time.Millisecond, 8, inTurn},
		{"more have, and it was just first", 499 * time.Millisecond, 12, inTurn},
		{"no others have", 2 * time.Second, 12, inTurn},
		{"others have", 3 * time.Second, 13, firstOfAll},
		{"others have soon after", 3200 * time.Millisecond, 17, inTurn},
		{"others have some time after", 3500 * time.Millisecond, 21, firstOfAll},
	} {
		o.now, fleet.failed = o.start.Add(row.after), row.failed
		o.wakeAll(t.Context(), f)
		if got := o.came(); got != row.want {
			t.Errorf("%s: it comes with priority %d, want %d", row.what, got, row.want)
		}
		o.looked()
	}
}

// TestWakeAll_raisesForTheFirstRejection: what a pass knows of it has acted on.
func TestWakeAll_raisesForTheFirstRejection(t *testing.T) {
	fleet := &troubled{}
	o := newOne(t, fleet)
	o.looked()
	for _, row := range []struct{ nacked, want int }{{1, firstOfAll}, {2, inTurn}, {3, inTurn}} {
		fleet.nacked = row.nacked
		o.wakeAll(t.Context(), follower{matters: always(o.moved), first: o.rejected})
		if got := o.came(); got != row.want {
			t.Errorf("the rejection number %d: it comes with priority %d, want %d", row.nacked, got, row.want)
		}
		o.looked()
	}
}

// TestAction_thatTakesTrafficAwayGoesFirst: a person who aborts waits for no canary that fails.
func TestAction_thatTakesTrafficAwayGoesFirst(t *testing.T) {
	for verb, want := range map[v1alpha1.ActionVerb]int{
		v1alpha1.ActionAbort: firstOfAll, v1alpha1.ActionRollback: firstOfAll, v1alpha1.ActionPause: inTurn, v1alpha1.ActionPromote: inTurn,
	} {
		for result, want := range map[v1alpha1.ActionResult]int{"": want, v1alpha1.ActionAccepted: inTurn} {
			o := newOne(t, nil)
			a := &v1alpha1.RolloutAction{}
			a.Namespace, a.Spec.Rollout, a.Spec.Verb, a.Status.Result = named(1).Namespace, named(1).Name, verb, result
			for _, req := range o.ofAction(t.Context(), a) {
				o.queue.Add(req)
			}
			if got := o.came(); got != want {
				t.Errorf("%s with result %q: it comes with priority %d, want %d", verb, result, got, want)
			}
		}
	}
}

// measured answers each condition in the same way.
type measured struct {
	analysis.Querier
	outcome analysis.Outcome
}

func (m measured) Measure(_ context.Context, q analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{Metric: q.Metric, At: q.Until, Outcome: m.outcome}, nil
}

// TestQueries_thatShowHarmGoFirst: an answer that is enough for a rollback waits for no others.
func TestQueries_thatShowHarmGoFirst(t *testing.T) {
	for outcome, want := range map[analysis.Outcome]int{analysis.OutcomeFail: firstOfAll, analysis.OutcomePass: inTurn} {
		o := newOne(t, nil)
		o.queries = queries{done: o.wake.now, harm: o.wake.first}
		o.queries.start(t.Context())
		l := look{key: named(1), memory: &memory{}, now: o.config.Now, meters: newMeters().queries}
		l.ready = analysis.Config{Criteria: []analysis.Criterion{{Name: "orders", Source: analysis.Source{
			Kind: analysis.KindCondition, Condition: &analysis.Condition{Query: "vector(1)", Pass: "value < 1"}}}}}.Ready()
		l.moment = analysis.Moment{At: o.now, Seq: 2, Step: 1, Weight: 15, Endpoints: 3, Since: o.now.Add(-time.Minute), Settled: o.now.Add(-time.Minute)}
		for _, q := range l.ready.Queries(l.evidence, l.moment, analysis.Arms{}) {
			l.questions = append(l.questions, question{q, measured{outcome: outcome}})
		}
		o.queries.run(l)
		if got := o.came(); got != want {
			t.Errorf("%s: it comes with priority %d, want %d", outcome, got, want)
		}
		o.queries.wait()
	}
}

// stored is a cache that has some Rollouts.
type stored struct {
	client.Client
	all []v1alpha1.Rollout
	err error
}

func (s stored) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if rollouts, ok := list.(*v1alpha1.RolloutList); ok {
		rollouts.Items = s.all
	}
	return s.err
}

// TestBegin_letsThoseUnderWayGoFirst: after a failover, nobody has looked at any, and most are at rest.
func TestBegin_letsThoseUnderWayGoFirst(t *testing.T) {
	o := newOne(t, nil)
	s := stored{}
	for name, status := range map[string]*v1alpha1.RolloutStatus{"new": nil, "rest": {Phase: v1alpha1.PhaseIdle}, named(1).Name: {Phase: v1alpha1.PhaseBaking}} {
		ro := v1alpha1.Rollout{Status: status}
		ro.Namespace, ro.Name = named(1).Namespace, name
		s.all = append(s.all, ro)
		o.queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(-100)}, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: ro.Namespace, Name: name}})
	}
	o.config.Client = s
	if err := o.begin(t.Context(), o.queue); err != nil {
		t.Fatal(err)
	}
	if got := o.came(); got != firstOfAll {
		t.Errorf("it comes with priority %d", got)
	}
	for range 2 {
		req, priority, _ := o.queue.GetWithPriority()
		if priority >= inTurn {
			t.Errorf("%s comes with priority %d", req, priority)
		}
		o.queue.Done(req)
	}
	s.err = errors.New("there is no such kind yet")
	o.config.Client = s
	if err := o.begin(t.Context(), o.queue); err != nil {
		t.Errorf("what cannot be listed keeps the controller from starting: %v", err)
	}
}
