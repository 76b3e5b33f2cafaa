package replay_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/replay"
)

// tape is a Querier that holds the samples of one proxy: a scrape each 5 s, with so many requests and failures each.
type tape struct {
	begin                    time.Time
	scrapes                  int
	canary, stable           int
	canaryFailed, stableFail int
	err                      error
}

func (t tape) Series(_ context.Context, q analysis.Query) ([]analysis.Series, error) {
	if t.err != nil {
		return nil, t.err
	}
	if q.Metric != "errors" {
		return nil, nil
	}
	var out []analysis.Series
	for _, s := range []struct {
		arm  analysis.Arm
		role analysis.Role
		each int
	}{{analysis.Canary, analysis.Total, t.canary}, {analysis.Canary, analysis.Bad, t.canaryFailed}, {analysis.Stable, analysis.Total, t.stable}, {analysis.Stable, analysis.Bad, t.stableFail}} {
		one := analysis.Series{Target: "gw", Arm: s.arm, Role: s.role}
		for i := range t.scrapes {
			at := t.begin.Add(time.Duration(5*i) * time.Second)
			if at.After(q.From) && !at.After(q.Until) {
				one.Points = append(one.Points, analysis.Point{T: at.UnixMilli(), V: float64(i * s.each)})
			}
		}
		if len(one.Points) > 0 {
			out = append(out, one)
		}
	}
	return out, nil
}

func (tape) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) { return nil, nil }

func (tape) Measure(context.Context, analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{}, errors.New("no condition")
}

func begin() time.Time { return time.Unix(1_000_000, 0).UTC() }

func attempt(t *testing.T, stages ...replay.Stage) replay.Attempt {
	t.Helper()
	cfg := analysis.Default()
	if errs := cfg.Validate(); len(errs) > 0 {
		t.Fatal(errs)
	}
	return replay.Attempt{Config: cfg, Stages: stages}
}

func stage(step, weight, from, to int) replay.Stage {
	at := func(s int) time.Time { return begin().Add(time.Duration(s) * time.Second) }
	return replay.Stage{Step: step, Weight: weight, From: at(from), Settled: at(from + 1), To: at(to)}
}

func of(q analysis.Querier) replay.Ask {
	return func(string) (analysis.Querier, error) { return q, nil }
}

func TestJudge_findsTheFaultAgain(t *testing.T) {
	bad := tape{begin: begin().Add(-2 * time.Minute), scrapes: 200, canary: 15, canaryFailed: 3, stable: 85}
	past, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 300)), of(bad))
	if err != nil {
		t.Fatal(err)
	}
	final := past.Final()
	if final.Verdict != analysis.Rollback || final.Reason != analysis.RegressionDetected || past.Metric() != "errors" {
		t.Errorf("%s (%s) by %s: want RegressionDetected by errors", final.Verdict, final.Reason, past.Metric())
	}
	c := past.Curves("errors")
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	if len(c.Points) < 50 || first.Harm > 1 || last.Harm < final.Limit || c.Alpha != 0.01 || c.Margin != 1.25 || len(c.Marks) != 2 {
		t.Errorf("%d points from %+v to %+v, %d marks", len(c.Points), first, last, len(c.Marks))
	}
}

// A good release clears each step anew; nothing of one step is counted in the next.
func TestJudge_clearsEachStep(t *testing.T) {
	good := tape{begin: begin().Add(-2 * time.Minute), scrapes: 400, canary: 50, stable: 50}
	past, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 300), stage(2, 50, 300, 600)), of(good))
	if err != nil {
		t.Fatal(err)
	}
	c := past.Curves("errors")
	var safe [3]float64 // the first point of each step, and the last of all
	for _, p := range c.Points {
		if safe[p.Step-1] == 0 {
			safe[p.Step-1] = p.Safe
		}
		safe[2] = p.Safe
	}
	if past.Final().Verdict == analysis.Rollback || safe[1] > 1.5 || safe[2] < 3 {
		t.Errorf("%s, evidence of safety %v: want it to begin anew in step 2 and to clear it", past.Final().Verdict, safe)
	}
}

func TestJudge_withoutSamplesSaysSo(t *testing.T) {
	if _, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 60)), of(tape{begin: begin().Add(time.Hour), scrapes: 9})); !errors.Is(err, replay.ErrGone) {
		t.Errorf("none: %v", err)
	}
	wrong := errors.New("it is asleep")
	if _, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 60)), of(tape{err: wrong})); !errors.Is(err, wrong) {
		t.Errorf("failing: %v", err)
	}
	if _, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 60)), func(string) (analysis.Querier, error) { return nil, wrong }); !errors.Is(err, wrong) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := replay.Judge(t.Context(), attempt(t), of(tape{})); err == nil {
		t.Error("no stage: no error")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replay.Judge(ended, attempt(t, stage(1, 15, 0, 60)), of(tape{})); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A long attempt is looked at less often: windows do not depend on when one looks.
func TestJudge_aLongAttemptTakesFewLooks(t *testing.T) {
	long := tape{begin: begin(), scrapes: 12 * 60 * 3, canary: 15, stable: 85}
	past, err := replay.Judge(t.Context(), attempt(t, stage(1, 15, 0, 3*3600)), of(long))
	if err != nil {
		t.Fatal(err)
	}
	c := past.Curves("errors")
	m := past.Final().Metrics[0]
	if len(c.Points) > replay.Looks+1 || m.Windows < 2000 {
		t.Errorf("%d looks, %d windows: want at most %d looks, and every window", len(c.Points), m.Windows, replay.Looks+1)
	}
}
