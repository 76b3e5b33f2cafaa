package sim

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

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
