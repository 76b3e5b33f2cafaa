package analysis

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Bounds of a log wealth. Beyond them nothing more is learned, and inside them no sum overflows.
const (
	lowest  = -1e5
	highest = 460
)

// LogFactor is ln e(rho) of one window: the likelihood ratio of "the canary's bad share is rho times stable's"
// against "it is rho0 times", given how many of both together were bad. 0 where an arm has no request.
func LogFactor(canary, stable Counts, rho, rho0 float64) float64 {
	return factorsOf(canary, stable, rho, rho0).whole()
}

// factors is what the factors of one window for one ratio are made of.
type factors struct {
	xc, xs float64 // bad requests
	gain   float64 // ln(rho/rho0)
	spread float64 // ln[(rho n_c + n_s)/(rho0 n_c + n_s)]
}

// factorsOf are those of a window. Where an arm has no request, all of them are 0.
func factorsOf(canary, stable Counts, rho, rho0 float64) factors {
	if canary.N == 0 || stable.N == 0 {
		return factors{}
	}
	nc, ns := float64(canary.N), float64(stable.N)
	return factors{
		xc: float64(canary.Bad), xs: float64(stable.Bad),
		gain: math.Log(rho / rho0), spread: math.Log((rho*nc + ns) / (rho0*nc + ns)),
	}
}

// whole is ln of the factor of all bad requests.
func (f factors) whole() float64 { return f.xc*f.gain - (f.xc+f.xs)*f.spread }

// clipped is whole, but at most the factor of a single bad canary request: what a burst inside the window can add at most.
func (f factors) clipped() float64 { return min(f.whole(), f.gain-f.spread) }

// voted is the factor of a window that votes: its vote stands for all its bad requests.
func (f factors) voted(against bool) float64 {
	switch {
	case f.xc+f.xs == 0:
		return 0
	case against:
		return f.gain - f.spread
	default:
		return -f.spread
	}
}

// Vote says whether a window as a whole speaks against the canary, and the p value it went by: the chance of at
// least that many of the bad requests being the canary's. A window without bad requests does not vote; p is 1.
func Vote(canary, stable Counts, rho0 float64) (against bool, p float64) {
	if canary.N == 0 || stable.N == 0 || canary.Bad == 0 {
		return false, 1
	}
	nc, ns := float64(canary.N), float64(stable.N)
	xc, xs := float64(canary.Bad), float64(stable.Bad)
	theta := rho0 * nc / (rho0*nc + ns)
	p = mathext.RegIncBeta(xc, xs+1, theta)
	// The slack settles ties; the last condition keeps the chance of a vote at most theta for common events.
	return p <= theta*(1+1e-9) && xc*ns > rho0*xs*nc, p
}

// logRate is the log likelihood ratio of a bad share p against q for one arm, 0^0 being 1.
func logRate(c Counts, p, q float64) float64 {
	var sum float64
	if c.Bad > 0 {
		sum += float64(c.Bad) * math.Log(p/q)
	}
	if good := c.N - c.Bad; good > 0 {
		sum += float64(good) * (math.Log1p(-p) - math.Log1p(-q))
	}
	return sum
}

// logSum is ln of the sum of exp over all values.
func logSum(values ...float64) float64 {
	top := math.Inf(-1)
	for _, v := range values {
		top = max(top, v)
	}
	if math.IsInf(top, -1) {
		return top
	}
	var sum float64
	for _, v := range values {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// logAdd is logSum of two.
func logAdd(a, b float64) float64 {
	low, top := min(a, b), max(a, b)
	if math.IsInf(top, -1) {
		return top
	}
	return top + math.Log(1+math.Exp(low-top))
}

// keep holds a log wealth inside its bounds; a wealth of zero stays zero.
func keep(v float64) float64 {
	if math.IsInf(v, -1) {
		return v
	}
	return min(max(v, lowest), highest)
}
