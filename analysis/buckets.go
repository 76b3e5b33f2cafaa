package analysis

import (
	"maps"
	"math"
	"slices"
)

// all reports that the series counts requests, whatever became of them.
func (s Series) all() bool { return s.Role == Total || (s.Role == Within && math.IsInf(s.Le, 1)) }

// buckets are the increments of one arm by bound, the one of all events included. A bound can be used where it was seen
// beside each increment of all events: else a target that does not count by it would be missing in its sum.
type buckets map[float64]bucket

type bucket struct {
	sum  float64
	seen int // increments
}

func (b *buckets) add(inc increment) {
	if *b == nil {
		*b = buckets{}
	}
	had := (*b)[inc.le]
	(*b)[inc.le] = bucket{sum: had.sum + inc.by, seen: had.seen + 1}
}

// whole are the rising finite bounds that can be used.
func (b buckets) whole() []float64 {
	all := b[math.Inf(1)].seen
	var bounds []float64
	for _, le := range slices.Sorted(maps.Keys(b)) {
		if !math.IsInf(le, 1) && b[le].seen == all {
			bounds = append(bounds, le)
		}
	}
	return bounds
}

// cumulative are the counts at the bounds: rising, and at most all.
func (b buckets) cumulative(bounds []float64, all uint64) []uint64 {
	counts := make([]uint64, 0, len(bounds))
	last := uint64(0)
	for _, le := range bounds {
		last = max(last, min(uint64(math.Round(min(b[le].sum, 1<<53))), all))
		counts = append(counts, last)
	}
	return counts
}

// bound counts both arms of a window by the bounds that they have in common, and gives these. An arm without a request
// has none to differ in.
func (o *open) bound(w *Window) []float64 {
	var bounds []float64
	switch canary, stable := o.canary.within, o.stable.within; {
	case canary == nil && stable == nil:
		return nil
	case stable == nil:
		bounds = canary.whole()
	case canary == nil:
		bounds = stable.whole()
	default:
		bounds = shared(canary.whole(), stable.whole())
	}
	w.Canary.Le = o.canary.within.cumulative(bounds, w.Canary.N)
	w.Stable.Le = o.stable.within.cumulative(bounds, w.Stable.N)
	return bounds
}

// shared are the bounds of both; each rises.
func shared(a, b []float64) []float64 {
	out := []float64{}
	for _, le := range a {
		if _, found := slices.BinarySearch(b, le); found {
			out = append(out, le)
		}
	}
	return out
}

// common are the finite bounds that all targets count both arms by; nil where nothing is counted by bounds.
func common(targets []target) []float64 {
	arms := map[Arm]buckets{}
	for _, t := range targets {
		for _, s := range t.series {
			if s.Role != Within {
				continue
			}
			b := arms[s.Arm]
			b.add(increment{role: s.Role, le: s.Le})
			arms[s.Arm] = b
		}
	}
	var out []float64
	for i, arm := range slices.Sorted(maps.Keys(arms)) {
		if bounds := arms[arm].whole(); i == 0 {
			out = append([]float64{}, bounds...)
		} else {
			out = shared(out, bounds)
		}
	}
	return out
}

// sane holds a window's counts to what counts can be, and gives up bounds that are none. Nothing that was given away is
// changed.
func (w Window) sane() Window {
	if !rising(w.Le) || len(w.Canary.Le) != len(w.Le) || len(w.Stable.Le) != len(w.Le) {
		w.Le, w.Canary.Le, w.Stable.Le = nil, nil, nil
	}
	for _, c := range []*Counts{&w.Canary, &w.Stable} {
		c.N = min(c.N, 1<<53)
		c.Bad = min(c.Bad, c.N)
		c.Le = slices.Clone(c.Le)
		last := uint64(0)
		for i, n := range c.Le {
			last = max(last, min(n, c.N))
			c.Le[i] = last
		}
	}
	return w
}
