package analysis

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// largest is the Config with the longest evidence: three histograms, five gates and ratios for the rest, with names as long
// as they may be.
func largest(grid int) Config {
	cfg := Config{Objective: 0.999}
	for i := range grid {
		cfg.Mixture.Grid = append(cfg.Mixture.Grid, 1.1*math.Pow(1.7, float64(i)))
	}
	cfg.Criteria = []Criterion{{Name: "errors", Required: true}, {Name: Attempts, Share: 2}}
	for i := range MaxCriteria - 2 {
		c := Criterion{Name: fmt.Sprintf("%s%02d", strings.Repeat("m", 61), i), Required: true}
		switch {
		case i < MaxHistograms:
			c.Kind = KindHistogram
		case i < MaxHistograms+2:
			c.Condition = &Condition{Query: "up", Pass: "value > 0.0"}
			c.Limits = Limits{Failures: -1, Inconclusive: maxLimit}
		}
		cfg.Criteria = append(cfg.Criteria, c)
	}
	return cfg.WithDefaults()
}

// crowded is what fills all of its evidence at that weight, second by second: large counts, no round number anywhere.
func crowded(cfg Config, weight int) (first, second Batch) {
	m := Moment{
		At: instant(base + 40_000), Step: 1, Weight: weight, Endpoints: 3, Since: instant(base), Settled: instant(base + 1),
		Traffic: CheckBoth,
	}
	first.Moment, second.Moment = m, m
	second.At = instant(base + 400_000)
	first.Bases = map[string][]Bucket{}
	var le []float64
	for i := range MaxBounds {
		le = append(le, math.Pi*math.Pow(1.09, float64(i)))
	}
	for i, c := range cfg.Criteria {
		switch c.Kind {
		case KindCondition:
			for k := range int64(5) {
				x := Measurement{Metric: c.Name, At: instant(base + 11_000 + 60_001*k), Outcome: OutcomePass, Value: math.Pi * 1e-200}
				second.Measurements = append(second.Measurements, x)
			}
			continue
		case KindHistogram:
			first.Bases[c.Name] = crowdedHour(le)
		case KindRatio:
		}
		for k := range int64(9) {
			w := window(5*(k+1), 77777777777777+uint64(k), 3333333333333+uint64(i), 555555555555555, 11111111111111)
			w.Metric = c.Name
			if c.Kind == KindHistogram {
				w.Le = le
				for j := range le {
					w.Canary.Le = append(w.Canary.Le, w.Canary.N/uint64(len(le)+1)*uint64(j+1))
					w.Stable.Le = append(w.Stable.Le, w.Stable.N/uint64(len(le)+1)*uint64(j+1))
				}
			}
			second.Windows = append(second.Windows, w)
		}
		second.Gaps = append(second.Gaps, Gap{Metric: c.Name, Reason: Unauthorized})
	}
	second.Rules = []Window{second.Windows[0]}
	for sec := range int64(120) {
		w := loaded(sec+1, 1<<40, 1<<20, 1<<50, 1<<30)
		w.Endpoints = nil
		for i := range uint32(100) {
			w.Endpoints = append(w.Endpoints, Endpoint{ID: 4e9 - i*7919, N: 1 << 40, Bad: 1 << 39})
		}
		second.Loads = append(second.Loads, w)
	}
	return first, second
}

// crowdedHour gives a tail that falls so slowly that more bounds are active than are kept.
func crowdedHour(le []float64) []Bucket {
	var n []uint64
	for i := range le {
		n = append(n, uint64(len(le)+i)*1e6)
	}
	return hourOf(le, n, uint64(2*len(le))*1e6)
}

func TestEvidence_ofTheLargestConfigFits(t *testing.T) {
	for _, grid := range []int{8, maxGrid} {
		for _, weight := range []int{15, 100} {
			cfg := largest(grid)
			if errs := cfg.Validate(); len(errs) > 0 {
				t.Fatal(errs)
			}
			first, second := crowded(cfg, 15)
			ev, _ := Judge(cfg, Evidence{}, first)
			ev, r := Judge(cfg, ev, second)
			if weight == 100 { // after a step with a comparison
				second.Step, second.Weight = 2, 100
				for i := range second.Windows {
					w := &second.Windows[i]
					w.Start, w.End = w.Start.Add(time.Minute), w.End.Add(time.Minute)
				}
				ev, r = Judge(cfg, ev, second)
			}
			for _, m := range r.Metrics {
				if m.Kind == KindHistogram && len(m.Bounds.Judged) != KeptBounds {
					t.Errorf("%d bounds are judged, want %d", len(m.Bounds.Judged), KeptBounds)
				}
			}
			ev = widest(ev)
			text := texts(t, ev)
			t.Logf("a grid of %d, weight %d: %d bytes", grid, weight, len(text))
			if len(text) > MaxEvidence || bytes.ContainsRune(text, '\n') {
				t.Errorf("%d bytes, want %d at most", len(text), MaxEvidence)
			}
			var back Evidence
			if err := back.UnmarshalText(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), string(texts(t, back))); diff != "" {
				t.Errorf("(-written +read):\n%s", diff)
			}
			third := Batch{Moment: second.Moment}
			third.At = third.At.Add(time.Second)
			_, kept := Judge(cfg, ev, third)
			_, read := Judge(cfg, back, third)
			if diff := cmp.Diff(kept, read); diff != "" {
				t.Errorf("report (-kept +read):\n%s", diff)
			}
		}
	}
}

// While bounds are not chosen, three baselines of 64 bounds are kept in their place.
func TestEvidence_ofThreeBaselinesFits(t *testing.T) {
	cfg := largest(maxGrid)
	first, _ := crowded(cfg, 15)
	ev, _ := Judge(cfg, Evidence{}, first)
	text := texts(t, ev)
	if !bytes.Contains(text, []byte(`"base":{`)) {
		t.Errorf("no baseline in %s", text)
	}
	var back Evidence
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(texts(t, back))); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// widest puts numbers of full length wherever there is one.
func widest(ev Evidence) Evidence {
	ev = ev.clone()
	counts := [4]uint64{1<<53 - 1, 1<<53 - 2, 1<<53 - 1, 1<<53 - 2}
	for name, m := range ev.metrics {
		for i, pot := range [][]logw{m.Clip, m.Vote, m.Relative, m.Absolute} {
			for k := range pot {
				pot[k] = logw(-12345.678901234567 - float64(i*1000+k)/7)
			}
		}
		if len(m.Clip) > 0 {
			m.Attempt, m.Step = counts, counts
			m.Recent = [4]float64{math.Pi * 1e14, math.Pi * 1e13, math.Pi * 1e15, math.Pi * 1e12}
			m.Reserve, m.Sup, m.Elapsed, m.Observed = -123.45678901234567, 345.67890123456789, math.Pi*1e5, math.E*1e5
		}
		m.Gap, m.Heard = &gap{Reason: NoCanaryTraffic, Since: 1_800_000_000_000}, true
		ev.metrics[name] = m
	}
	return ev
}

// A bound that was taken out by hand shows only against the Config: the attempt is then judged afresh.
func TestJudge_evidenceWithABoundLessIsNotUsed(t *testing.T) {
	cfg := latencyOnly()
	ev, _ := Judge(cfg, Evidence{}, Batch{Moment: moment(20), Bases: stableHour(),
		Windows: []Window{timed(20, [4]uint64{1, 2, 3, 3}, [4]uint64{100, 200, 300, 300})}})
	bad := ev.clone()
	m := bad.metrics["latency"]
	m.Le, m.Fast, m.Promotion = m.Le[1:], m.Fast[1:], 0
	bad.metrics["latency"] = m
	if _, r := Judge(cfg, bad, Batch{Moment: moment(30)}); !r.Reset {
		t.Error("it was used")
	}
	if _, r := Judge(cfg, ev, Batch{Moment: moment(30)}); r.Reset {
		t.Error("the untouched one was not")
	}
}

func TestEvidence_refusesHistogramsAndGatesThatNoJudgeWrote(t *testing.T) {
	cfg := latencyOnly()
	cfg.Criteria = append(cfg.Criteria, gated(Limits{Failures: -1}).Criteria[1])
	cfg = cfg.WithDefaults()
	b := Batch{Moment: moment(200), Bases: stableHour(), Measurements: outcomes("PPF", Limits{})}
	b.Windows = []Window{timed(20, [4]uint64{1, 2, 3, 3}, [4]uint64{100, 200, 300, 300})}
	chosen, _ := Judge(cfg, Evidence{}, b)
	b.Bases = nil
	gathering, _ := Judge(cfg, Evidence{}, b)
	for _, ev := range []Evidence{chosen, gathering} {
		if err := new(Evidence).UnmarshalText(texts(t, ev)); err != nil {
			t.Fatal(err)
		}
	}
	for name, r := range map[string]struct {
		ev     Evidence
		metric string
		spoil  func(*metricState)
	}{
		"bounds that fall":             {chosen, "latency", func(m *metricState) { m.Le[0], m.Le[1] = m.Le[1], m.Le[0] }},
		"a bound twice":                {chosen, "latency", func(m *metricState) { m.Le[0] = m.Le[1] }},
		"a bound more":                 {chosen, "latency", func(m *metricState) { m.Le = append(m.Le, 1e9) }},
		"flags missing":                {chosen, "latency", func(m *metricState) { m.Fast = nil }},
		"no such promotion bound":      {chosen, "latency", func(m *metricState) { m.Promotion = len(m.Le) }},
		"one below the first":          {chosen, "latency", func(m *metricState) { m.Promotion = -1 }},
		"a baseline once chosen":       {chosen, "latency", func(m *metricState) { m.Base = &baseline{Poor: true} }},
		"wealth of a stream missing":   {chosen, "latency", func(m *metricState) { m.Clip = m.Clip[1:] }},
		"votes of a stream missing":    {chosen, "latency", func(m *metricState) { m.Vote = m.Vote[8:] }},
		"too much wealth":              {chosen, "latency", func(m *metricState) { m.Vote[9] = 461 }},
		"gates in a histogram":         {chosen, "latency", func(m *metricState) { m.Pass = 3 }},
		"a baseline that falls":        {gathering, "latency", func(m *metricState) { m.Base.N[1] = 0 }},
		"more within than there are":   {gathering, "latency", func(m *metricState) { m.Base.N[2] = m.Base.All + 1 }},
		"a baseline's bounds fall":     {gathering, "latency", func(m *metricState) { m.Base.Le[2] = 1 }},
		"half a baseline":              {gathering, "latency", func(m *metricState) { m.Base.N = m.Base.N[1:] }},
		"an hour with too few":         {gathering, "latency", func(m *metricState) { m.Base.Hour = true }},
		"an hour that is poor":         {gathering, "latency", func(m *metricState) { m.Base.Hour, m.Base.Poor, m.Base.All = true, true, 5000 }},
		"a baseline that is enough":    {gathering, "latency", func(m *metricState) { m.Base.All = enoughStable }},
		"a promotion bound of nothing": {gathering, "latency", func(m *metricState) { m.Promotion = 1 }},
		"passes below none":            {chosen, "queue", func(m *metricState) { m.Pass = -1 }},
		"fails below none":             {chosen, "queue", func(m *metricState) { m.Fail = -1 }},
		"unsure ones below none":       {chosen, "queue", func(m *metricState) { m.Unsure = -1 }},
		"errors below none":            {chosen, "queue", func(m *metricState) { m.Errors = -1 }},
		"passes in a row below none":   {chosen, "queue", func(m *metricState) { m.Passes = -1 }},
		"more in a row than in all":    {chosen, "queue", func(m *metricState) { m.Passes = 3 }},
		"an outcome of no kind":        {chosen, "queue", func(m *metricState) { m.Last.Outcome = "Maybe" }},
		"no outcome":                   {chosen, "queue", func(m *metricState) { m.Last.Outcome = "" }},
		"counts without a measurement": {chosen, "queue", func(m *metricState) { m.Last = nil }},
		"a last pass never counted":    {chosen, "queue", func(m *metricState) { m.Last.Outcome, m.Pass = OutcomePass, 0 }},
		"an error never counted":       {chosen, "queue", func(m *metricState) { m.Last.Outcome = OutcomeError }},
		"a next before all time":       {chosen, "queue", func(m *metricState) { m.Next = -1 }},
		"done, and measured again":     {chosen, "queue", func(m *metricState) { m.Done = true }},
		"requests of a gate":           {chosen, "queue", func(m *metricState) { m.Attempt[0] = 1 }},
		"safety of a gate":             {chosen, "queue", func(m *metricState) { m.Cleared = true }},
		"bounds of a gate":             {chosen, "queue", func(m *metricState) { m.Base = &baseline{Poor: true} }},
	} {
		bad := r.ev.clone()
		m := bad.metrics[r.metric]
		r.spoil(&m)
		bad.metrics[r.metric] = m
		text, err := bad.MarshalText()
		if err != nil {
			t.Fatal(name, err)
		}
		if err := new(Evidence).UnmarshalText(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
