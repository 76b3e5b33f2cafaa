package sim

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
)

func TestDice_drawsBinomialNumbers(t *testing.T) {
	d := newDice(1)
	for _, c := range []struct {
		n uint64
		p float64
	}{{1, 0.3}, {7, 0.9}, {40, 0.02}, {40, 0.5}, {1000, 0.3}, {1000, 0.995}, {100000, 0.0004}, {5_000_000, 0.07}} {
		const draws = 20000
		var sum, squares float64
		for range draws {
			x := d.binomial(c.n, c.p)
			if x > c.n {
				t.Fatalf("%d of %d", x, c.n)
			}
			off := float64(x) - float64(c.n)*c.p
			sum += off
			squares += off * off
		}
		variance := float64(c.n) * c.p * (1 - c.p)
		if off := sum / draws; math.Abs(off) > 5*math.Sqrt(variance/draws) || math.Abs(squares/draws/variance-1) > 5*math.Sqrt((2+1/variance)/draws) {
			t.Errorf("%d with %v: the mean is off by %v, the variance is %v, want %v", c.n, c.p, off, squares/draws, variance)
		}
	}
	if n := d.binomial(0, 0.5) + d.binomial(9, 0) + d.binomial(9, math.NaN()); n != 0 || d.binomial(9, 1) != 9 {
		t.Errorf("without chance %d came true", n)
	}
}

func timed(factor float64) World {
	return World{Rate: 100, Stable: 0.001, Canary: 0.001, Latency: Latency{Median: 40 * time.Millisecond, Sigma: 0.6, Factor: factor}}
}

func TestTraffic_bucketsHoldLognormalTimes(t *testing.T) {
	w := timed(2)
	w.Fault = 5 * time.Minute
	tr := New(w, 1, Begin(), 0.5)
	tr.Advance(Begin().Add(5*time.Minute), 50)
	tr.Advance(Begin().Add(30*time.Minute), 50)
	read := tr.Read(analysis.Query{Metric: "latency", From: Begin().Add(5 * time.Minute), Until: Begin().Add(time.Hour), Base: true})
	if len(read.Series) != 2*counted || len(read.Base) != counted || read.Base[counted-1].N != 360_000 {
		t.Fatalf("%d series, base %+v", len(read.Series), read.Base)
	}
	grown := map[analysis.Arm]map[float64]float64{analysis.Canary: {}, analysis.Stable: {}}
	for _, s := range read.Series {
		grown[s.Arm][s.Le] = s.Points[len(s.Points)-1].V - s.Points[0].V
	}
	for arm, median := range map[analysis.Arm]float64{analysis.Canary: 80, analysis.Stable: 40} {
		all := grown[arm][math.Inf(1)]
		for _, ms := range []float64{10, 25, 50, 100, 250} {
			want := 0.5 * (1 + math.Erf(math.Log(ms/median)/(0.6*math.Sqrt2)))
			if got := grown[arm][ms] / all; math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/all)+1e-4 {
				t.Errorf("%s: %v of %v answers within %v ms, want %v", arm, got, all, ms, want)
			}
		}
	}
}

func TestTraffic_timesChangeNothingElse(t *testing.T) {
	w := timed(3)
	with := New(w, 7, Begin(), 0.2)
	w.Latency = Latency{}
	without := New(w, 7, Begin(), 0.2)
	for _, tr := range []*Traffic{with, without} {
		tr.Advance(Begin().Add(3*time.Minute), 20)
	}
	if diff := cmp.Diff(all(without), all(with)); diff != "" {
		t.Errorf("counting times changed who fails:\n%s", diff)
	}
	if s := without.Read(analysis.Query{Metric: "latency", Until: Begin().Add(time.Hour)}).Series; len(s) != 0 {
		t.Errorf("%d series of times that nobody counts", len(s))
	}
}

func TestTrial_slowCanariesAreFoundAndOthersPass(t *testing.T) {
	for factor, want := range map[float64]struct{ found, passed bool }{1: {false, true}, 0.7: {false, true}, 1.5: {true, false}, 3: {true, false}} {
		var outcomes []Outcome
		for seed := range uint64(10) {
			outcomes = append(outcomes, Default(timed(factor)).Run(seed))
		}
		s := Summarise(outcomes)
		if found, passed := s.RolledBack.Runs == 10, s.Promotable.Runs == 10; found != want.found || passed != want.passed {
			t.Errorf("%v times as slow: %d of 10 rolled back, %d promotable", factor, s.RolledBack.Runs, s.Promotable.Runs)
		}
		if want.found && s.RolledBack.P90 > 5*time.Minute {
			t.Errorf("%v times as slow: found after %v", factor, s.RolledBack.P90)
		}
	}
}

func TestWorld_refusesWrongLatency(t *testing.T) {
	for _, l := range []Latency{{Median: -1}, {Median: time.Hour}, {Median: time.Second, Sigma: 9}, {Median: time.Second, Factor: -1}, {Sigma: 1}} {
		if (World{Rate: 1, Latency: l}).Validate() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}
