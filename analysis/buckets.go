package analysis

import (
	"cmp"
	"math"
	"slices"
)

// all reports that the series counts requests, whatever became of them.
func (s *Series) all() bool { return s.Role == Total || (s.Role == Within && math.IsInf(s.Le, 1)) }

// buckets are the increments of one arm by rising bound, the one of all events included. A bound can be used where it was
// seen beside each increment of all events: else a target that does not count by it would be missing in its sum.
type buckets []bucket

type bucket struct {
	le   float64
	sum  float64
	seen int // increments
}

// find is where the bound is, or belongs.
func (b buckets) find(le float64) (i int, found bool) {
	return slices.BinarySearchFunc(b, le, func(one bucket, le float64) int { return cmp.Compare(one.le, le) })
}

func (b *buckets) add(le, by float64) {
	i, found := b.find(le)
	if !found {
		if *b == nil {
			*b = make(buckets, 0, 2*KeptBounds)
		}
		*b = slices.Insert(*b, i, bucket{le: le})
	}
	one := &(*b)[i]
	one.sum += by
	one.seen++
}

// whole are the rising finite bounds that can be used.
func (b buckets) whole() []float64 {
	all := 0
	if n := len(b); n > 0 && math.IsInf(b[n-1].le, 1) {
		all = b[n-1].seen
	}
	bounds := make([]float64, 0, len(b))
	for _, one := range b {
		if !math.IsInf(one.le, 1) && one.seen == all {
			bounds = append(bounds, one.le)
		}
	}
	return bounds
}

// cumulative are the counts at the bounds: rising, and at most all.
func (b buckets) cumulative(bounds []float64, all uint64) []uint64 {
	counts := make([]uint64, 0, len(bounds))
	last := uint64(0)
	for _, le := range bounds {
		sum := 0.0
		if i, found := b.find(le); found {
			sum = b[i].sum
		}
		last = max(last, min(uint64(math.Round(min(sum, 1<<53))), all))
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
	var canary, stable buckets
	for _, t := range targets {
		for _, s := range t.series {
			switch {
			case s.Role != Within:
			case s.Arm == Canary:
				canary.add(s.Le, 0)
			default:
				stable.add(s.Le, 0)
			}
		}
	}
	switch {
	case canary == nil && stable == nil:
		return nil
	case stable == nil:
		return canary.whole()
	case canary == nil:
		return stable.whole()
	}
	return shared(canary.whole(), stable.whole())
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
