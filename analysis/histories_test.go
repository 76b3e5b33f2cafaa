package analysis

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawTimes is a random attempt of three histograms and a gate over three steps: one histogram whose hour is known, one
// whose hour is poor, one that nobody has an hour of. Now and then a window lacks a bound.
func drawTimes(rt *rapid.T) history {
	h := history{cfg: gated(Limits{
		Failures: rapid.IntRange(-1, 3).Draw(rt, "fails"), Inconclusive: rapid.IntRange(0, 3).Draw(rt, "unsure"),
		Count: rapid.IntRange(0, 9).Draw(rt, "count"), Hold: rapid.Bool().Draw(rt, "hold"), Interval: MinInterval,
	})}
	noise := rapid.SampledFrom([]Noise{Bursty, Independent}).Draw(rt, "noise")
	names := []string{"latency", "poor", "young"}
	for _, name := range names {
		c := Criterion{Name: name, Source: Source{Kind: KindHistogram}, Noise: noise, Required: name == "latency"}
		h.cfg.Criteria = append(h.cfg.Criteria, c)
	}
	h.cfg = h.cfg.WithDefaults()
	bases := stableHour()
	bases["poor"] = hourOf([]float64{10, 100, 1000}, []uint64{30, 97, 99}, 100)
	slower := rapid.Float64Range(0.7, 1).Draw(rt, "canary's share within a bound")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 6))
	for i := int64(1); i <= 24; i++ {
		m := moment(5 * i)
		m.Step = int(1 + i/10)
		m.Weight = []int{15, 50, 100}[m.Step-1]
		m.Settled = instant(base + int64(m.Step-1)*50_000)
		b := Batch{Moment: m, Bases: bases}
		for _, name := range names {
			w := timed(5*i, drawWithin(r, slower, 80), drawWithin(r, 1, 400))
			w.Metric = name
			if r.IntN(12) == 0 {
				w.Le, w.Canary.Le, w.Stable.Le = []float64{10, 100}, w.Canary.Le[:2], w.Stable.Le[:2]
			}
			b.Windows = append(b.Windows, w)
		}
		b.Windows = append(b.Windows, window(5*i, uint64(r.IntN(80)), 0, uint64(r.IntN(400)), 0))
		b.Measurements = []Measurement{{
			Metric: "queue", At: m.At, Value: r.Float64(), Reason: Timeout,
			Outcome: []Outcome{OutcomePass, OutcomePass, OutcomePass, OutcomePass, OutcomeFail, OutcomeInconclusive, OutcomeError}[r.IntN(7)],
		}}
		h.batches = append(h.batches, b)
	}
	return h
}

// drawWithin gives how many of up to n requests are within 10, 100 and 1000, and all of them.
func drawWithin(r *rand.Rand, share float64, n int) [4]uint64 {
	all := uint64(r.IntN(n))
	within := [4]uint64{3: all}
	for i, p := range []float64{0.998, 0.97, 0.31} {
		within[2-i] = draw(r, within[3-i], p*share)
	}
	return within
}

func TestJudge_histogramsAndGatesAreTheSameHoweverFed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) { drawTimes(rt).sameHoweverFed(rt) })
}

// After any window at all: a restart there changes neither what follows nor what is kept.
func TestJudge_histogramsSurviveARestartAfterAnyWindow(t *testing.T) {
	t.Parallel()
	for seed := range 12 {
		h := rapid.Custom(drawTimes).Example(seed)
		plain, other := Evidence{}, Evidence{}
		for _, b := range h.batches {
			var want, got Report
			plain, want = Judge(h.cfg, plain, b)
			other, got = Judge(h.cfg, other, b)
			text := texts(t, other)
			other = Evidence{}
			if err := other.UnmarshalText(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got) + cmp.Diff(string(texts(t, plain)), string(text)); want.Reset || diff != "" {
				t.Fatalf("seed %d, after %v (-without a restart +with):\n%s", seed, b.At, diff)
			}
		}
	}
}
