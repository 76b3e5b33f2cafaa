package sim

import (
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// runs plays a trial for the seeds from 1 on, half of them on each core.
func runs(trial Trial, n int) Summary {
	out := make([]Outcome, n)
	var wait sync.WaitGroup
	for half := range 2 {
		wait.Go(func() {
			for i := half; i < n; i += 2 {
				out[i] = trial.Run(uint64(i + 1))
			}
		})
	}
	wait.Wait()
	return Summarise(out)
}

// A few runs of each row: slow worlds few, fast ones more. The whole table is `make sim`.
func TestReferences_aFewRunsReachTheBar(t *testing.T) {
	for _, r := range References() {
		n := 6 * r.Runs
		if r.Bar.P90 > 0 && r.Bar.P90 <= 2*time.Minute {
			n = 60
		}
		s := runs(r.Trial, n)
		if misses := r.Bar.Misses(s, 4); len(misses) > 0 {
			t.Errorf("%s: %v: %+v", r.Name, misses, s)
		}
	}
}

func TestBar_missesEachPart(t *testing.T) {
	never, always := make([]time.Duration, 100), make([]time.Duration, 100)
	for i := range never {
		never[i], always[i] = Never, time.Hour
	}
	full := Bar{RolledBackMost: 0.01, P50: time.Minute, P90: time.Minute, PromotableMost: -1, Ready50: time.Minute, Ready90: time.Minute}
	if got := full.Misses(Summary{Runs: 100, RolledBack: shareOf(always), Promotable: shareOf(always)}, 3); len(got) != 6 {
		t.Errorf("got %q, want all six", got)
	}
	if got := (Bar{RolledBackLeast: 0.9, PromotableLeast: 0.9, P50: time.Minute}).Misses(Summary{Runs: 100, RolledBack: shareOf(never), Promotable: shareOf(never)}, 3); len(got) != 3 {
		t.Errorf("got %q, want three", got)
	}
	if got := (Bar{}).Misses(Summary{RolledBack: shareOf(always), Promotable: shareOf(always)}, 0); len(got) != 0 {
		t.Errorf("nothing asked, %q missed", got)
	}
}

// What hits both versions alike is not the canary's fault: with shared incidents, missed scrapes and several proxies a
// healthy version stays, and outages of pods that fit into a window do not count for more than one event.
func TestTrial_healthyWorldsWithTroubleAreLeftAlone(t *testing.T) {
	for name, world := range map[string]World{
		"shared incidents": {Rate: 100, Stable: 0.001, Canary: 0.001, Incidents: Trouble{Rate: 6, Lasts: 90 * time.Second, Share: 0.4}},
		"missed scrapes":   {Rate: 100, Stable: 0.002, Canary: 0.002, Scrape: Scrape{Targets: 3, Missed: 0.2}},
		"slow scrapes":     {Rate: 100, Stable: 0.002, Canary: 0.002, Scrape: Scrape{Every: 15 * time.Second, Phase: 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s := runs(Default(world), 24); s.RolledBack.Runs > 2 {
				t.Errorf("%d of %d healthy runs were rolled back", s.RolledBack.Runs, s.Runs)
			}
		})
	}
}

func TestTrial_aLateFaultIsFoundFromItsOwnTime(t *testing.T) {
	s := runs(Default(World{Rate: 100, Stable: 0.001, Canary: 0.2, Fault: 20 * time.Minute}), 12)
	if s.RolledBack.Runs != 12 || s.RolledBack.P90 <= 0 || s.RolledBack.P90 > time.Minute || s.Promotable.Runs != 12 {
		t.Errorf("a fault after 20 healthy minutes: %+v", s)
	}
}

func BenchmarkTrial_thirtyHealthyMinutes(b *testing.B) {
	trial := Default(World{Rate: 100, Stable: 0.001, Canary: 0.001})
	b.ReportAllocs()
	for seed := uint64(0); b.Loop(); seed++ {
		if o := trial.Run(seed); o.Verdict.Verdict == analysis.Blind {
			b.Fatal("the judge saw nothing")
		}
	}
}
