package analysis

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hourOf is a stable hour: at each bound, how many of all were within it.
func hourOf(le []float64, n []uint64, all uint64) []Bucket {
	var out []Bucket
	for i, bound := range le {
		out = append(out, Bucket{Le: bound, N: float64(n[i])})
	}
	return append(out, Bucket{Le: math.Inf(1), N: float64(all)})
}

// The reference baseline.
func reference() []Bucket {
	return hourOf([]float64{10, 25, 50, 100, 250, 500, 1000}, []uint64{220, 1930, 5000, 8070, 9780, 9979, 9999}, 10_000)
}

func chosen(t *testing.T, read []Bucket) bounds {
	t.Helper()
	var b bounds
	b.hour(read)
	var le []float64
	for _, r := range read[:len(read)-1] {
		le = append(le, r.Le)
	}
	if !b.settle(Window{Le: le}) {
		t.Fatalf("%v: no bounds chosen", read)
	}
	return b
}

func TestBounds_matchReference(t *testing.T) {
	b := chosen(t, reference())
	want := bounds{Le: []float64{25, 50, 100, 250, 500}, Fast: []bool{true, false, false, false, false}, Promotion: 3}
	if diff := cmp.Diff(want, b, cmp.AllowUnexported(bounds{})); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
}

func TestBounds_areChosenAtTheEdges(t *testing.T) {
	count := func(n int) (le []float64, within []uint64) { // a tail that halves with each bound
		for i := range n {
			le = append(le, float64(int(1)<<i))
			within = append(within, 1_000_000-uint64(1_000_000>>(i+1)))
		}
		return le, within
	}
	manyLe, many := count(10)
	for _, r := range []struct {
		name      string
		le        []float64
		n         []uint64
		all       uint64
		want      []float64
		fast      int // how many are
		promotion float64
	}{
		{"a tail of just 50 % is slow, of just 0.05 % too", []float64{1, 2, 3}, []uint64{1000, 1999, 2000}, 2000, []float64{1, 2}, 0, 2},
		{"a share of just 5 % is fast, of 50 % is not", []float64{1, 2, 3}, []uint64{99, 100, 1900}, 2000, []float64{2, 3}, 1, 3},
		{"nothing to see but the promotion bound", []float64{1, 2}, []uint64{0, 10_000}, 10_000, []float64{2}, 0, 2},
		{"nothing within the largest", []float64{1, 2}, []uint64{0, 10}, 10_000, []float64{2}, 0, 2},
		{"the promotion bound joins where there is room", []float64{1, 2, 3}, []uint64{1700, 2000, 2000}, 2000, []float64{1, 2}, 0, 2},
		{"over eight are thinned evenly", manyLe, many, 1_000_000, []float64{1, 2, 8, 16, 32, 64, 256, 512}, 0, 8},
	} {
		b := chosen(t, hourOf(r.le, r.n, r.all))
		fast := 0
		for _, f := range b.Fast {
			if f {
				fast++
			}
		}
		if diff := cmp.Diff(r.want, b.Le); diff != "" || fast != r.fast || b.Le[b.Promotion] != r.promotion {
			t.Errorf("%s: bounds %v, %d fast, promotion by %v; want %v, %d, %v", r.name, b.Le, fast, b.Le[b.Promotion], r.want, r.fast, r.promotion)
		}
	}
}

func TestBounds_promotionBoundReplacesTheNearestOfEight(t *testing.T) {
	// Twelve bounds are active, and the eight that stay do not hold the first with a tail of at most 10 %.
	tails := []uint64{500, 450, 400, 350, 300, 250, 200, 150, 120, 90, 80, 70}
	var le []float64
	var n []uint64
	for i, tail := range tails {
		le, n = append(le, float64(i+1)), append(n, 1000-tail)
	}
	b := chosen(t, hourOf(le, n, 1000))
	// Kept are the indices 0 2 3 5 6 8 9 11; promotion goes by 9, bound 10.
	if diff := cmp.Diff([]float64{1, 3, 4, 6, 7, 9, 10, 12}, b.Le); diff != "" || b.Le[b.Promotion] != 10 {
		t.Errorf("bounds (-want +got):\n%s\npromotion by %v", diff, b.Le[b.Promotion])
	}
	tails[8] = 95 // now by index 8: kept still
	n[8] = 905
	if b = chosen(t, hourOf(le, n, 1000)); b.Le[b.Promotion] != 9 {
		t.Errorf("promotion by %v, want 9", b.Le[b.Promotion])
	}
	n[7] = 910 // by index 7, which was thinned out: it takes the place of the nearest, 6
	n[8] = 910
	b = chosen(t, hourOf(le, n, 1000))
	if diff := cmp.Diff([]float64{1, 3, 4, 6, 8, 9, 10, 12}, b.Le); diff != "" || b.Le[b.Promotion] != 8 {
		t.Errorf("bounds (-want +got):\n%s\npromotion by %v", diff, b.Le[b.Promotion])
	}
}

// timed is a window of latency that ends sec after base, by bounds 10, 100 and 1000: of n requests, how many are within.
func timed(sec int64, canary, stable [4]uint64) Window {
	arm := func(c [4]uint64) Counts { return Counts{N: c[3], Le: []uint64{c[0], c[1], c[2]}} }
	return Window{
		Metric: "latency", Start: instant(base + sec*1000 - 5000), End: instant(base + sec*1000),
		Canary: arm(canary), Stable: arm(stable), Le: []float64{10, 100, 1000},
	}
}

func latencyOnly() Config {
	c, _ := Builtin("latency")
	return Config{Criteria: []Criterion{c}}.WithDefaults()
}

// stableHour goes with timed: 30 % within 10, 3 % beyond 100, 0.1 % beyond 1000.
func stableHour() map[string][]Bucket {
	return map[string][]Bucket{"latency": hourOf([]float64{10, 100, 1000}, []uint64{30_000, 97_000, 99_900}, 100_000)}
}

func TestJudge_latencyFindsEachKindOfSlowness(t *testing.T) {
	stable := [4]uint64{128, 412, 425, 425}
	for _, r := range []struct {
		name    string
		canary  [4]uint64
		verdict Verdict
		most    float64 // the bound that speaks most
	}{
		{"the same", [4]uint64{23, 73, 75, 75}, Promote, 0},
		{"all a little slower", [4]uint64{2, 73, 75, 75}, Rollback, 10},
		{"a longer tail", [4]uint64{23, 62, 75, 75}, Rollback, 100},
		{"a few hang", [4]uint64{23, 73, 73, 75}, Rollback, 1000},
		{"faster", [4]uint64{60, 75, 75, 75}, Promote, 0},
	} {
		cfg := latencyOnly()
		b := Batch{Moment: moment(600), Bases: stableHour()}
		for i := int64(1); i <= 100; i++ {
			b.Windows = append(b.Windows, timed(5*i, r.canary, stable))
		}
		_, got := Judge(cfg, Evidence{}, b)
		if got.Verdict != r.verdict {
			t.Errorf("%s: %s (%s: %s), want %s", r.name, got.Verdict, got.Reason, got.Message, r.verdict)
		}
		if most, _ := got.Metrics[0].Bounds.Loudest(); r.most != 0 && most.Le != r.most {
			t.Errorf("%s: most at %v, want %v", r.name, most.Le, r.most)
		}
	}
}

func TestJudge_latencyNeedsABaseline(t *testing.T) {
	cfg := latencyOnly()
	same := func(sec int64) Window { return timed(sec, [4]uint64{23, 73, 75, 75}, [4]uint64{128, 412, 425, 425}) }
	_, r := Judge(cfg, Evidence{}, Batch{Moment: moment(5), Windows: []Window{same(5)}})
	assertVerdict(t, r, Inconclusive, BaselineMissing)
	if want := "latency: 425 of the 1000 stable requests are known that it takes to choose its bounds"; r.Message != want {
		t.Errorf("message %q, want %q", r.Message, want)
	}
	_, r = Judge(cfg, Evidence{}, Batch{Moment: moment(15), Windows: []Window{same(5), same(10), same(15)}})
	assertVerdict(t, r, Inconclusive, Collecting) // chosen, and nothing judged by what chose
	_, r = Judge(cfg, Evidence{}, Batch{Moment: moment(20), Windows: []Window{same(5), same(10), same(15), same(20)}})
	assertVerdict(t, r, Inconclusive, NeedsRequests)
	if m := r.Metrics[0]; m.Windows != 1 || m.Step.Stable.N != 425 || m.Step.Stable.Bad != 13 || m.Bounds.Promotion != 100 {
		t.Errorf("%d windows, stable %+v, promotion by %v", m.Windows, m.Step.Stable, m.Bounds.Promotion)
	}
}

// An hour with too few requests is not asked for again, and stable's windows choose.
func TestQueries_askForStablesHourOnce(t *testing.T) {
	cfg := latencyOnly()
	poor := map[string][]Bucket{"latency": hourOf([]float64{10, 100, 1000}, []uint64{300, 970, 999}, 999)}
	ev, r := Judge(cfg, Evidence{}, Batch{Moment: moment(40), Bases: poor})
	assertVerdict(t, r, Inconclusive, Collecting)
	for name, row := range map[string]struct {
		ev     Evidence
		weight int
		want   bool
	}{
		"at first": {Evidence{}, 15, true}, "poor": {ev, 15, false}, "at 100": {Evidence{}, 100, false},
	} {
		m := moment(45)
		m.Weight = row.weight
		if q := Queries(cfg, row.ev, m, Arms{}); len(q) != 1 || q[0].Base != row.want {
			t.Errorf("%s: asked %+v, want base %v", name, q, row.want)
		}
	}
	rich, _ := Judge(cfg, Evidence{}, Batch{Moment: moment(40), Bases: stableHour()})
	if q := Queries(cfg, rich, moment(45), Arms{}); q[0].Base {
		t.Error("a known hour was asked for again")
	}
}

func TestJudge_latencyAloneAtHundredNeedsNoBounds(t *testing.T) {
	m := moment(20)
	m.Weight = 100
	w := timed(10, [4]uint64{20, 70, 75, 75}, [4]uint64{})
	_, r := Judge(latencyOnly(), Evidence{}, Batch{Moment: m, Windows: []Window{w}})
	assertVerdict(t, r, Promote, NonInferior)
	if r.Metrics[0].Safe.Cleared {
		t.Error("cleared without a comparison")
	}
}

func TestJudge_latencyWithoutCommonBoundsIsBlind(t *testing.T) {
	cfg := latencyOnly()
	cov := Coverage{Metric: "latency", Total: true, Expected: 1, Newest: instant(base + 100_000), LastCanary: instant(base + 100_000), LastStable: instant(base + 100_000)}
	look := func(ev Evidence, sec int64, bounds []float64) (Evidence, Report) {
		c := cov
		c.Newest, c.LastCanary, c.LastStable = instant(base+sec*1000), instant(base+sec*1000), instant(base+sec*1000)
		c.Bounds = bounds
		return Judge(cfg, ev, Batch{Moment: moment(sec), Bases: stableHour(), Coverage: []Coverage{c}})
	}
	ev, r := look(Evidence{}, 60, []float64{})
	assertVerdict(t, r, Inconclusive, Collecting)
	ev, r = look(ev, 80, []float64{})
	assertVerdict(t, r, Blind, WrongType)
	_, r = look(ev, 90, []float64{10, 100, 1000})
	assertVerdict(t, r, Inconclusive, Collecting)
	many := make([]float64, MaxBounds+1)
	for i := range many {
		many[i] = float64(i)
	}
	ev, _ = look(ev, 90, many)
	_, r = look(ev, 110, many)
	assertVerdict(t, r, Blind, TooManySeries)

	ev, _ = Judge(cfg, Evidence{}, Batch{Moment: moment(20), Bases: stableHour(), Windows: []Window{timed(20, [4]uint64{1, 2, 3, 3}, [4]uint64{1, 2, 3, 3})}})
	ev, _ = look(ev, 40, []float64{10, 1000}) // 100 is gone
	_, r = look(ev, 60, []float64{10, 1000})
	assertVerdict(t, r, Blind, WrongType)
}

func TestEvidence_keepsBoundsAndBaseline(t *testing.T) {
	cfg := latencyOnly()
	for name, b := range map[string]Batch{
		"base":   {Moment: moment(20), Windows: []Window{timed(20, [4]uint64{1, 2, 3, 3}, [4]uint64{100, 200, 300, 300})}},
		"bounds": {Moment: moment(20), Bases: stableHour(), Windows: []Window{timed(20, [4]uint64{1, 2, 3, 3}, [4]uint64{100, 200, 300, 300})}},
	} {
		ev, _ := Judge(cfg, Evidence{}, b)
		text, err := ev.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Evidence
		if err := back.UnmarshalText(text); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		again, _ := back.MarshalText()
		if string(again) != string(text) {
			t.Errorf("%s:\n got %s\nwant %s", name, again, text)
		}
	}
}

func TestAssemble_cutsBuckets(t *testing.T) {
	within := func(target string, arm Arm, le float64, values ...float64) Series {
		s := counter(target, arm, Within, values...)
		s.Le = le
		return s
	}
	inf := math.Inf(1)
	series := []Series{
		within("a", Canary, inf, 10, 20, 24), within("a", Canary, 100, 5, 10, 14), within("a", Canary, 10, 1, 1, 2),
		within("a", Stable, inf, 100, 140, 10), within("a", Stable, 100, 90, 120, 8), within("a", Stable, 10, 50, 60, 4), // restarts
		within("b", Canary, inf, 0, 1, 2), within("b", Canary, 100, 0, 1, 2), // without the bound of 10
		within("b", Stable, inf, -1, -1, 3), within("b", Stable, 100, -1, -1, 3), within("b", Stable, 10, -1, -1, 1), // new
	}
	windows, cov := Assemble(cut5(10), series)
	want := []Window{
		{Metric: "errors", Start: instant(base), End: instant(base + 5000), Le: []float64{100},
			Canary: Counts{N: 11, Le: []uint64{6}}, Stable: Counts{N: 40, Le: []uint64{30}}},
		{Metric: "errors", Start: instant(base + 5000), End: instant(base + 10_000), Le: []float64{100},
			Canary: Counts{N: 5, Le: []uint64{5}}, Stable: Counts{N: 13, Le: []uint64{11}}},
	}
	if diff := cmp.Diff(want, windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{100}, cov.Bounds); diff != "" || !cov.Total || !cov.LastCanary.Equal(instant(base+10_000)) {
		t.Errorf("coverage %+v (-want +got):\n%s", cov, diff)
	}
	apart := []Series{within("a", Canary, inf, 1, 2), within("a", Canary, 10, 1, 1), within("a", Stable, inf, 1, 2), within("a", Stable, 20, 1, 1)}
	if _, cov := Assemble(cut5(5), apart); cov.Bounds == nil || len(cov.Bounds) > 0 {
		t.Errorf("bounds in common: %v, want none", cov.Bounds)
	}
	if _, cov := Assemble(cut5(5), []Series{alive("a", 2)}); cov.Bounds != nil {
		t.Errorf("bounds of a ratio: %v", cov.Bounds)
	}
}

func TestWindow_saneHoldsBucketsToWhatTheyCanBe(t *testing.T) {
	w := Window{Le: []float64{1, 2, 3}, Canary: Counts{N: 5, Le: []uint64{3, 2, 9}}, Stable: Counts{N: 5, Le: []uint64{0, 0, 0}}}.sane()
	if !slices.Equal(w.Canary.Le, []uint64{3, 3, 5}) {
		t.Errorf("canary %v, want rising and at most 5", w.Canary.Le)
	}
	for _, le := range [][]float64{{1, 2}, {1, 3, 2}, {1, 2, math.Inf(1)}, {1, math.NaN(), 3}} {
		if got := (Window{Le: le, Canary: w.Canary, Stable: w.Stable}).sane(); got.Le != nil || got.Canary.Le != nil {
			t.Errorf("bounds %v were taken", le)
		}
	}
}

func TestLatency_isNotExpectedToGrowUnderTheNull(t *testing.T) {
	const nc, ns, rho0 = 4, 7, 1.1
	cfg := latencyOnly()
	c := cfg.Criteria[0]
	// Two bounds: a fast one and a slow one. The null of each stream, at its edge and inside.
	for _, r := range []struct{ within, beyond, fastBy, slowBy float64 }{
		{0.3, 0.02, 1 / rho0, rho0}, {0.45, 0.4, 1 / rho0, rho0}, {0.06, 0.3, 1, 1}, {0.2, 0.45, 1.2, 0.5},
	} {
		b := bounds{Le: []float64{10, 100}, Fast: []bool{true, false}, Promotion: 1}
		stable, canary := [2]float64{r.within, r.beyond}, [2]float64{r.within * r.fastBy, r.beyond * r.slowBy}
		for _, noise := range []Noise{Bursty, Independent} {
			c.Noise = noise
			var sum, mass float64
			trinomial(nc, canary, func(f1, s1 uint64, p1 float64) {
				trinomial(ns, stable, func(f2, s2 uint64, p2 float64) {
					w := Window{Le: b.Le, Canary: Counts{N: nc, Le: []uint64{f1, nc - s1}}, Stable: Counts{N: ns, Le: []uint64{f2, ns - s2}}}
					h := newHarm(cfg.Mixture, noise, b.clone())
					h.fold(5, h.pairs(w), c, cfg.Mixture)
					mass += p1 * p2
					sum += p1 * p2 * math.Exp(h.logE())
				})
			})
			if math.Abs(mass-1) > 1e-9 || !(sum <= 1+1e-9) {
				t.Errorf("%+v, %s: E[e] = %.12f over a mass of %v", r, noise, sum, mass)
			}
		}
	}
}

// trinomial visits all outcomes of n requests: how many are fast, how many slow, and how likely that is.
func trinomial(n uint64, p [2]float64, visit func(fast, slow uint64, chance float64)) {
	for fast := range n + 1 {
		for slow := range n - fast + 1 {
			visit(fast, slow, binomial(n, fast, p[0])*binomial(n-fast, slow, p[1]/(1-p[0])))
		}
	}
}

func TestConfig_boundsHistogramsAndConditions(t *testing.T) {
	histogram := func(n int) Criterion { return Criterion{Name: fmt.Sprint("h", n), Source: Source{Kind: KindHistogram}} }
	condition := Condition{Query: "up", Pass: "value > 0.0"}
	gate := func(l Limits) Config {
		return Config{Criteria: []Criterion{{Name: "g", Source: Source{Condition: &condition}, Limits: l}}}
	}
	for name, row := range map[string]struct {
		cfg Config
		bad bool
	}{
		"three histograms":         {Config{Criteria: []Criterion{histogram(1), histogram(2), histogram(3)}}, false},
		"four histograms":          {Config{Criteria: []Criterion{histogram(1), histogram(2), histogram(3), histogram(4)}}, true},
		"1.1":                      {Config{Criteria: []Criterion{{Name: "h", Source: Source{Kind: KindHistogram}, Tolerance: 0.1}}}, false},
		"below 1.1":                {Config{Criteria: []Criterion{{Name: "h", Source: Source{Kind: KindHistogram}, Tolerance: 0.09}}}, true},
		"no such kind":             {Config{Criteria: []Criterion{{Name: "h", Source: Source{Kind: "gauge"}}}}, true},
		"two sources":              {Config{Criteria: []Criterion{{Name: "h", Source: Source{Ratio: &Ratio{Total: "a", Bad: "b"}, Histogram: &Histogram{Buckets: "a"}}}}}, true},
		"no buckets":               {Config{Criteria: []Criterion{{Name: "h", Source: Source{Histogram: &Histogram{}}}}}, true},
		"no such unit":             {Config{Criteria: []Criterion{{Name: "h", Source: Source{Histogram: &Histogram{Buckets: "a", Unit: "h"}}}}}, true},
		"a gate":                   {gate(Limits{}), false},
		"a gate without condition": {Config{Criteria: []Criterion{{Name: "g", Source: Source{Kind: KindCondition}}}}, true},
		"neither pass nor fail":    {Config{Criteria: []Criterion{{Name: "g", Source: Source{Condition: &Condition{Query: "up"}}}}}, true},
		"an interval of 4s":        {gate(Limits{Interval: 4 * time.Second}), true},
		"fails without end":        {gate(Limits{Failures: -1}), false},
		"less than none":           {gate(Limits{Failures: -2}), true},
		"out of reach":             {gate(Limits{Count: 3, Successes: 4}), true},
		"just in reach":            {gate(Limits{Count: 4, Successes: 4}), false},
	} {
		if errs := row.cfg.Validate(); (len(errs) > 0) != row.bad {
			t.Errorf("%s: %v", name, errs)
		}
	}
	c, ok := Builtin("latency")
	c = c.withDefaults(0.999)
	if !ok || c.Kind != KindHistogram || c.Share != 2 || !c.Required || c.rho0() != 1.1 || c.Warmup != 30*time.Second || c.Harmful != (Harmful{2, 0.01}) {
		t.Errorf("latency %+v", c)
	}
}
