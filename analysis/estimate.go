package analysis

import "math"

// atLeast is the smallest ratio of bad shares that the counts leave open at level alpha, any time; 0 without a
// bad canary request.
func atLeast(canary, stable Counts, alpha float64) float64 {
	if canary.Bad == 0 || canary.N == 0 || stable.N == 0 {
		return 0
	}
	xc, xs := float64(canary.Bad), float64(stable.Bad)
	mixed := logBeta(xc+0.5, xs+0.5) - math.Log(math.Pi)
	over := func(logTheta float64) bool {
		return mixed-xc*logTheta-xs*math.Log1p(-math.Exp(logTheta)) > -math.Log(alpha)
	}
	low, high := math.Log(xc/(xc+xs))-2000, math.Log(xc/(xc+xs))
	for range 64 { // down to the last bit
		if mid := (low + high) / 2; over(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return math.Exp(low) / -math.Expm1(low) * float64(stable.N) / float64(canary.N)
}

// atMost is the largest bad share of an arm that its counts leave open at level beta, any time, limit being ln(1/beta); 1 without
// requests.
func atMost(c Counts, limit float64) float64 {
	if c.N == 0 {
		return 1
	}
	x, n := float64(c.Bad), float64(c.N)
	mixed := logBeta(x+0.5, n-x+0.5) - math.Log(math.Pi)
	over := func(p float64) bool {
		var likelihood float64
		if x > 0 {
			likelihood += x * math.Log(p)
		}
		if n > x {
			likelihood += (n - x) * math.Log1p(-p)
		}
		return mixed-likelihood > limit
	}
	low, high := x/n, 1.0
	for range 64 {
		if mid := (low + high) / 2; over(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

func logBeta(a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return la + lb - lab
}

// ratioOf is the ratio of bad shares; nil where stable has no bad request or an arm no request.
func ratioOf(canary, stable Counts) *float64 {
	if canary.N == 0 || stable.N == 0 || stable.Bad == 0 {
		return nil
	}
	r := float64(canary.Bad) / float64(canary.N) / (float64(stable.Bad) / float64(stable.N))
	return &r
}

// difference is the difference of bad shares with its asymptotic interval, valid at any time; nil below 100
// requests per arm, where it would mislead.
func difference(canary, stable Counts, alpha float64) *Interval {
	if canary.N < 100 || stable.N < 100 {
		return nil
	}
	nc, ns := float64(canary.N), float64(stable.N)
	pc, ps := float64(canary.Bad)/nc, float64(stable.Bad)/ns
	half := asymptotic(math.Sqrt(pc*(1-pc)/nc+ps*(1-ps)/ns), nc+ns, 5000, alpha)
	return &Interval{Value: pc - ps, Low: pc - ps - half, High: pc - ps + half}
}

// asymptotic is the half width of an asymptotic confidence sequence of level alpha after n observations, tightest
// at about tuned of them.
func asymptotic(se, n, tuned, alpha float64) float64 {
	r2 := (-2*math.Log(alpha) + math.Log(1-2*math.Log(alpha))) / tuned
	return se * math.Sqrt(2*(n*r2+1)/(n*r2)*math.Log(math.Sqrt(n*r2+1)/alpha))
}

// estimate is made of the counts of a step; logE is ln of the metric's evidence of harm.
func estimate(step Pair, logE float64, c Criterion, cfg Config) Estimate {
	least := atLeast(step.Canary, step.Stable, cfg.Alpha)
	if logE < -math.Log(cfg.Alpha) {
		least = min(least, c.rho0()) // so that text and verdict agree
	} else {
		least = max(least, c.rho0())
	}
	return Estimate{
		Ratio:      ratioOf(step.Canary, step.Stable),
		AtLeast:    least,
		Difference: difference(step.Canary, step.Stable, cfg.Alpha),
	}
}
