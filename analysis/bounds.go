package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// enoughStable is how many of stable's requests it takes to choose bounds by.
const enoughStable = 1000

// bounds are those of a histogram that are judged. Each is a stream of its own: "slower than the bound", or, where
// nearly all of stable's requests are, "not within the bound".
type bounds struct {
	Le        []float64 `json:"le,omitempty"`   // rising, in ms; none: not chosen yet, or no histogram
	Fast      []bool    `json:"f,omitempty"`    // of each: it is about the requests within it
	Promotion int       `json:"p,omitempty"`    // index of the one that promotion goes by
	Base      *baseline `json:"base,omitempty"` // what they will be chosen by
}

// baseline is what stable's requests looked like.
type baseline struct {
	Le   []float64 `json:"le,omitempty"`   // rising, in ms
	N    []uint64  `json:"n,omitempty"`    // requests within each
	All  uint64    `json:"all,omitempty"`  // requests
	Hour bool      `json:"hour,omitempty"` // they are of the hour before, not of the attempt
	Poor bool      `json:"poor,omitempty"` // that hour was read and held too few
}

// chosen reports that there are bounds to judge by.
func (b *bounds) chosen() bool { return len(b.Le) > 0 }

// gathering reports that stable's windows are being gathered to choose by.
func (b *bounds) gathering() bool {
	return !b.chosen() && b.Base != nil && !b.Base.Hour && b.Base.All > 0
}

// streams is how many comparisons there are: one, or one for each bound.
func (b *bounds) streams() int { return max(1, len(b.Le)) }

// hour takes in stable's hour, unless the bounds are chosen or it is known. It needs enough requests to choose by.
func (b *bounds) hour(read []Bucket) {
	if b.chosen() || (b.Base != nil && (b.Base.Hour || b.Base.Poor)) || len(read) == 0 {
		return
	}
	base := baseline{Hour: true}
	for i, r := range read {
		if math.IsNaN(r.Le) || math.IsNaN(r.N) || r.N < 0 || (i > 0 && (r.Le <= read[i-1].Le || r.N < read[i-1].N)) {
			return // not a histogram
		}
		n := uint64(math.Round(min(r.N, 1<<53)))
		if math.IsInf(r.Le, 1) {
			base.All = n
			break
		}
		base.Le, base.N = append(base.Le, r.Le), append(base.N, n)
	}
	if base.All < enoughStable {
		if b.Base == nil {
			b.Base = &baseline{}
		}
		b.Base.Poor = true
		return
	}
	if len(base.Le) > 0 && len(base.Le) <= MaxBounds {
		b.Base = &base
	}
}

// settle chooses the bounds if what is known suffices, and reports whether the window can be judged by them: it cannot
// where it had to help to choose. Only bounds that both arms count by are taken.
func (b *bounds) settle(w Window) bool {
	if len(w.Le) == 0 || len(w.Le) > MaxBounds {
		return false
	}
	if b.Base != nil && b.Base.Hour {
		if own := b.Base.by(w.Le); len(own.Le) > 0 {
			b.choose(own)
			return true
		}
		b.Base = &baseline{Poor: true} // stable counts by other bounds now
	}
	sum := baseline{Le: slices.Clone(w.Le), N: slices.Clone(w.Stable.Le), All: w.Stable.N}
	if b.Base != nil {
		sum.Poor = b.Base.Poor
		if had := b.Base.by(w.Le); b.Base.All > 0 && len(had.Le) > 0 {
			sum = sum.by(had.Le)
			for i, n := range had.N {
				sum.N[i] += n
			}
			sum.All += had.All
		}
	}
	b.Base = &sum
	if sum.All >= enoughStable {
		b.choose(sum)
	}
	return false
}

// by is the baseline at those of its bounds that are among these.
func (b baseline) by(le []float64) baseline {
	out := b
	out.Le, out.N = nil, nil
	for i, bound := range b.Le {
		if _, found := slices.BinarySearch(le, bound); found {
			out.Le, out.N = append(out.Le, bound), append(out.N, b.N[i])
		}
	}
	return out
}

// choose keeps the bounds at which a change would show: stable's share beyond is 0.05 % to 50 %, or else its share
// within is 5 % to 50 %. Of more than eight, eight are kept, evenly. The promotion bound is always kept.
func (b *bounds) choose(base baseline) {
	promotion, active := base.promotion(), base.active()
	kept := active
	if m := len(active); m > KeptBounds {
		kept = nil
		for i := range KeptBounds {
			kept = append(kept, active[(2*i*(m-1)+KeptBounds-1)/(2*(KeptBounds-1))])
		}
	}
	if !slices.Contains(kept, promotion) {
		if len(kept) == KeptBounds {
			kept = without(kept, promotion)
		}
		kept = append(kept, promotion)
		slices.Sort(kept)
	}
	*b = bounds{Promotion: slices.Index(kept, promotion)}
	for _, i := range kept {
		b.Le = append(b.Le, base.Le[i])
		b.Fast = append(b.Fast, !base.slow(i) && base.fast(i))
	}
}

// without drops the element that is nearest to n.
func without(kept []int, n int) []int {
	nearest := 0
	for i, k := range kept {
		if distance(k, n) < distance(kept[nearest], n) {
			nearest = i
		}
	}
	return slices.Delete(slices.Clone(kept), nearest, nearest+1)
}

func distance(a, b int) int { return max(a-b, b-a) }

// slow reports that stable's share beyond the bound is 0.05 % to 50 %.
func (b baseline) slow(i int) bool {
	beyond := b.All - b.N[i]
	return 2000*beyond >= b.All && 2*beyond <= b.All
}

// fast reports that stable's share within the bound is 5 % to 50 %.
func (b baseline) fast(i int) bool { return 20*b.N[i] >= b.All && 2*b.N[i] < b.All }

func (b baseline) active() []int {
	var active []int
	for i := range b.Le {
		if b.slow(i) || b.fast(i) {
			active = append(active, i)
		}
	}
	return active
}

// promotion is the smallest bound with at most 10 % beyond it, else the largest.
func (b baseline) promotion() int {
	for i := range b.Le {
		if 10*(b.All-b.N[i]) <= b.All {
			return i
		}
	}
	return len(b.Le) - 1
}

// pairs are the counts of each stream of a window: of a histogram, one for each bound, with the arms exchanged where it
// is about being fast, for there stable must not be the better one. Nothing where the window lacks a bound.
func (b *bounds) pairs(w Window) []Pair {
	if !b.chosen() {
		return []Pair{{Canary: w.Canary, Stable: w.Stable}}
	}
	pairs := make([]Pair, 0, len(b.Le))
	for i, le := range b.Le {
		at, found := slices.BinarySearch(w.Le, le)
		if !found {
			return nil
		}
		canary, stable := Counts{N: w.Canary.N, Bad: w.Canary.Le[at]}, Counts{N: w.Stable.N, Bad: w.Stable.Le[at]}
		if b.Fast[i] {
			pairs = append(pairs, Pair{Canary: stable, Stable: canary})
			continue
		}
		pairs = append(pairs, Pair{Canary: beyond(canary), Stable: beyond(stable)})
	}
	return pairs
}

// beyond counts what is not within.
func beyond(within Counts) Counts { return Counts{N: within.N, Bad: within.N - within.Bad} }

// promoted is the window as promotion sees it: bad is what is slower than the promotion bound.
func (b *bounds) promoted(w Window) Window {
	at, _ := slices.BinarySearch(w.Le, b.Le[b.Promotion]) // pairs has looked
	w.Canary = beyond(Counts{N: w.Canary.N, Bad: w.Canary.Le[at]})
	w.Stable = beyond(Counts{N: w.Stable.N, Bad: w.Stable.Le[at]})
	return w
}

// lacks reports that the targets do not count by all bounds that are judged.
func (b *bounds) lacks(have []float64) bool { return len(shared(b.Le, have)) < len(b.Le) }

func (b *bounds) check() error {
	switch {
	case len(b.Le) > KeptBounds || len(b.Fast) != len(b.Le) || !rising(b.Le):
		return errors.New("the bounds are not whole")
	case b.Promotion < 0 || b.Promotion >= b.streams():
		return fmt.Errorf("promotion bound %d of %d", b.Promotion, len(b.Le))
	case b.Base == nil:
		return nil
	case b.chosen():
		return errors.New("the bounds are chosen, and there is a baseline to choose by")
	case b.Base.Hour != (b.Base.All >= enoughStable) || (b.Base.Hour && (b.Base.Poor || len(b.Base.Le) == 0)):
		return fmt.Errorf("a baseline of %d requests, hour %v, poor %v", b.Base.All, b.Base.Hour, b.Base.Poor)
	case len(b.Base.Le) > MaxBounds || len(b.Base.Le) != len(b.Base.N) || !rising(b.Base.Le):
		return errors.New("the baseline is not whole")
	}
	last := uint64(0)
	for _, n := range append(slices.Clone(b.Base.N), b.Base.All) {
		if n < last {
			return errors.New("the baseline falls")
		}
		last = n
	}
	return nil
}

func (b *bounds) clone() bounds {
	out := *b
	out.Le, out.Fast = slices.Clone(b.Le), slices.Clone(b.Fast)
	if b.Base != nil {
		base := *b.Base
		base.Le, base.N = slices.Clone(b.Base.Le), slices.Clone(b.Base.N)
		out.Base = &base
	}
	return out
}

// rising reports that the values rise and are finite.
func rising(le []float64) bool {
	for i, v := range le {
		if math.IsNaN(v) || math.IsInf(v, 0) || (i > 0 && v <= le[i-1]) {
			return false
		}
	}
	return true
}
