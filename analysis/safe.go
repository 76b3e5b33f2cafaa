package analysis

import "math"

// maxNeeded is the most requests that Needed promises; beyond it the answer is "not at this rate".
const maxNeeded = 1_000_000_000

// safeState is the evidence, in this step, that the canary is not harmful.
type safeState struct {
	Relative []logw `json:"rel"` // it is not Harmful.Ratio times as bad as stable
	Absolute []logw `json:"abs"` // its bad share is below Harmful.Rate
	Cleared  bool   `json:"clr,omitempty"`
}

func newSafe() safeState { return safeState{Relative: make([]logw, 3), Absolute: make([]logw, 3)} }

// ratios and rates are the alternatives that evidence of safety bets on.
func (h Harmful) ratios() [3]float64 {
	return [3]float64{0.5 * h.Ratio, 0.25 * h.Ratio, 0.05 * h.Ratio}
}
func (h Harmful) rates() [3]float64 { return [3]float64{0.5 * h.Rate, 0.2 * h.Rate, 0} }

func (s *safeState) fold(w Window, c Criterion, beta float64) {
	for i, rho := range c.Harmful.ratios() {
		s.Relative[i] = logw(keep(float64(s.Relative[i]) + LogFactor(w.Canary, w.Stable, rho, c.Harmful.Ratio)))
	}
	for i, p := range c.Harmful.rates() {
		s.Absolute[i] = logw(keep(float64(s.Absolute[i]) + logRate(w.Canary, p, c.Harmful.Rate)))
	}
	s.Cleared = s.Cleared || s.logE() >= -math.Log(beta)
}

// logE is ln of the evidence of safety.
func (s *safeState) logE() float64 {
	values := make([]float64, 0, 6)
	for i := range s.Relative {
		values = append(values, float64(s.Relative[i]), float64(s.Absolute[i]))
	}
	return logSum(values...) - math.Log(6)
}

// needed is how many more canary requests bring the evidence of safety to 1/beta if things go on as they are: bad
// share p in both arms, perCanary stable requests for each of the canary's. -1: never, or not within maxNeeded.
func (s *safeState) needed(c Criterion, beta, p, perCanary float64) int64 {
	if s.Cleared {
		return 0
	}
	gains := c.gains(p, perCanary)
	reaches := func(n int64) bool {
		values := make([]float64, 0, 6)
		for i := range 3 {
			values = append(values, grown(s.Relative[i], gains[i], n), grown(s.Absolute[i], gains[3+i], n))
		}
		return logSum(values...)-math.Log(6) >= -math.Log(beta)
	}
	if !reaches(maxNeeded) {
		return -1
	}
	// The evidence is convex in n and starts below its aim, so it crosses once: not before one of its parts is there, and
	// surely once one of them is six times that far.
	low, high := int64(0), int64(maxNeeded)
	for i := range 3 {
		for _, part := range [2][2]float64{{float64(s.Relative[i]), gains[i]}, {float64(s.Absolute[i]), gains[3+i]}} {
			if n := (math.Log(6/beta) - part[0]) / part[1]; part[1] > 0 && n+2 < float64(high) && reaches(int64(n)+1) {
				high = int64(n) + 1
			}
		}
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; reaches(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

func grown(w logw, gain float64, n int64) float64 {
	if math.IsInf(gain, -1) && n == 0 {
		return float64(w)
	}
	return float64(w) + gain*float64(n)
}

// gains are the expected log gains per canary request: three of the ratios, three of the rates.
func (c Criterion) gains(p, perCanary float64) [6]float64 {
	var gains [6]float64
	for i, rho := range c.Harmful.ratios() {
		spread := math.Log((rho + perCanary) / (c.Harmful.Ratio + perCanary))
		if perCanary > 0 {
			gains[i] = p*math.Log(rho/c.Harmful.Ratio) - p*(1+perCanary)*spread
		}
	}
	for i, q := range c.Harmful.rates() {
		if p > 0 {
			gains[3+i] += p * math.Log(q/c.Harmful.Rate)
		}
		if p < 1 {
			gains[3+i] += (1 - p) * (math.Log1p(-q) - math.Log1p(-c.Harmful.Rate))
		}
	}
	return gains
}

// Needed is how many canary requests a step needs from its start until the criterion is cleared, when both arms
// have the given bad share and stable gets stablePerCanary requests for each of the canary's. -1: not at this rate.
func Needed(c Criterion, beta, badShare, stablePerCanary float64) int64 {
	s := newSafe()
	return s.needed(c.withDefaults(0), beta, badShare, stablePerCanary)
}
