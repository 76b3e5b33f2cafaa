package controller

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// looked is what a pass of an attempt found at a second, and what it decided.
func looked(key types.NamespacedName, attempt int64, second int, m *rollout.Transition) (*pass, decision) {
	at := time.Unix(int64(second), 0).UTC()
	ratio := 2.0
	p := &pass{given: &given{key: key, now: at, object: &v1alpha1.Rollout{}}}
	p.object.UID = types.UID(key.String())
	p.state.Traffic.Step = 1
	d := decision{}
	d.next.Attempt, d.next.Since, d.next.Phase = attempt, at, rollout.Baking
	d.observation.Report = analysis.Report{At: at, Verdict: analysis.Inconclusive, Metrics: []analysis.MetricReport{
		{Name: "errors", Estimate: analysis.Estimate{Ratio: &ratio, AtLeast: float64(second)}}, {Name: "latency"}, {Name: "tried", DryRun: true, Estimate: analysis.Estimate{AtLeast: 1e6}}}}
	if m != nil {
		m.Seq = uint64(second)
		d.actions.Transition, d.next.Phase = m, m.To
	}
	return p, d
}

func TestCurves_keepWhatTheNewestAttemptKnew(t *testing.T) {
	t.Parallel()
	c := &Controller{}
	key := types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}
	see := func(attempt int64, second int, m *rollout.Transition) {
		p, d := looked(key, attempt, second, m)
		c.curves.see(p, d)
		c.curves.see(p, d) // again, as after a conflict
	}
	see(1, 1, &rollout.Transition{From: rollout.Preparing, To: rollout.Shifting, Reason: rollout.WeightRequested, Weight: 15})
	see(1, 2, &rollout.Transition{From: rollout.Shifting, To: rollout.Baking, Reason: rollout.WeightProgrammed})
	for second := 3; second < 1000; second++ {
		see(1, second, nil)
	}
	see(1, 1000, &rollout.Transition{From: rollout.Baking, To: rollout.RollingBack, Reason: rollout.Reason(analysis.RegressionDetected)})
	got, ok := c.Curves(key, 1)
	if !ok || got.Metric != "errors" || len(got.Points) > maxPoints || len(got.Points) < maxPoints/4 || got.Alpha != 0.01 {
		t.Fatalf("%v: %s, %d points, alpha %v", ok, got.Metric, len(got.Points), got.Alpha)
	}
	first, last := got.Points[0], got.Points[len(got.Points)-1]
	if first.At.Unix() != 1 || last.At.Unix() != 1000 || last.AtLeast != 1000 || last.Step != 1 || *last.Ratio != 2 {
		t.Errorf("from %+v to %+v", first, last)
	}
	var marks []string
	for _, m := range got.Marks {
		marks = append(marks, fmt.Sprint(m.Kind, m.At.Unix(), m.Weight, m.Text))
	}
	if want := "[weight change 1 15 acked 2 0 decision 1000 0RegressionDetected]"; fmt.Sprint(marks) != want {
		t.Errorf("marks %v, want %s", marks, want)
	}
	if png, err := report.PNG(got); err != nil || len(png) == 0 {
		t.Errorf("%d bytes, %v", len(png), err)
	}
	if _, ok := c.Curves(key, 2); ok {
		t.Error("there are curves of an attempt that has not begun")
	}
	see(2, 2000, nil)
	if got, ok := c.Curves(key, 2); !ok || len(got.Points) != 1 || len(got.Marks) != 0 {
		t.Errorf("%v: %d points, %d marks of the next attempt", ok, len(got.Points), len(got.Marks))
	}
}

// An attempt that another process began is drawn from where this one saw it, and the picture says since when.
func TestCurves_sayWhatThisProcessDidNotWatch(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}
	for taken, want := range map[bool]int64{false: 40, true: 100} {
		c := &Controller{}
		p, d := looked(key, 1, 100, nil)
		d.next.Progress.StartedAt = time.Unix(40, 0).UTC()
		if taken {
			p.state.Attempt = 1
		}
		c.curves.see(p, d)
		got, ok := c.Curves(key, 1)
		if !ok || got.Start.Unix() != 40 || got.Watched.Unix() != want {
			t.Errorf("taken over %v: from %v, watched from %v; want 40, %d", taken, got.Start.Unix(), got.Watched.Unix(), want)
		}
	}
}

func TestCurves_areBounded(t *testing.T) {
	t.Parallel()
	c := &Controller{}
	for i := range maxDrawn + 20 {
		p, d := looked(types.NamespacedName{Namespace: "n", Name: fmt.Sprint("r", i)}, 1, i+1, nil)
		c.curves.see(p, d)
	}
	if n := len(c.curves.all); n != maxDrawn {
		t.Errorf("%d Rollouts are kept, want %d", n, maxDrawn)
	}
	for i, want := range map[int]bool{0: false, 19: false, 20: true, maxDrawn + 19: true} {
		if _, ok := c.Curves(types.NamespacedName{Namespace: "n", Name: fmt.Sprint("r", i)}, 1); ok != want {
			t.Errorf("Rollout %d is kept: %v, want %v", i, ok, want)
		}
	}
	at, d := looked(types.NamespacedName{Namespace: "n", Name: "rest"}, 3, 1, nil)
	d.next.Phase = rollout.Idle
	c.curves.see(at, d)
	if _, ok := c.curves.all[at.key]; ok {
		t.Error("a Rollout at rest takes room")
	}
}

// TestCurves_areOfOneObject: one that is made anew under the same name begins with nothing, and one that is gone leaves nothing.
func TestCurves_areOfOneObject(t *testing.T) {
	t.Parallel()
	c := &Controller{}
	key := types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}
	for second := 1; second <= 3; second++ {
		p, d := looked(key, 1, second, nil)
		c.curves.see(p, d)
	}
	p, d := looked(key, 1, 4, nil)
	p.object.UID = "another"
	c.curves.see(p, d)
	if got, ok := c.Curves(key, 1); !ok || len(got.Points) != 1 || got.Points[0].At.Unix() != 4 {
		t.Errorf("%v: the points %+v, want the one of the newer object", ok, got.Points)
	}
	rest, d := looked(key, 1, 5, nil)
	rest.object.UID, d.next.Phase = "a third", rollout.Idle
	c.curves.see(rest, d)
	if got, _ := c.Curves(key, 1); len(got.Points) != 1 {
		t.Errorf("%d points after another object at rest was seen, want 1", len(got.Points))
	}
	c.gone("nobody's")
	if _, ok := c.Curves(key, 1); !ok {
		t.Error("the curves went with another object")
	}
	c.gone("another")
	if _, ok := c.Curves(key, 1); ok {
		t.Error("an object that is gone has curves")
	}
}
