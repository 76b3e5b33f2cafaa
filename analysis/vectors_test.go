package analysis

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// near compares to the digits that the reference values give.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 2e-9*max(1, math.Abs(want)) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func cs(nc, xc, ns, xs uint64) (Counts, Counts) {
	return Counts{N: nc, Bad: xc}, Counts{N: ns, Bad: xs}
}

func TestLogFactor_matchesReference(t *testing.T) {
	for _, r := range []struct {
		nc, xc, ns, xs  uint64
		rho, rho0, want float64
	}{
		{15, 2, 85, 1, 3, 1, 1.41013178393},
		{75, 4, 425, 0, 10, 1.25, 5.04736074659},
		{50, 3, 50, 1, 2.5, 1.25, 0.312110532564},
		{15, 0, 85, 3, 6, 1, -1.67884736381},
		{150, 75, 850, 1, 100, 1.25, 121.448977533},
	} {
		c, s := cs(r.nc, r.xc, r.ns, r.xs)
		near(t, fmt.Sprint(r), LogFactor(c, s, r.rho, r.rho0), r.want)
	}
	if got := LogFactor(Counts{N: 5, Bad: 5}, Counts{}, 3, 1); got != 0 {
		t.Errorf("one arm silent: got %v, want 0", got)
	}
}

func TestVote_matchesReference(t *testing.T) {
	for _, r := range []struct {
		nc, xc, ns, xs uint64
		against        bool
		p              float64
	}{
		{75, 1, 425, 0, true, 0.180722891566}, // a tie
		{75, 1, 425, 1, false, 0.328785019596},
		{75, 2, 425, 2, true, 0.151944376625},
		{75, 0, 425, 2, false, 1},
		{750, 12, 4250, 40, false, 0.219364432875},
		{75, 4, 425, 1, true, 0.00456250052457},
	} {
		c, s := cs(r.nc, r.xc, r.ns, r.xs)
		against, p := Vote(c, s, 1.25)
		if against != r.against {
			t.Errorf("%v: vote %v", r, against)
		}
		near(t, fmt.Sprint(r), p, r.p)
	}
}

// path is the reference path: seven windows of 5 s.
func path() []Window {
	at := time.Unix(1_000_000, 0).UTC()
	var windows []Window
	for _, n := range [][4]uint64{
		{75, 1, 425, 0}, {73, 0, 431, 1}, {80, 2, 420, 0}, {70, 0, 425, 0}, {77, 3, 424, 1}, {75, 2, 430, 0}, {74, 4, 426, 0},
	} {
		c, s := cs(n[0], n[1], n[2], n[3])
		windows = append(windows, Window{Metric: "errors", Start: at, End: at.Add(5 * time.Second), Canary: c, Stable: s})
		at = at.Add(5 * time.Second)
	}
	return windows
}

func TestHarm_followsReferencePath(t *testing.T) {
	mixture := Config{}.WithDefaults().Mixture
	whole := mixture
	whole.Start = 1
	pick := map[string]func(h *harmState) float64{
		"clip": (*harmState).logClip, "vote": (*harmState).logVote, "e": (*harmState).logE,
	}
	for _, r := range []struct {
		name    string
		process string
		mixture Mixture
		c       Criterion
		change  int // a weight change before this window, from 1
		want    [7]float64
	}{
		{"independent", "e", mixture, Criterion{Noise: Independent}, 0,
			[7]float64{2.038845326, 1.052401998, 4.528419138, 4.528419138, 55.25716425, 862.7736074, 327393.5529}},
		{"clip", "clip", mixture, Criterion{}, 0,
			[7]float64{2.038845326, 1.052401998, 1.85941155, 1.85941155, 4.572103774, 15.08680254, 58.65375198}},
		{"vote", "vote", mixture, Criterion{}, 0,
			[7]float64{2.038845326, 1.052401998, 1.85941155, 1.85941155, 4.634874697, 15.43588165, 60.60151171}},
		{"bursty", "e", mixture, Criterion{}, 0,
			[7]float64{2.038845326, 1.052401998, 1.85941155, 1.85941155, 4.603489236, 15.26134209, 59.62763184}},
		{"weight change", "e", mixture, Criterion{}, 5,
			[7]float64{2.038845326, 1.052401998, 1.85941155, 1.85941155, 4.68657876, 15.70518318, 61.73594000}},
		{"rho0 1, no reserve", "e", whole, Criterion{Noise: Independent, Tolerance: 1e-300}, 0,
			[7]float64{3.449371693, 1.251506302, 12.1227878, 12.1227878, 277.5265654, 6374.83191, 5137529.544}},
	} {
		c := r.c.withDefaults(0)
		h := newHarm(r.mixture, c.Noise, bounds{})
		for i, w := range path() {
			if r.change == i+1 {
				h.handOut(0.9)
			}
			h.fold(5, h.pairs(w), c, r.mixture)
			near(t, fmt.Sprintf("%s, window %d", r.name, i+1), math.Exp(pick[r.process](&h)), r.want[i])
		}
	}
}

func TestGuard_matchesReference(t *testing.T) {
	for _, r := range []struct {
		n, x            uint64
		p1, p0, logWant float64
	}{
		{100, 3, .05, .01, 0.8277467595},
		{300, 0, .002, .01, 2.41449995485},
		{20, 2, .5, .01, -4.47169719386},
	} {
		near(t, fmt.Sprint(r), logRate(Counts{N: r.n, Bad: r.x}, r.p1, r.p0), r.logWant)
	}
	mixture := Config{}.WithDefaults().Mixture
	g := newGuard(Counts{N: 600}, 0, mixture)
	if g.P0 != 0.01 {
		t.Fatalf("p0: got %v, want 0.01", g.P0)
	}
	want := []float64{0.5223606612, 0.5468368404, 0.6249110159, 1.159736249, 9.500000102, 170.3831069}
	for i, x := range []uint64{5, 10, 50, 50, 50, 50} {
		g.fold(Window{Start: time.Unix(0, 0), End: time.Unix(5, 0), Canary: Counts{N: 500, Bad: x}}, mixture)
		near(t, fmt.Sprint("window ", i+1), math.Exp(g.logE()), want[i])
	}
}

func TestGuard_toleratesWhatStableDid(t *testing.T) {
	mixture := Config{}.WithDefaults().Mixture
	for _, r := range []struct {
		stable    Counts
		objective float64
		want      float64
	}{
		{Counts{}, 0, 0.05},
		{Counts{N: 1000, Bad: 47}, 0, 0.1},
		{Counts{N: 100, Bad: 90}, 0, 0.5},
		{Counts{N: 1_000_000}, 0.999, 0.01},
		{Counts{N: 1_000_000}, 0.9999, 0.001},
	} {
		near(t, fmt.Sprint(r), newGuard(r.stable, r.objective, mixture).P0, r.want)
	}
}

func TestSafe_matchesReference(t *testing.T) {
	c := Criterion{}.withDefaults(0)
	for _, r := range []struct {
		n              [4]uint64
		rel, abs, both float64
	}{
		{[4]uint64{600, 0, 3400, 0}, 1, 11.94914242, 6.474571208},
		{[4]uint64{900, 0, 5100, 0}, 1, 45.86814336, 23.43407168},
		{[4]uint64{1500, 1, 8500, 12}, 3.113792433, 34.44539396, 18.7795932},
		{[4]uint64{3000, 3, 17000, 40}, 86.26550494, 521.5056571, 303.885581},
	} {
		s := newSafe()
		canary, stable := cs(r.n[0], r.n[1], r.n[2], r.n[3])
		s.fold(Window{Canary: canary, Stable: stable}, c, 0.05)
		mean := func(l []logw) float64 {
			return (math.Exp(float64(l[0])) + math.Exp(float64(l[1])) + math.Exp(float64(l[2]))) / 3
		}
		near(t, fmt.Sprint(r.n, " relative"), mean(s.Relative), r.rel)
		near(t, fmt.Sprint(r.n, " absolute"), mean(s.Absolute), r.abs)
		near(t, fmt.Sprint(r.n, " both"), math.Exp(s.logE()), r.both)
		if want := r.both >= 20; s.Cleared != want {
			t.Errorf("%v: cleared %v, want %v", r.n, s.Cleared, want)
		}
	}
}

func TestNeeded_matchesReference(t *testing.T) {
	c := Criterion{}.withDefaults(0)
	for _, r := range []struct {
		n     [4]uint64
		bad   float64
		per   float64
		want  int64
		wantE float64
	}{
		{[4]uint64{225, 0, 1275, 0}, 0, 1275. / 225, 640, 0},
		{[4]uint64{600, 0, 3400, 0}, 0, 3400. / 600, 265, 0},
		{[4]uint64{1500, 2, 8500, 9}, 11. / 10000, 8500. / 1500, 715, 4.82222},
	} {
		s := newSafe()
		canary, stable := cs(r.n[0], r.n[1], r.n[2], r.n[3])
		s.fold(Window{Canary: canary, Stable: stable}, c, 0.05)
		if got := s.needed(c, 0.05, r.bad, r.per); got != r.want {
			t.Errorf("%v: needs %d more, want %d", r.n, got, r.want)
		}
		if e := math.Exp(s.logE()); r.wantE > 0 && math.Abs(e-r.wantE) > 1e-5 {
			t.Errorf("%v: evidence of safety %v, want %v", r.n, e, r.wantE)
		}
	}
	for delta, want := range map[float64]int64{0.005: 865, 0.01: 432, 0.001: 4332} {
		if got := Needed(Criterion{Harmful: Harmful{Rate: delta}}, 0.05, 0, 1); got != want {
			t.Errorf("from the start at delta %v: %d, want %d", delta, got, want)
		}
	}
	if got := Needed(Criterion{}, 0.05, 0.2, 0); got != -1 {
		t.Errorf("at 20 %% bad without a stable arm: %d, want -1", got)
	}
}

func TestEstimate_matchesReference(t *testing.T) {
	for _, r := range []struct {
		n, x uint64
		want float64
	}{
		{1000, 0, 0.006997502521}, {1000, 1, 0.009974747265}, {5980, 61, 0.01611125913},
		{100, 50, 0.6617424474}, {524, 12, 0.05427771744},
	} {
		near(t, fmt.Sprint("at most ", r), atMost(Counts{N: r.n, Bad: r.x}, -math.Log(0.05)), r.want)
	}
	for _, r := range []struct {
		n    [4]uint64
		want float64
	}{
		{[4]uint64{418, 84, 2370, 1}, 43.1156826}, {[4]uint64{5980, 61, 33900, 34}, 4.629565436},
		{[4]uint64{524, 12, 2984, 2}, 3.853466034}, {[4]uint64{300, 4, 1700, 0}, 1.679977795},
	} {
		c, s := cs(r.n[0], r.n[1], r.n[2], r.n[3])
		near(t, fmt.Sprint("at least ", r), atLeast(c, s, 0.01), r.want)
	}
	// A published example of the asymptotic interval: effect 0.50336, standard error 0.33341.
	half := asymptotic(0.33341, 6461, 1000, 0.05)
	if low, high := 0.50336-half, 0.50336+half; math.Abs(low+0.55844) > 2e-4 || math.Abs(high-1.56516) > 2e-4 {
		t.Errorf("asymptotic interval: got %.5f to %.5f, want -0.55844 to 1.56516", low, high)
	}
}

func TestLogFactor_isNotExpectedToGrowUnderTheNull(t *testing.T) {
	for _, r := range []struct{ rho0, rho, ps, want float64 }{
		{1, 3, .3, 0.79338035038}, {1.25, 2.5, .3, 0.893777895782}, {1.25, 60, .1, 0.845387853041},
	} {
		near(t, fmt.Sprint(r), expected(5, 12, r.rho0*r.ps, r.ps, func(c, s Counts) float64 {
			return math.Exp(LogFactor(c, s, r.rho, r.rho0))
		}), r.want)
	}
}

// expected is the mean of f over all outcomes of two binomial arms.
func expected(nc, ns uint64, pc, ps float64, f func(c, s Counts) float64) float64 {
	var sum float64
	for xc := range nc + 1 {
		for xs := range ns + 1 {
			sum += binomial(nc, xc, pc) * binomial(ns, xs, ps) * f(Counts{N: nc, Bad: xc}, Counts{N: ns, Bad: xs})
		}
	}
	return sum
}

func binomial(n, x uint64, p float64) float64 {
	ln, _ := math.Lgamma(float64(n + 1))
	lx, _ := math.Lgamma(float64(x + 1))
	lr, _ := math.Lgamma(float64(n - x + 1))
	logp := ln - lx - lr
	if x > 0 {
		logp += float64(x) * math.Log(p)
	}
	if x < n {
		logp += float64(n-x) * math.Log1p(-p)
	}
	return math.Exp(logp)
}

func TestEvidence_isValidByEnumeration(t *testing.T) {
	const slack = 1 + 1e-9
	for _, size := range [][2]uint64{{1, 1}, {5, 12}, {3, 17}, {12, 12}, {9, 4}} {
		for _, ps := range []float64{1e-4, 0.02, 0.1, 0.3, 0.7, 1 / 1.25} {
			for _, g := range []float64{1.2, 1.5, 2, 3, 6, 15, 60, 1000} {
				const rho0 = 1.25
				for name, f := range map[string]func(c, s Counts) float64{
					"factor": func(c, s Counts) float64 { return LogFactor(c, s, g*rho0, rho0) },
					"clip":   func(c, s Counts) float64 { return factorsOf(c, s, g*rho0, rho0).clipped() },
					"vote": func(c, s Counts) float64 {
						against, _ := Vote(c, s, rho0)
						return factorsOf(c, s, g*rho0, rho0).voted(against)
					},
				} {
					for _, harm := range []float64{1, 0.5} { // at the edge of the null, and inside it
						e := expected(size[0], size[1], harm*rho0*ps, ps, func(c, s Counts) float64 { return math.Exp(f(c, s)) })
						if !(e <= slack) {
							t.Errorf("%s at %v, p_s %v, grid %v, %v of the limit: E[e] = %.12f > 1", name, size, ps, g, harm, e)
						}
					}
				}
			}
			harmful := Criterion{}.withDefaults(0).Harmful
			for i := range 3 { // safety: the null is a canary exactly harmful
				rel := expected(size[0], size[1], 2*ps/2, ps/2, func(c, s Counts) float64 {
					return math.Exp(LogFactor(c, s, harmful.ratios()[i], harmful.Ratio))
				})
				abs := expected(size[0], size[1], harmful.Rate, ps, func(c, _ Counts) float64 {
					return math.Exp(logRate(c, harmful.rates()[i], harmful.Rate))
				})
				if !(rel <= slack) || !(abs <= slack) {
					t.Errorf("safety at %v, p_s %v, component %d: E[e] = %v and %v", size, ps, i, rel, abs)
				}
			}
		}
	}
}

func TestHardFail_needsHalfBadAndStableWell(t *testing.T) {
	for _, r := range []struct {
		n    [4]uint64
		want bool
	}{
		{[4]uint64{30, 15, 170, 16}, true}, {[4]uint64{30, 15, 170, 17}, false},
		{[4]uint64{30, 14, 170, 0}, false}, {[4]uint64{29, 29, 170, 0}, false}, {[4]uint64{30, 30, 0, 0}, true},
	} {
		c, s := cs(r.n[0], r.n[1], r.n[2], r.n[3])
		w := Window{Start: time.Unix(100, 0), End: time.Unix(105, 0), Canary: c, Stable: s}
		var three, two rulesState
		if got := three.fold(w, 3); got != r.want {
			t.Errorf("%v with 3 endpoints: %v, want %v", r.n, got, r.want)
		}
		if two.fold(w, 2) {
			t.Errorf("%v with 2 endpoints: a single window decided", r.n)
		}
		later := func(s int64) Window {
			w.Start, w.End = time.Unix(100+s, 0), time.Unix(105+s, 0)
			return w
		}
		two.fold(later(5), 2)
		if got := two.fold(later(10), 2); got != r.want {
			t.Errorf("%v, three windows with 2 endpoints: %v, want %v", r.n, got, r.want)
		}
	}
}
