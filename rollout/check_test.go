package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
)

var start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func testSpec() Spec {
	return Spec{
		Plan:             Resolve(nil, 0, 0),
		Analysis:         AnalysisPolicy{BlindAfter: 10 * time.Minute},
		Capacity:         Capacity{MinReady: 1, Ratio: 50},
		Convergence:      Convergence{MinProxies: 1, Timeout: time.Minute},
		ProgressDeadline: 10 * time.Minute,
		MaxDuration:      168 * time.Hour,
		OnDeadline:       PolicyRollback,
		Back:             Back{WarmDown: 10 * time.Minute, Versions: 1, MaxAge: time.Hour},
		HistoryLimit:     10,
	}
}

// baking is a state in the first bake, and an observation under which nothing happens.
func baking() (State, Observation) {
	st := State{
		Mark:     Mark{Seq: 4, Attempt: 1, Phase: Baking, Outcome: OutcomeOpen, Reason: WeightProgrammed, Since: start},
		Traffic:  Traffic{Step: 1, Weight: 15, Seq: 3, Settled: 3},
		Stable:   Version{Name: "v1", Digest: "d1"},
		Canary:   Version{Name: "v2", Digest: "d2", Commit: "c07aa19f"},
		Memory:   Memory{Attempted: "d2"},
		Plan:     testSpec().Plan,
		Progress: Progress{StartedAt: start, SettledAt: start, Base: 4},
	}
	obs := Observation{Seq: 4, Want: Want{Known: true, Version: st.Canary}, Clocks: Clocks{Phase: 6 * time.Minute, Step: 6 * time.Minute},
		Fleet: Fleet{Rendered: true, Connected: 2, Acked: 2, Settled: true}, Ready: Ready{Known: true, Stable: 4, Canary: 4}}
	return st, obs
}

// TestCheck_findsMutants breaks a good step in one way at a time.
func TestCheck_findsMutants(t *testing.T) {
	promote := func(o *Observation) {
		o.Report = analysis.Report{Verdict: analysis.Promote, Reason: analysis.NonInferior}
	}
	tests := []struct {
		name   string
		see    func(o *Observation)
		breaks func(n *State)
		rule   string
	}{
		{"weight above 100", promote, func(n *State) { n.Traffic.Weight = 101 }, "C1"},
		{"canary is stable", promote, func(n *State) { n.Stable = n.Canary }, "C1"},
		{"seq jumps", promote, func(n *State) { n.Seq++ }, "C2"},
		{"time goes back", promote, func(n *State) { n.Since = start.Add(-time.Second) }, "C2"},
		{"no such edge", promote, func(n *State) { n.Reason = Completed }, "C2"},
		{"weight without a new traffic seq", promote, func(n *State) { n.Traffic.Seq = 3 }, "C2"},
		{"attempt jumps", promote, func(n *State) { n.Attempt += 2 }, "C3"},
		{"a step is skipped", promote, func(n *State) { n.Traffic.Step, n.Traffic.Weight = 3, 100 }, "C4"},
		{"weight is not the plan's", promote, func(n *State) { n.Traffic.Weight = 60 }, "C4"},
		{"no gate", promote, func(n *State) { n.Gates = nil }, "C4"},
		{"raised while baking", promote, func(n *State) { n.Phase = Baking }, "C4"},
		{"raised for another version", promote, func(n *State) { n.Canary.Digest = "d9" }, "C4"},
		{"gate without evidence", nil, func(n *State) { n.Gates = []Gate{{Step: 1, Result: Pass, Seq: 4}} }, "C10"},
		{"harm ignored", func(o *Observation) { o.Report.Verdict = analysis.Rollback; o.Report.Reason = analysis.HardFail },
			func(n *State) { n.Phase, n.Outcome = Baking, OutcomeOpen }, "C5"},
		{"rejection forgotten", func(o *Observation) { o.Fleet.Nacked = 1 }, func(n *State) { n.Rejected = nil }, "C5"},
		{"weight stays after harm", func(o *Observation) { o.Fleet.Nacked = 1 }, func(n *State) { n.Traffic.Weight = 15 }, "C5"},
		{"stable changes in the middle", nil, func(n *State) { n.Stable = Version{Name: "v9"} }, "C7"},
		{"plan changes", promote, func(n *State) { n.Plan = n.Plan[:2] }, "C13"},
		{"stale observation acts", func(o *Observation) { o.Seq = 3 }, func(n *State) { n.Progress.Base++ }, "C9"},
		{"quiet change", nil, func(n *State) { n.Attempted = "other" }, "C2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st, obs := baking()
			if tt.see != nil {
				tt.see(&obs)
			}
			next, _ := Step(testSpec(), st, obs, start.Add(6*time.Minute))
			if err := Check(testSpec(), st, next, obs, start.Add(6*time.Minute)); err != nil {
				t.Fatalf("the step itself: %v", err)
			}
			tt.breaks(&next)
			err := Check(testSpec(), st, next, obs, start.Add(6*time.Minute))
			if err == nil || !strings.Contains(err.Error(), tt.rule+":") {
				t.Errorf("Check = %v, want %s", err, tt.rule)
			}
		})
	}
}

func TestCheck_rejectedAndUnsettled(t *testing.T) {
	st, obs := baking()
	st.Phase, st.Outcome, st.Canary, st.Plan, st.Progress, st.Traffic = RolledBack, OutcomeRolledBack, Version{}, nil, Progress{}, Traffic{Seq: 4}
	st.Rejected = []Rejection{{Version: Version{Name: "v2", Digest: "d2"}}}
	obs.Want.Digest = "d3"
	next, _ := Step(testSpec(), st, obs, start)
	if next.Phase != Preparing {
		t.Fatalf("new content: %s, want Preparing", next.Phase)
	}
	next.Canary.Digest = "d2"
	if err := Check(testSpec(), st, next, obs, start); err == nil || !strings.Contains(err.Error(), "C8:") {
		t.Errorf("a rejected digest is started: %v, want C8", err)
	}

	st, obs = baking()
	st.Phase, st.Traffic.Settled = Shifting, 0
	next, _ = Step(testSpec(), st, obs, start)
	obs.Fleet.Settled = false
	if err := Check(testSpec(), st, next, obs, start); err == nil || !strings.Contains(err.Error(), "C11:") {
		t.Errorf("baking before settled: %v, want C11", err)
	}
}

// TestStep_leavesItsInputAlone says that states share no memory that Step writes to.
func TestStep_leavesItsInputAlone(t *testing.T) {
	st, obs := baking()
	obs.Report = analysis.Report{Verdict: analysis.Promote}
	st.Gates = make([]Gate, 0, 4)
	st.History = append(make([]Past, 0, 4), Past{Attempt: 0})
	was, _ := baking()
	was.Gates, was.History = []Gate{}, []Past{{Attempt: 0}}
	a, _ := Step(testSpec(), st, obs, start)
	obs.Fleet.Nacked = 1
	b, _ := Step(testSpec(), st, obs, start)
	if diff := cmp.Diff(was, st); diff != "" {
		t.Errorf("Step changed its input (-was +is):\n%s", diff)
	}
	if len(a.Gates) != 1 || len(b.Gates) != 0 || len(b.History) != 2 {
		t.Errorf("gates %v and %v, history %v", a.Gates, b.Gates, b.History)
	}
}

func TestFail_endsAnOpenAttempt(t *testing.T) {
	st, obs := baking()
	next, acts := Fail(testSpec(), st, obs, start, InvariantBroken)
	if acts.Transition == nil || next.Phase != RollingBack || next.Traffic.Weight != 0 || next.Rejected[0].Reason != InvariantBroken {
		t.Errorf("Fail: %+v", next.Mark)
	}
	if err := Check(testSpec(), st, next, obs, start); err != nil {
		t.Errorf("what Fail decides: %v", err)
	}
	if _, acts := Fail(testSpec(), next, obs, start, InvariantBroken); acts.Transition != nil {
		t.Errorf("Fail of a decided attempt made a transition")
	}
}

func TestTransitionTexts(t *testing.T) {
	at := start.Add(6 * time.Minute)
	tests := []struct {
		see  func(st *State, o *Observation)
		want string
	}{
		{func(_ *State, o *Observation) {
			o.Report = analysis.Report{Verdict: analysis.Rollback, Reason: analysis.RegressionDetected,
				Message: "errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%)"}
		}, "rolled back to v1 at step 1/3 (15%): errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%); v1 serves 100%"},
		{func(_ *State, o *Observation) {
			o.Fleet.Nacked, o.Fleet.First = 1, "proxy gw-1 rejected the routes: no cluster"
		},
			"rolled back to v1 at step 1/3 (15%): proxy gw-1 rejected the routes: no cluster; v1 serves 100%"},
		{func(st *State, o *Observation) {
			o.Report = analysis.Report{Verdict: analysis.Promote}
			o.Ready.Canary, st.Progress.Base = 1, 10
		},
			"step 1/3 (15%): 50% needs 3 ready endpoints of v2, there are 1"},
		{func(_ *State, o *Observation) {
			o.Want.Version = Version{Name: "v3", Digest: "d3", Commit: "d41b8c0aa"}
		},
			"v2 ends at step 1/3 (15%): Git asks for v3 d41b8c0 instead; v1 serves 100%"},
		{func(_ *State, o *Observation) {
			o.Report = analysis.Report{Verdict: analysis.Promote, Message: "errors 0% (0/900) against 0.02% (1/5100)"}
		}, "step 1/3 (15%) passed: errors 0% (0/900) against 0.02% (1/5100); asking for 50%"},
	}
	for _, tt := range tests {
		st, obs := baking()
		tt.see(&st, &obs)
		_, acts := Step(testSpec(), st, obs, at)
		if acts.Transition == nil || acts.Transition.Text != tt.want {
			t.Errorf("got  %+v\nwant %s", acts.Transition, tt.want)
		}
	}
}

func TestCapacity_need(t *testing.T) {
	c := Capacity{MinReady: 1, Ratio: 50}
	for _, tt := range []struct{ w, base, want int }{{15, 10, 1}, {50, 10, 3}, {100, 10, 5}, {100, 1, 1}, {50, 0, 1}} {
		if got := c.Need(tt.w, tt.base); got != tt.want {
			t.Errorf("Need(%d, %d) = %d, want %d", tt.w, tt.base, got, tt.want)
		}
	}
}

func TestResolve(t *testing.T) {
	long := 45 * time.Minute
	zero := time.Duration(0)
	got := Resolve([]StageSpec{{Weight: 0}, {Name: "small", Weight: 5, Min: &long}, {Weight: 30, Min: &zero, Promotion: TimeOnly}}, 0, 0)
	want := []Stage{
		{Name: "step-1", Weight: 0, Min: 0, Max: 30 * time.Minute, Promotion: TimeOnly},
		{Name: "small", Weight: 5, Min: long, Max: 2 * long, Promotion: ByEvidence},
		{Name: "step-3", Weight: 30, Min: 0, Max: 30 * time.Minute, Promotion: TimeOnly},
		{Name: "step-4", Weight: 100, Min: 10 * time.Minute, Max: 30 * time.Minute, Promotion: ByEvidence},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Resolve (-want +got):\n%s", diff)
	}
	for i, s := range Resolve(nil, 8*time.Second, 90*time.Second) {
		if s.Weight != []int{15, 50, 100}[i] || s.Min != 8*time.Second || s.Max != 90*time.Second {
			t.Errorf("default step %d is %+v", i, s)
		}
	}
}
