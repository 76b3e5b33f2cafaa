package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/rollout"
)

func simulation(world sim.World) Simulation {
	return Simulation{Spec: defaults().engine(), World: world, Config: func(stage rollout.Stage) analysis.Config {
		cfg := analysis.Default()
		cfg.Bake = stage.Min
		return cfg
	}}
}

func simulate(t *testing.T, s Simulation, seed uint64) (Result, string) {
	t.Helper()
	r, err := s.Run(seed)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range r.Lines {
		lines = append(lines, l.At.String()+" "+l.Text)
	}
	return r, strings.Join(lines, "\n")
}

func TestSimulation_aGoodVersionGoesAllTheWay(t *testing.T) {
	s := simulation(sim.World{Rate: 100, Stable: 0.001, Canary: 0.001})
	r, got := simulate(t, s, 1)
	want := strings.Join([]string{
		"0s 2 Idle > Preparing AttemptStarted attempt=1 v2",
		"0s 3 Preparing > Shifting WeightRequested 1/3 15%",
		"1.05s 4 Shifting > Baking WeightProgrammed 1/3 15%",
	}, "\n")
	if !strings.HasPrefix(got, want) {
		t.Errorf("began with\n%s\nwant\n%s", got, want)
	}
	// 5, 5 and 10 minutes of bake, three warm-ups of 10 s, and windows of 5 s.
	if r.Outcome != rollout.OutcomeCompleted || r.Detected != sim.Never || r.Ended < 20*time.Minute || r.Ended > 22*time.Minute {
		t.Errorf("%s %s after %v, detected %v:\n%s", r.Outcome, r.Reason, r.Ended, r.Detected, got)
	}
	again, _ := simulate(t, s, 1)
	if diff := cmp.Diff(r, again); diff != "" {
		t.Errorf("the same seed gave another story:\n%s", diff)
	}
}

func TestSimulation_aBadVersionComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		world   sim.World
		reason  rollout.Reason
		longest time.Duration
	}{
		"regression":      {sim.World{Rate: 100, Stable: 0.001, Canary: 0.05}, "RegressionDetected", 90 * time.Second},
		"at the second":   {sim.World{Rate: 100, Stable: 0.001, Canary: 0.05, Fault: 8 * time.Minute}, "RegressionDetected", 3 * time.Minute},
		"hard fail":       {sim.World{Rate: 100, Stable: 0.001, Canary: 0.95, Scrape: sim.Scrape{Loads: true}}, "HardFail", 15 * time.Second},
		"after 100 %":     {sim.World{Rate: 100, Stable: 0.001, Canary: 0.3, Fault: 14 * time.Minute}, "", 2 * time.Minute},
		"scrapes between": {sim.World{Rate: 100, Stable: 0.001, Canary: 0.05, Scrape: sim.Scrape{Phase: 2300 * time.Millisecond, Targets: 3}}, "RegressionDetected", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, got := simulate(t, simulation(c.world), 3)
			if r.Outcome != rollout.OutcomeRolledBack || r.Detected <= 0 || r.Detected > c.longest || r.Bad == 0 || (c.reason != "" && r.Reason != c.reason) {
				t.Errorf("%s %s, detected after %v, %d bad:\n%s", r.Outcome, r.Reason, r.Detected, r.Bad, got)
			}
		})
	}
}

func TestSimulation_tooLittleTrafficWaitsForAPerson(t *testing.T) {
	s := simulation(sim.World{Rate: 1, Stable: 0.001, Canary: 0.001})
	r, got := simulate(t, s, 1)
	if r.Outcome != rollout.OutcomeOpen || r.Reason != rollout.InconclusiveTimeout || r.Ended < 30*time.Minute || r.Ended > 31*time.Minute {
		t.Errorf("%s %s after %v:\n%s", r.Outcome, r.Reason, r.Ended, got)
	}
	s.Spec.Analysis.OnInconclusive = rollout.PolicyRollback
	if r, got = simulate(t, s, 1); r.Outcome != rollout.OutcomeRolledBack || r.Reason != rollout.InconclusiveTimeout {
		t.Errorf("with the policy rollback: %s %s after %v:\n%s", r.Outcome, r.Reason, r.Ended, got)
	}
}
