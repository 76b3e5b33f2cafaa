package sim

import (
	"math"
	"slices"
	"time"
)

// Summary is what many runs of one trial have in common.
type Summary struct {
	Runs       int
	RolledBack Share
	Promotable Share
	Bad        float64 // mean of bad requests that the canary served
}

// Share is how many runs something happened in, and when. A quantile is Never where that part of all runs did not
// come to it.
type Share struct {
	Runs          int
	Of            int
	P50, P90, P99 time.Duration
	times         []time.Duration // of those runs, sorted
}

// late reports that less than a part of all runs came to it by the given time, by more than chance explains.
func (s Share) late(part float64, by time.Duration, slack float64) bool {
	n, _ := slices.BinarySearch(s.times, by+1)
	return float64(n)/float64(max(s.Of, 1)) < part-slack*s.deviation(part)
}

// Part is the share as a number.
func (s Share) Part() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Runs) / float64(s.Of)
}

// Summarise adds up outcomes; their order does not matter.
func Summarise(outcomes []Outcome) Summary {
	s := Summary{Runs: len(outcomes)}
	rolled, promoted := make([]time.Duration, 0, len(outcomes)), make([]time.Duration, 0, len(outcomes))
	bad := uint64(0)
	for _, o := range outcomes {
		rolled, promoted = append(rolled, o.RolledBack), append(promoted, o.Promotable)
		bad += o.Bad
	}
	s.RolledBack, s.Promotable = shareOf(rolled), shareOf(promoted)
	if s.Runs > 0 {
		s.Bad = float64(bad) / float64(s.Runs)
	}
	return s
}

func shareOf(times []time.Duration) Share {
	happened := slices.DeleteFunc(slices.Clone(times), func(t time.Duration) bool { return t == Never })
	slices.Sort(happened)
	s := Share{Runs: len(happened), Of: len(times), times: happened}
	for percent, to := range map[int]*time.Duration{50: &s.P50, 90: &s.P90, 99: &s.P99} {
		*to = Never
		if at := (percent*len(times)+99)/100 - 1; at >= 0 && at < len(happened) {
			*to = happened[at]
		}
	}
	return s
}

// over and under compare with a bound that the share of runs would only miss by chance.
func (s Share) over(bound, slack float64) bool { return s.Part() > bound+slack*s.deviation(bound) }

func (s Share) under(bound, slack float64) bool { return s.Part() < bound-slack*s.deviation(bound) }

// deviation is the standard error of a share of runs that is expected to be p.
func (s Share) deviation(p float64) float64 { return math.Sqrt(p * (1 - p) / float64(max(s.Of, 1))) }
