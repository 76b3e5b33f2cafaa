package sim

import (
	"math"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// worst is the largest ratio of bad shares at any bound that is judged, where the canary's times are so many times as long.
func (l Latency) worst(factor float64) float64 {
	middle, worst := math.Log(float64(l.Median)/float64(time.Millisecond)), 0.0
	for _, bound := range bounds() {
		is, was := l.within(bound, middle+math.Log(factor)), l.within(bound, middle)
		switch {
		case 1-was >= 0.0005 && 1-was <= 0.5:
			worst = max(worst, (1-is)/(1-was))
		case was >= 0.05 && was < 0.5:
			worst = max(worst, was/is)
		}
	}
	return worst
}

// edge is how much slower a canary may be and still be within the tolerated ratio at every bound.
func (l Latency) edge(ratio float64) float64 {
	low, high := 1.0, 2.0
	for range 50 {
		if mid := (low + high) / 2; l.worst(mid) > ratio {
			high = mid
		} else {
			low = mid
		}
	}
	return low
}

// Three hundred attempts of a canary that is as slow as is tolerated, judged by latency alone: at most one in a hundred may be
// rolled back, and three standard deviations more by chance. The seeds are fixed.
func TestTrial_latencyRollsToleratedCanariesBackAtMostAsPromised(t *testing.T) {
	t.Parallel()
	const runs = 300
	latency, _ := analysis.Builtin("latency")
	latency.Warmup = -1
	world := timed(1)
	world.Latency.Factor = world.Latency.edge(1 + latency.Tolerance)
	if f := world.Latency.Factor; !(f > 1.005 && f < 1.1) {
		t.Fatalf("the edge is at a factor of %v", f)
	}
	for _, noise := range []analysis.Noise{analysis.Bursty, analysis.Independent} {
		latency.Noise = noise
		trial := Default(world)
		trial.Config.Criteria = []analysis.Criterion{latency}
		trial.Horizon, trial.Soft = 5*time.Minute, true
		outcomes := make([]Outcome, 0, runs)
		for seed := range uint64(runs) {
			outcomes = append(outcomes, trial.Run(seed))
		}
		s := Summarise(outcomes)
		t.Logf("%s: %d of %d rolled back, %d promotable", noise, s.RolledBack.Runs, runs, s.Promotable.Runs)
		if s.RolledBack.over(trial.Config.WithDefaults().Alpha, 3) {
			t.Errorf("%s: %d of %d tolerated canaries were rolled back", noise, s.RolledBack.Runs, runs)
		}
		for seed, o := range outcomes { // that they were judged at all
			if m := o.Verdict.Metrics[0]; o.RolledBack == Never && (m.Windows < 50 || m.Bounds == nil || len(m.Bounds.Judged) < 4) {
				t.Fatalf("%s, seed %d: %d windows, bounds %+v", noise, seed, m.Windows, m.Bounds)
			}
		}
	}
}
