package analysis

import (
	"fmt"
	"math"
	"testing"
)

// digits compares to so many digits after the point as the published number has.
func digits(t *testing.T, what string, got, want float64, after int) {
	t.Helper()
	if !(math.Abs(got-want) <= 0.5000001*math.Pow10(-after)) {
		t.Errorf("%s: got %.*f, want %.*f", what, after+3, got, after, want)
	}
}

// sums are what an experiment platform publishes of one arm: of a value per subject its sum, the sum of its squares,
// and the subjects.
type sums struct{ sum, squares, n float64 }

func (s sums) mean() float64 { return s.sum / s.n }

// ofMean is the variance of the mean.
func (s sums) ofMean() float64 {
	return (s.squares - s.sum*s.sum/s.n) / (s.n - 1) / s.n
}

// A published example of the asymptotic interval, from its sums on: the relative effect, its standard error by the delta
// method, and the interval that is tightest at 1000 subjects.
func TestAsymptotic_matchesPublishedExample(t *testing.T) {
	control, treated := sums{1396.87, 52377.9767, 3000}, sums{2422.7, 134698.29, 3461}
	effect := treated.mean()/control.mean() - 1
	ratio := treated.mean() / control.mean()
	se := math.Sqrt(treated.ofMean()+ratio*ratio*control.ofMean()) / control.mean()
	half := asymptotic(se, control.n+treated.n, 1000, 0.05)
	digits(t, "relative effect", effect, 0.50336, 5)
	digits(t, "standard error", se, 0.33341, 5)
	digits(t, "low end", effect-half, -0.55844, 5)
	digits(t, "high end", effect+half, 1.56516, 5)
}

// logConditional is ln of the chance of xc bad canary requests among all bad ones, given how many those are, under odds
// theta of the canary: the noncentral hypergeometric. It is an oracle of these tests and decides nothing.
func logConditional(c, s Counts, theta float64) float64 {
	choose := func(n, k uint64) float64 {
		ln, _ := math.Lgamma(float64(n + 1))
		lk, _ := math.Lgamma(float64(k + 1))
		lr, _ := math.Lgamma(float64(n - k + 1))
		return ln - lk - lr
	}
	bad := c.Bad + s.Bad
	var all []float64
	for k := range bad + 1 {
		if k <= c.N && bad-k <= s.N {
			all = append(all, choose(c.N, k)+choose(s.N, bad-k)+float64(k)*math.Log(theta))
		}
	}
	return choose(c.N, c.Bad) + choose(s.N, s.Bad) + float64(c.Bad)*math.Log(theta) - logSum(all...)
}

func TestOracle_matchesPublishedLikelihoodRatios(t *testing.T) {
	control, treated := []uint64{5, 4, 3, 3, 2, 1}, []uint64{5, 5, 4, 2, 2, 0}
	ofControl, ofTreated := []uint64{1, 1, 0, 1, 0, 1}, []uint64{0, 0, 1, 0, 1, 0}
	product := func(theta float64) float64 {
		var sum float64
		for i := range control {
			c, s := cs(treated[i], ofTreated[i], control[i], ofControl[i])
			sum += logConditional(c, s, theta) - logConditional(c, s, 1)
		}
		return math.Exp(sum)
	}
	less, more := product(0.7), product(1/0.7)
	digits(t, "odds 0.7", less, 1.116161, 6)
	digits(t, "odds 1/0.7", more, 0.7665818, 7)
	digits(t, "mean", (less+more)/2, 0.9413714, 7)

	c, s := cs(75, 4, 425, 1)
	digits(t, "own", logConditional(c, s, 10)-logConditional(c, s, 1.25), 4.26717411901, 11)
}

// The factor of a window stands for the conditional one where failures are rare: the oracle says how near it is.
func TestLogFactor_isTheConditionalOneForRareFailures(t *testing.T) {
	for _, n := range [][4]uint64{{75_000_000, 4, 425_000_000, 1}, {15_000_000, 0, 85_000_000, 3}, {50_000_000, 3, 50_000_000, 1}} {
		c, s := cs(n[0], n[1], n[2], n[3])
		want := logConditional(c, s, 10) - logConditional(c, s, 1.25)
		if got := LogFactor(c, s, 10, 1.25); math.Abs(got-want) > 1e-5 {
			t.Errorf("%v: %v, conditional %v", n, got, want)
		}
	}
}

// What the judge says window by window on the reference path, in both kinds of noise.
func TestJudge_sayWhenOnReferencePath(t *testing.T) {
	windows := path()
	m := Moment{At: windows[6].End, Step: 1, Weight: 15, Settled: windows[0].Start}
	for _, r := range []struct {
		noise   Noise
		windows int
		verdict Verdict
		reason  Reason
		logE    float64
	}{
		{Bursty, 5, Inconclusive, NeedsRequests, math.Log(4.603489236)},
		{Bursty, 6, Inconclusive, Suspicious, math.Log(15.26134209)},
		{Bursty, 7, Inconclusive, Suspicious, math.Log(59.62763184)},
		{Independent, 5, Inconclusive, Suspicious, math.Log(55.25716425)},
		{Independent, 6, Rollback, RegressionDetected, 6.760152325},
		{Independent, 7, Rollback, RegressionDetected, 12.69891825},
	} {
		cfg := Default()
		cfg.Criteria[0].Noise = r.noise
		_, got := judged(cfg, m, windows[:r.windows]...)
		assertVerdict(t, got, r.verdict, r.reason)
		near(t, fmt.Sprint(r.noise, " after ", r.windows), got.LogE, r.logE)
		if r.windows == 7 {
			near(t, "evidence of safety", math.Exp(got.Metrics[0].Safe.LogE), 0.0004398578433)
			if needed := got.Metrics[0].Safe.Needed; needed != -1 {
				t.Errorf("%s: needed %d, want -1", r.noise, needed)
			}
		}
	}
}
