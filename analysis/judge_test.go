package analysis

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// moment is a look at a settled step of 15 %, sec after base.
func moment(sec int64) Moment {
	return Moment{At: instant(base + sec*1000), Step: 1, Weight: 15, Endpoints: 3, Since: instant(base), Settled: instant(base)}
}

// window is one of 5 s that ends sec after base.
func window(sec int64, nc, xc, ns, xs uint64) Window {
	c, s := cs(nc, xc, ns, xs)
	return Window{Metric: "errors", Start: instant(base + sec*1000 - 5000), End: instant(base + sec*1000), Canary: c, Stable: s}
}

// healthy are windows of a good canary from the first second on.
func healthy(windows int64) []Window {
	var all []Window
	for i := int64(1); i <= windows; i++ {
		all = append(all, window(5*i, 75, 0, 425, uint64(i%4/3)))
	}
	return all
}

func judged(cfg Config, m Moment, windows ...Window) (Evidence, Report) {
	return Judge(cfg, Evidence{}, Batch{Moment: m, Windows: windows})
}

func assertVerdict(t *testing.T, r Report, verdict Verdict, reason Reason) {
	t.Helper()
	if r.Verdict != verdict || r.Reason != reason {
		t.Errorf("got %s (%s: %s), want %s (%s)", r.Verdict, r.Reason, r.Message, verdict, reason)
	}
}

func TestJudge_referencePath(t *testing.T) {
	windows := path()
	m := Moment{At: windows[6].End, Step: 1, Weight: 15, Settled: windows[0].Start}
	_, bursty := judged(Default(), m, windows...)
	assertVerdict(t, bursty, Inconclusive, Suspicious)
	metric := bursty.Metrics[0]
	near(t, "at least", metric.Estimate.AtLeast, 1.25)
	near(t, "evidence of safety", math.Exp(metric.Safe.LogE), 0.0004398578433)
	if metric.Safe.Needed != -1 || bursty.Progress.Needed != -1 {
		t.Errorf("needed %d and %d, want -1", metric.Safe.Needed, bursty.Progress.Needed)
	}
	_, early := judged(Default(), m, windows[:5]...)
	assertVerdict(t, early, Inconclusive, NeedsRequests)

	cfg := Default()
	cfg.Criteria[0].Noise = Independent
	ev, independent := judged(cfg, m, windows...)
	assertVerdict(t, independent, Rollback, RegressionDetected)
	if _, at, ok := ev.RolledBack(); !ok || !at.Equal(windows[5].End) {
		t.Errorf("rolled back at %v, want the end of window 6, %v", at, windows[5].End)
	}
	if want := "errors 2.29% (12/524) against 0.0671% (2/2981), at least 3.85x (99%)"; independent.Message != want {
		t.Errorf("message\n got %s\nwant %s", independent.Message, want)
	}
}

func TestJudge_promotesOnlyClearedAndBaked(t *testing.T) {
	cfg := Default()
	cfg.Bake = 2 * time.Minute
	_, r := judged(cfg, moment(20), healthy(4)...)
	assertVerdict(t, r, Inconclusive, NeedsRequests)
	if r.Progress.Needed < 500 || r.Progress.Wait == 0 || r.Progress.Observed != 20*time.Second {
		t.Errorf("progress %+v", r.Progress)
	}
	_, r = judged(cfg, moment(80), healthy(16)...)
	assertVerdict(t, r, Inconclusive, Baking)
	if r.Message != "baked 1m20s of 2m" {
		t.Errorf("message %q", r.Message)
	}
	_, r = judged(cfg, moment(120), healthy(24)...)
	assertVerdict(t, r, Promote, NonInferior)

	_, r = judged(cfg, moment(5))
	assertVerdict(t, r, Inconclusive, Collecting)
	cfg.Criteria[0].Required = false
	_, r = judged(cfg, moment(120), healthy(24)...)
	assertVerdict(t, r, Inconclusive, NoPromotionSource)
}

func TestJudge_gapsNeverHelp(t *testing.T) {
	cfg := Default()
	ev, r := judged(cfg, moment(120), healthy(24)...)
	assertVerdict(t, r, Promote, NonInferior)
	blink := Batch{Moment: moment(121), Gaps: []Gap{{Metric: "errors", Reason: Timeout}}}
	blink.Coverage = nil
	seen := func(sec int64) Coverage {
		return Coverage{Metric: "errors", Length: 5 * time.Second, Interval: 5 * time.Second, Total: true, Expected: 1,
			Newest: instant(base + sec*1000), LastCanary: instant(base + sec*1000), LastStable: instant(base + sec*1000)}
	}
	ev, _ = Judge(cfg, ev, Batch{Moment: moment(121), Coverage: []Coverage{seen(120)}})
	_, r = Judge(cfg, ev, blink)
	assertVerdict(t, r, Inconclusive, PartialTargets)
	blink.At = moment(136).At
	dark, r := Judge(cfg, ev, blink)
	assertVerdict(t, r, Blind, Timeout)
	if r.Blind != 16*time.Second || r.Message != "errors: Timeout for 16s" {
		t.Errorf("blind for %v: %q", r.Blind, r.Message)
	}
	_, r = Judge(cfg, dark, Batch{Moment: moment(140), Coverage: []Coverage{seen(139)}})
	assertVerdict(t, r, Promote, NonInferior)

	missing := seen(139)
	missing.Expected, missing.Missing = 20, 1
	_, r = Judge(cfg, dark, Batch{Moment: moment(140), Coverage: []Coverage{missing}})
	assertVerdict(t, r, Promote, NonInferior)
	missing.Expected = 19
	_, r = Judge(cfg, dark, Batch{Moment: moment(140), Coverage: []Coverage{missing}})
	assertVerdict(t, r, Inconclusive, PartialTargets)
}

func TestJudge_blindWithoutUsableData(t *testing.T) {
	cfg := Default()
	ev, _ := judged(cfg, moment(120), healthy(24)...)
	for _, r := range []struct {
		at                     int64
		newest, canary, stable int64
		total                  bool
		want                   Reason
	}{
		{140, 124, 124, 124, true, Stale},
		{140, 120, 0, 0, false, NoSeries},
		{481, 480, 179, 180, true, NoTraffic},
		{481, 480, 420, 480, true, NoCanaryTraffic},
		{481, 480, 421, 480, true, ""},
	} {
		at := func(sec int64) time.Time { return instant(base + sec*1000) }
		cov := Coverage{Metric: "errors", Total: r.total, Expected: 1, Newest: at(r.newest), LastCanary: at(r.canary), LastStable: at(r.stable)}
		_, got := Judge(cfg, ev, Batch{Moment: moment(r.at), Coverage: []Coverage{cov}})
		if r.want == "" {
			assertVerdict(t, got, Promote, NonInferior)
			continue
		}
		assertVerdict(t, got, Blind, r.want)
	}
}

func TestJudge_rollbackIsLatched(t *testing.T) {
	cfg := Default()
	cfg.Criteria[0].Noise = Independent
	ev, r := judged(cfg, moment(10), window(5, 75, 40, 425, 0))
	assertVerdict(t, r, Rollback, RegressionDetected)
	for _, b := range []Batch{
		{Moment: moment(500), Windows: healthy(400)},
		{Moment: Moment{At: instant(base + 1), Step: 2, Weight: 50}},
		{Moment: moment(500), Gaps: []Gap{{Metric: "errors", Reason: Timeout}}},
		{},
	} {
		_, r = Judge(cfg, ev, b)
		assertVerdict(t, r, Rollback, RegressionDetected)
	}
	edited := cfg
	edited.Criteria = []Criterion{{Name: "errors", Tolerance: 0.5, Required: true}}
	edited.Criteria = append(edited.Criteria, Criterion{Name: "clientErrors"})
	_, r = Judge(edited, ev, Batch{Moment: moment(500)})
	assertVerdict(t, r, Rollback, RegressionDetected)
	if !r.Reset {
		t.Error("the evidence of another configuration was kept")
	}
}

func TestJudge_hardFailSpeaksWhileShifting(t *testing.T) {
	m := moment(30)
	m.Settled = time.Time{}
	b := Batch{Moment: m, Rules: []Window{window(5, 20, 11, 100, 0), window(10, 20, 15, 100, 1)}}
	_, r := Judge(Default(), Evidence{}, b)
	assertVerdict(t, r, Rollback, HardFail)
	b.Endpoints = 1
	_, r = Judge(Default(), Evidence{}, b)
	assertVerdict(t, r, Inconclusive, Collecting)
}

func TestJudge_guardAtHundred(t *testing.T) {
	cfg := Default()
	ev, _ := judged(cfg, moment(120), healthy(24)...)
	full := func(sec int64) Moment {
		m := moment(sec)
		m.Step, m.Weight, m.Settled = 2, 100, instant(base+120_000)
		return m
	}
	_, r := Judge(cfg, ev, Batch{Moment: full(126), Windows: []Window{window(126, 9, 0, 0, 0)}})
	assertVerdict(t, r, Inconclusive, NeedsRequests)
	_, r = Judge(cfg, ev, Batch{Moment: full(126), Windows: []Window{window(126, 500, 0, 0, 0)}})
	assertVerdict(t, r, Promote, NonInferior)
	var bad []Window
	for i := int64(1); i <= 12; i++ {
		bad = append(bad, window(120+5*i, 500, 60, 0, 0))
	}
	_, r = Judge(cfg, ev, Batch{Moment: full(180), Windows: bad})
	assertVerdict(t, r, Rollback, SLOBreach)
	if want := "errors 12% (720/6000) against a limit of 1%"; r.Message != want {
		t.Errorf("message %q, want %q", r.Message, want)
	}
}

func TestJudge_incidentIsNotTheVersion(t *testing.T) {
	cfg := Default()
	cfg.Objective = 0.999
	_, r := judged(cfg, moment(10), window(5, 75, 8, 425, 45), window(10, 75, 8, 425, 45))
	assertVerdict(t, r, Inconclusive, Incident)
}

func TestJudge_shareOfMetricsIsFixed(t *testing.T) {
	clientErrors, _ := Builtin("clientErrors")
	cfg := Default()
	cfg.Criteria = append(cfg.Criteria, clientErrors, Criterion{Name: "x", DryRun: true, Required: true})
	_, r := judged(cfg, moment(120), healthy(24)...)
	var shares []float64
	for _, m := range r.Metrics {
		shares = append(shares, m.Harm.Share)
	}
	if diff := cmp.Diff([]float64{0.2, 0.8, 0}, shares); diff != "" {
		t.Error(diff)
	}
	// One fifth of the evidence is still 1, and the dry run is not required.
	near(t, "total", math.Exp(r.LogE), 0.2+0.8*math.Exp(r.Metrics[1].Harm.LogE))
	assertVerdict(t, r, Promote, NonInferior)
}

func TestJudge_fromStepNeitherCountsNorIsRequiredBefore(t *testing.T) {
	late, _ := Builtin("clientErrors")
	late.FromStep, late.Required = 2, true
	cfg := Default()
	cfg.Criteria = append(cfg.Criteria, late)
	windows := healthy(24)
	bad := window(5, 75, 75, 425, 0)
	bad.Metric = "clientErrors"
	ev, r := judged(cfg, moment(120), append(windows, bad)...)
	assertVerdict(t, r, Promote, NonInferior)
	m := moment(130)
	m.Step = 2
	_, r = Judge(cfg, ev, Batch{Moment: m, Windows: []Window{window(130, 75, 0, 425, 0)}})
	assertVerdict(t, r, Inconclusive, Collecting)
	if r.Metric != "clientErrors" {
		t.Errorf("waits for %s", r.Metric)
	}
}

// history is a random attempt: windows and rule increments over three steps.
type history struct {
	cfg     Config
	batches []Batch // one window each, by time
}

func drawHistory(rt *rapid.T) history {
	h := history{cfg: Default()}
	if rapid.Bool().Draw(rt, "independent") {
		h.cfg.Criteria[0].Noise = Independent
	}
	clientErrors, _ := Builtin("clientErrors")
	h.cfg.Criteria = append(h.cfg.Criteria, clientErrors)
	h.cfg.Objective = 0.999
	worse := rapid.Float64Range(0, 0.05).Draw(rt, "canary's bad share")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 3))
	for i := int64(1); i <= 60; i++ {
		m := moment(5 * i)
		m.Step = int(1 + i/25)
		m.Weight = []int{15, 50, 100}[m.Step-1]
		m.Settled = instant(base + int64(m.Step-1)*125_000)
		b := Batch{Moment: m}
		for _, c := range h.cfg.Criteria {
			w := window(5*i, uint64(r.IntN(80)), 0, uint64(r.IntN(400)), 0)
			w.Metric = c.Name
			w.Canary.Bad, w.Stable.Bad = draw(r, w.Canary.N, worse), draw(r, w.Stable.N, 0.002)
			b.Windows = append(b.Windows, w)
			if c.Name == "errors" {
				b.Rules = append(b.Rules, w)
			}
		}
		h.batches = append(h.batches, b)
	}
	return h
}

func draw(r *rand.Rand, n uint64, p float64) uint64 {
	var x uint64
	for range n {
		if r.Float64() < p {
			x++
		}
	}
	return x
}

func texts(t interface{ Fatal(...any) }, ev Evidence) []byte {
	text, err := ev.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJudge_restartDoublingCuttingAndOrderChangeNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { drawHistory(rt).sameHoweverFed(rt) })
}

// sameHoweverFed judges the history batch by batch, and once more with criteria permuted, batches put together and shuffled,
// each fed twice, and restarts in between.
func (h history) sameHoweverFed(rt *rapid.T) {
	permuted := h.cfg
	permuted.Criteria = slices.Clone(h.cfg.Criteria)
	slices.Reverse(permuted.Criteria)
	last := len(h.batches) - 1
	plain, other := Evidence{}, Evidence{}
	var plainReport, otherReport Report
	pending := Batch{}
	for i, b := range h.batches {
		plain, plainReport = Judge(h.cfg, plain, b)
		held := pending
		pending = b
		pending.Windows, pending.Rules = slices.Concat(held.Windows, b.Windows), slices.Concat(held.Rules, b.Rules)
		pending.Measurements = slices.Concat(held.Measurements, b.Measurements)
		if i > 0 && i < last && h.batches[i+1].Step == b.Step && rapid.Bool().Draw(rt, "hold back") {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(i), 4))
		shuffle(r, pending.Windows)
		shuffle(r, pending.Measurements)
		other, _ = Judge(permuted, other, pending)
		if rapid.Bool().Draw(rt, "restart") {
			text := texts(rt, other)
			other = Evidence{}
			if err := other.UnmarshalText(text); err != nil {
				rt.Fatal(err)
			}
		}
		other, otherReport = Judge(permuted, other, pending) // fed twice
		pending = Batch{}
	}
	if diff := cmp.Diff(string(texts(rt, plain)), string(texts(rt, other))); diff != "" {
		rt.Errorf("evidence (-plain +other):\n%s", diff)
	}
	if diff := cmp.Diff(plainReport, otherReport); diff != "" {
		rt.Errorf("report (-plain +other):\n%s", diff)
	}
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

func TestEvidence_textIsBoundedAndExact(t *testing.T) {
	cfg := Config{Objective: 0.999}
	m := Moment{At: instant(base + 5000), Step: 1, Weight: 100, Endpoints: 1, Since: instant(base), Settled: instant(base)}
	b := Batch{Moment: m}
	for i := range MaxCriteria {
		name := fmt.Sprintf("%s%02d", strings.Repeat("m", 61), i)
		cfg.Criteria = append(cfg.Criteria, Criterion{Name: name, Required: true})
		w := window(5, 77777777777777, 3333333333333, 555555555555555, 11111111111111)
		w.Metric = name
		b.Windows = append(b.Windows, w)
		b.Gaps = append(b.Gaps, Gap{Metric: name, Reason: Unauthorized})
	}
	if errs := cfg.Validate(); len(errs) > 0 {
		t.Fatal(errs)
	}
	b.Rules = b.Windows[:1]
	ev, _ := Judge(cfg, Evidence{}, b)
	text := texts(t, ev)
	if len(text) > MaxEvidence || bytes.ContainsRune(text, '\n') {
		t.Errorf("%d bytes", len(text))
	}
	var back Evidence
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(texts(t, back))); diff != "" {
		t.Error(diff)
	}
	var zero Evidence
	if err := zero.UnmarshalText(texts(t, zero)); err != nil || zero.Begun() {
		t.Errorf("zero value: %v, begun %v", err, zero.Begun())
	}
}

func TestEvidence_refusesWhatNoJudgeWrote(t *testing.T) {
	ev, _ := judged(Default(), moment(120), healthy(24)...)
	text := string(texts(t, ev))
	kept := ev
	for name, broken := range map[string]string{
		"another version":   strings.Replace(text, `"v":1`, `"v":2`, 1),
		"an unknown key":    strings.Replace(text, `"v":1`, `"v":1,"z":0`, 1),
		"cut off":           text[:len(text)/2],
		"text after it":     text + "{}",
		"too long":          text + strings.Repeat(" ", MaxEvidence),
		"no JSON":           "x",
		"wealth too high":   strings.Replace(text, `"clip":[`, `"clip":[1e9,`, 1),
		"too many wealths":  strings.Replace(text, `"vote":[`, `"vote":[0,`, 1),
		"bad above all":     strings.Replace(text, `"a":[1800,0`, `"a":[1800,9999`, 1),
		"latched promotion": strings.Replace(text, `"ld":`, `"out":{"verdict":"Promote","reason":"","ms":1},"ld":`, 1),
	} {
		if broken == text {
			t.Fatalf("%s: the text was not changed: %s", name, text)
		}
		if err := ev.UnmarshalText([]byte(broken)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if diff := cmp.Diff(string(texts(t, kept)), string(texts(t, ev))); diff != "" {
		t.Errorf("a failed read changed the evidence:\n%s", diff)
	}
}

func TestJudge_neverPromotesFromOddReads(t *testing.T) {
	cfg := Default()
	for _, err := range []error{errors.New("no route"), fmt.Errorf("wrapped: %w", oddRead{})} {
		ev := Evidence{}
		var r Report
		for sec := int64(0); sec <= 300; sec += 5 {
			m := moment(sec)
			ev, r = Judge(cfg, ev, Collect(cfg, ev, m, []Read{{Metric: "errors", Err: err}}))
			if r.Verdict == Promote || r.Verdict == Rollback {
				t.Fatalf("after %d s of %v: %s", sec, err, r.Verdict)
			}
		}
		if r.Verdict != Blind || r.Blind < 4*time.Minute {
			t.Errorf("%v: %s for %v", err, r.Verdict, r.Blind)
		}
	}
}

type oddRead struct{}

func (oddRead) Error() string       { return "odd" }
func (oddRead) BlindReason() Reason { return NotFinite }

func TestCollect_fullStoryFromSamples(t *testing.T) {
	cfg := Default()
	cfg.Criteria[0].Warmup = 10 * time.Second
	cfg.Bake = time.Minute
	for name, r := range map[string]struct {
		bad     uint64 // of ten canary requests
		verdict Verdict
		reason  Reason
		before  int64 // s
	}{
		"good":     {0, Promote, NonInferior, 130},
		"bad":      {3, Rollback, RegressionDetected, 60},
		"terrible": {10, Rollback, HardFail, 12},
	} {
		canary := Series{Target: "gw", Arm: Canary, Role: Total}
		bad := Series{Target: "gw", Arm: Canary, Role: Bad}
		stable := Series{Target: "gw", Arm: Stable, Role: Total}
		for sec := int64(-60); sec <= 300; sec++ {
			ts := base + sec*1000 + 300
			stable.Points = append(stable.Points, Point{T: ts, V: float64(1000 + 60*(sec+60))})
			canary.Points = append(canary.Points, Point{T: ts, V: float64(10 * max(sec, 0))})
			if r.bad > 0 && sec > 0 {
				bad.Points = append(bad.Points, Point{T: ts, V: float64(r.bad) * float64(sec)})
			}
		}
		var ev Evidence
		var got Report
		at := int64(0)
		for ; at <= 300 && got.Verdict != Promote && got.Verdict != Rollback; at++ {
			m := moment(at)
			if at < 3 {
				m.Settled = time.Time{}
			} else {
				m.Settled = instant(base + 3000)
			}
			ev, got, _ = look(cfg, ev, m, []Series{canary, bad, stable})
		}
		t.Logf("%s: %s (%s) after %d s: %s", name, got.Verdict, got.Reason, at, got.Message)
		assertVerdict(t, got, r.verdict, r.reason)
		if at > r.before {
			t.Errorf("%s: took %d s, want at most %d", name, at, r.before)
		}
	}
}

func TestConfig_objectiveSetsWhatIsHarmful(t *testing.T) {
	for objective, want := range map[float64]float64{0: 0.005, 0.99: 0.01, 0.999: 0.005, 0.9999: 0.0005} {
		c := Default()
		c.Objective = objective
		near(t, fmt.Sprint(objective), c.WithDefaults().Criteria[0].Harmful.Rate, want)
	}
}

func TestConfig_validate(t *testing.T) {
	if errs := Default().Validate(); len(errs) != 0 {
		t.Fatal(errs)
	}
	for name, change := range map[string]func(c *Config){
		"alpha":      func(c *Config) { c.Alpha = 0.6 },
		"beta":       func(c *Config) { c.Beta = math.NaN() },
		"objective":  func(c *Config) { c.Objective = 99.9 },
		"bake":       func(c *Config) { c.Bake = -1 },
		"twice":      func(c *Config) { c.Criteria = append(c.Criteria, c.Criteria[0]) },
		"too many":   func(c *Config) { c.Criteria = append(c.Criteria, make([]Criterion, 12)...) },
		"name":       func(c *Config) { c.Criteria[0].Name = "" },
		"rho0 low":   func(c *Config) { c.Criteria[0].Tolerance = 0.05 },
		"rho0 high":  func(c *Config) { c.Criteria[0].Tolerance = 1 },
		"rate":       func(c *Config) { c.Criteria[0].Harmful.Rate = 1 },
		"noise":      func(c *Config) { c.Criteria[0].Noise = "pink" },
		"window":     func(c *Config) { c.Criteria[0].Window = time.Millisecond },
		"warmup":     func(c *Config) { c.Criteria[0].Warmup = 2 * time.Hour },
		"share":      func(c *Config) { c.Criteria[0].Share = -1 },
		"fromStep":   func(c *Config) { c.Criteria[0].FromStep = 17 },
		"ratio":      func(c *Config) { c.Criteria[0].Ratio = &Ratio{Total: "x"} },
		"start":      func(c *Config) { c.Mixture.Start = 2 },
		"tau":        func(c *Config) { c.Mixture.Tau = 1 },
		"grid":       func(c *Config) { c.Mixture.Grid = []float64{2, 1.5} },
		"grid below": func(c *Config) { c.Mixture.Grid = []float64{0.5} },
	} {
		c := Default()
		change(&c)
		if len(c.Validate()) == 0 {
			t.Errorf("%s: accepted", name)
		}
	}
	c := Default()
	c.Criteria[0].Noise, c.Criteria[0].Tolerance = Independent, 0.05
	if errs := c.Validate(); len(errs) != 0 {
		t.Errorf("rho0 1.05 is valid with independent noise: %v", errs)
	}
}

func TestDigits_threeSignificant(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 20.0957: "20.1", 0.0420168: "0.042", 43.2976: "43.3", 1.0370: "1.04", 0.104575: "0.105",
		100: "100", 118.4: "118", 9.917: "9.92", 99.96: "100", 865: "865", 12345.6: "12346", 1e-9: "1e-09", math.Inf(1): "n/a",
	} {
		if got := Digits(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

func TestSpan_asPeopleWriteIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		212 * time.Millisecond: "212ms", 6900 * time.Millisecond: "6.9s", 5 * time.Second: "5s", 20 * time.Second: "20s",
		107 * time.Second: "1m47s", 600 * time.Second: "10m", 4266 * time.Second: "1h11m", 2 * time.Hour: "2h", 80 * time.Hour: "3d",
		70 * time.Second: "1m10s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
