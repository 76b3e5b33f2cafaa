package sim

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Reference is a row of the table that says what the defaults achieve: one world, and what must hold in it.
type Reference struct {
	Name  string
	Trial Trial
	Runs  int  // for each one that is asked for; healthy worlds need more for the same certainty
	Peers bool // other rules are played too
	Bar   Bar
}

// Bar is what a row must reach. A zero value is not asked.
type Bar struct {
	RolledBackMost  float64       // share of runs
	RolledBackLeast float64       // share of runs
	P50, P90        time.Duration // from the fault to the rollback
	PromotableLeast float64       // share of runs
	PromotableMost  float64       // share of runs; below 0: none
	Ready50         time.Duration // to the first moment at which the step may pass
	Ready90         time.Duration
}

// healthyRuns is how many times as many runs a healthy world takes.
const healthyRuns = 4

// Default is the trial of the documentation: one step of 30 min at 15 % under the defaults, no warm-up and no bake. All that
// is judged by default is there to be judged: proxies count times and report their requests.
func Default(w World) Trial {
	cfg := analysis.Standard()
	for i := range cfg.Criteria {
		cfg.Criteria[i].Warmup = -1
	}
	or(&w.Latency.Median, usual)
	w.Scrape.Loads = true
	return Trial{World: w, Config: cfg, Weight: 15}
}

// usual is the median time of an answer where nothing is said.
const usual = 50 * time.Millisecond

// Independent is the trial with requests that are taken to fail by themselves.
func (t Trial) Independent() Trial {
	cfg := t.Config
	cfg.Criteria = append([]analysis.Criterion(nil), cfg.Criteria...)
	for i := range cfg.Criteria {
		cfg.Criteria[i].Noise = analysis.Independent
	}
	t.Config = cfg
	return t
}

// soft is the trial without hard rules.
func (t Trial) soft() Trial {
	t.Soft = true
	return t
}

// tries is the cost of judging by several metrics: failures speak in three quarters of alpha, errors and attempts together,
// so that a rollback needs ln(4/3) of ln(100) more evidence, a sixteenth, or one more window where a few decide.
func tries(one, window time.Duration) time.Duration {
	return one + max(window, (one/16).Round(window))
}

// References are all rows. Their bars are those of a judge of errors alone, and what the other metrics may cost.
func References() []Reference {
	base := func(canary float64) World { return World{Rate: 100, Stable: 0.001, Canary: canary} }
	edge := World{Rate: 100, Stable: 0.004, Canary: 1.25 * 0.004}
	at := func(rate, stable, canary float64) Trial {
		return Default(World{Rate: rate, Stable: stable, Canary: canary})
	}
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	found := func(p50, p90 int) Bar {
		return Bar{P50: tries(s(p50), s(5)), P90: tries(s(p90), s(5)), PromotableMost: 0.05}
	}
	thin := func(window, p50, p90 int) Bar {
		return Bar{P50: tries(s(p50), s(window)), P90: tries(s(p90), s(window))}
	}
	rare := Bar{RolledBackMost: 0.01}
	tolerated := slow(1).Latency.edge(1.1)
	return []Reference{
		{"healthy", Default(base(0.001)).soft(), healthyRuns, true, rare},
		{"healthy, independent", Default(base(0.001)).soft().Independent(), healthyRuns, false, rare},
		{"1 % bad", Default(base(0.01)).soft(), 1, true, found(90, 155)},
		{"1 % bad, independent", Default(base(0.01)).soft().Independent(), 1, false, found(55, 105)},
		{"5 % bad", Default(base(0.05)).soft(), 1, true, found(20, 30)},
		{"5 % bad, independent", Default(base(0.05)).soft().Independent(), 1, false, found(10, 15)},
		{"50 % bad, evidence alone", Default(base(0.5)).soft(), 1, true, found(20, 20)},
		{"50 % bad, evidence alone, independent", Default(base(0.5)).soft().Independent(), 1, false, found(5, 5)},
		{"50 % bad, with HardFail", Default(base(0.5)), 1, false, Bar{P50: s(10), P90: s(20), PromotableMost: 0.05}},
		{"0.3 % bad", Default(base(0.003)).soft(), 1, true, Bar{RolledBackLeast: 0.9, P50: tries(s(900), s(5))}},
		{"0.3 % bad, independent", Default(base(0.003)).soft().Independent(), 1, false, Bar{RolledBackLeast: 0.9, P50: tries(s(560), s(5))}},
		{"twice as slow", Default(slow(2)).soft(), 1, false, Bar{P50: s(30), P90: s(40), PromotableMost: 0.05}},
		{"a fifth slower", Default(slow(1.2)).soft(), 1, false, Bar{P50: s(100), P90: s(180), PromotableMost: 0.05}},
		{"as slow as tolerated", Default(slow(tolerated)).soft(), healthyRuns, false, rare},
		{"0.5 % against 0.4 %: exactly 1.25 times", Default(edge), healthyRuns, false, rare},
		{"the same, independent", Default(edge).Independent(), healthyRuns, false, rare},
		{"0.8 % against 0.4 %: exactly harmful", Default(World{Rate: 100, Stable: 0.004, Canary: 0.008}), healthyRuns, false, Bar{PromotableMost: 0.05}},
		{"1 rps, 50 % bad", at(1, 0.001, 0.5), 1, true, thin(10, 75, 125)},
		{"0.1 rps, 100 % bad", at(0.1, 0.001, 1), 1, true, thin(70, 350, 515)},
		{"0.1 rps, 50 % bad", at(0.1, 0.001, 0.5), 1, true, thin(70, 650, 1085)},
		{"0.1 rps, healthy", at(0.1, 0.001, 0.001), healthyRuns, true, Bar{RolledBackMost: 0.01, PromotableMost: -1}},
		{"1000 rps, healthy", at(1000, 0.001, 0.001), 1, false, Bar{RolledBackMost: 0.01, Ready50: s(15), Ready90: s(30)}},
		{"100 rps, no error at all", at(100, 0, 0), 1, false, Bar{PromotableLeast: 1, Ready50: s(60), Ready90: s(60)}},
		{"100 rps, healthy", at(100, 0.001, 0.001), 1, false, Bar{RolledBackMost: 0.01, Ready50: s(110), Ready90: s(200)}},
		{"10 rps, healthy", at(10, 0.001, 0.001), 1, false, Bar{RolledBackMost: 0.01, PromotableLeast: 0.8}},
		{"1 rps, healthy", at(1, 0.001, 0.001), 1, false, Bar{RolledBackMost: 0.01, PromotableMost: -1}},
	}
}

// slow is a world in which nothing but the canary's times is different, so many times as long.
func slow(factor float64) World {
	return World{Rate: 100, Stable: 0.001, Canary: 0.001, Latency: Latency{Median: usual, Sigma: 0.5, Factor: factor}}
}

// Misses says in words what of the bar a summary does not reach. slack is how far a share of runs may lie beyond its
// bound for chance, in standard errors; a time is held as the share of runs that came by it. Decisions come at the ends
// of windows, so a quantile of few runs is easily a window late where the bar lies close.
func (b Bar) Misses(s Summary, slack float64) []string {
	var out []string
	miss := func(is bool, what string) {
		if is {
			out = append(out, what)
		}
	}
	late := func(got Share, part float64, limit time.Duration) bool {
		return limit > 0 && got.late(part, limit, slack)
	}
	miss(b.RolledBackMost > 0 && s.RolledBack.over(b.RolledBackMost, slack), "rolled back too often")
	miss(b.RolledBackLeast > 0 && s.RolledBack.under(b.RolledBackLeast, slack), "found too seldom")
	miss(late(s.RolledBack, 0.5, b.P50), "p50 too late")
	miss(late(s.RolledBack, 0.9, b.P90), "p90 too late")
	miss(b.PromotableLeast > 0 && s.Promotable.under(b.PromotableLeast, slack), "promotable too seldom")
	miss(b.PromotableMost != 0 && s.Promotable.over(max(0, b.PromotableMost), slack), "promotable too often")
	miss(late(s.Promotable, 0.5, b.Ready50), "promotable p50 too late")
	miss(late(s.Promotable, 0.9, b.Ready90), "promotable p90 too late")
	return out
}
