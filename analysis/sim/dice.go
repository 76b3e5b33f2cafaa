package sim

import "math"

// dice is a source of chance that depends on its seed alone, on no version of any library: four words of state,
// xoshiro256** by Blackman and Vigna.
type dice struct {
	s [4]uint64
}

// newDice fills the state from the seed by splitmix64, so that neighbouring seeds have nothing in common.
func newDice(seed uint64) *dice {
	d := &dice{}
	for i := range d.s {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		d.s[i] = z ^ z>>31
	}
	return d
}

func (d *dice) next() uint64 {
	s := &d.s
	out := s[1] * 5
	out = (out<<7 | out>>57) * 9
	t := s[1] << 17
	s[2] ^= s[0]
	s[3] ^= s[1]
	s[1] ^= s[2]
	s[0] ^= s[3]
	s[2] ^= t
	s[3] = s[3]<<45 | s[3]>>19
	return out
}

// uniform is above 0 and below 1.
func (d *dice) uniform() float64 { return (float64(d.next()>>12) + 0.5) / (1 << 52) }

// exponential has mean 1.
func (d *dice) exponential() float64 { return -math.Log(d.uniform()) }

// poisson is how many events that come independently fall where mean are expected.
func (d *dice) poisson(mean float64) uint64 {
	switch {
	case !(mean > 0):
		return 0
	case mean < 12:
		return d.few(mean)
	default:
		return d.many(min(mean, 1e9))
	}
}

// few multiplies uniforms until they fall below exp(-mean).
func (d *dice) few(mean float64) uint64 {
	limit, p := math.Exp(-mean), 1.0
	for n := uint64(0); ; n++ {
		if p *= d.uniform(); p < limit {
			return n
		}
	}
}

// many is transformed rejection with a squeeze (Hörmann 1993, PTRS).
func (d *dice) many(mean float64) uint64 {
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	logMean, inverse := math.Log(mean), 1.1239+1.1328/(b-3.4)
	right := 0.9277 - 3.6224/(b-2)
	for {
		u, v := d.uniform()-0.5, d.uniform()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= right {
			return uint64(k)
		}
		if k < 0 || (us < 0.013 && v > us) {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v)+math.Log(inverse)-math.Log(a/(us*us)+b) <= k*logMean-mean-lg {
			return uint64(k)
		}
	}
}

// binomial is how many of n come true where each does with the chance p.
func (d *dice) binomial(n uint64, p float64) uint64 {
	switch {
	case n == 0 || !(p > 0):
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - d.binomial(n, 1-p)
	case float64(n)*p < 10:
		return d.seldom(n, p)
	default:
		return d.often(n, p)
	}
}

// seldom adds up probabilities from zero on until they exceed a uniform.
func (d *dice) seldom(n uint64, p float64) uint64 {
	odds, u := p/(1-p), d.uniform()
	here := math.Exp(float64(n) * math.Log1p(-p))
	for k := uint64(0); ; k++ {
		if u -= here; u < 0 || k == n {
			return k
		}
		here *= odds * float64(n-k) / float64(k+1)
	}
}

// often is transformed rejection with a squeeze (Hörmann 1993, BTRS).
func (d *dice) often(n uint64, p float64) uint64 {
	all := float64(n)
	deviation := math.Sqrt(all * p * (1 - p))
	b := 1.15 + 2.53*deviation
	a := -0.0873 + 0.0248*b + 0.01*p
	center, right := all*p+0.5, 0.92-4.2/b
	scale, odds := (2.83+5.1/b)*deviation, math.Log(p/(1-p))
	mode := math.Floor((all + 1) * p)
	height := ways(mode, all-mode)
	for {
		u, v := d.uniform()-0.5, d.uniform()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + center)
		if k < 0 || k > all {
			continue
		}
		if us >= 0.07 && v <= right {
			return uint64(k)
		}
		if math.Log(v*scale/(a/(us*us)+b)) <= height-ways(k, all-k)+(k-mode)*odds {
			return uint64(k)
		}
	}
}

// ways is ln of j! times k!.
func ways(j, k float64) float64 {
	a, _ := math.Lgamma(j + 1)
	b, _ := math.Lgamma(k + 1)
	return a + b
}
