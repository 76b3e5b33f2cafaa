package prom

import (
	"math"
	"slices"
	"sync"

	"github.com/sluice-dev/sluice/analysis"
)

// Bounds of what is remembered: programs share their bounds, so that there are few.
const (
	maxSpelled     = 4096
	longestSpelled = 40 // bytes
)

// spellings remembers how the bounds of histograms are written, so that those which are judged can be asked for alone. A
// bound may have several texts: programs and servers write 1 and 1.0.
type spellings struct {
	mu  sync.Mutex // guards all
	all map[spelled][]string
	n   int
}

// spelled is a bound in ms, as written in a unit.
type spelled struct{ le, unit float64 }

// learn takes in a text.
func (s *spellings) learn(b spelled, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n >= maxSpelled || len(text) > longestSpelled || slices.Contains(s.all[b], text) {
		return
	}
	if s.all == nil {
		s.all = map[spelled][]string{}
	}
	s.all[b] = append(s.all[b], text)
	s.n++
}

// of are the texts of the bounds and of the one of all events; nil where one was never seen.
func (s *spellings) of(bounds []float64, unit float64) []string {
	if len(bounds) == 0 || unit == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := make([]string, 0, 2*len(bounds)+1)
	for _, le := range append(slices.Clip(bounds), math.Inf(1)) {
		known := s.all[spelled{le, unit}]
		if len(known) == 0 {
			return nil
		}
		texts = append(texts, known...)
	}
	return texts
}

// side is what one arm of one target counts by.
type side struct {
	newest int64 // scrape
	counts []int // series at it, by each of the bounds asked about and by the one of all events
}

// covers reports that each arm of each target that counts events counts them by all these bounds, at its newest scrape: some
// time before it, it may have written them in another way.
func covers(all []analysis.Series, bounds []float64) bool {
	type name struct {
		target string
		arm    analysis.Arm
	}
	sides := map[name]*side{}
	var last name
	var of *side
	for i := range all {
		s := &all[i]
		if s.Role != analysis.Within || len(s.Points) == 0 {
			continue
		}
		if one := (name{s.Target, s.Arm}); of == nil || one != last { // mostly they follow each other
			if last, of = one, sides[one]; of == nil {
				of = &side{counts: make([]int, len(bounds)+1)}
				sides[one] = of
			}
		}
		of.count(s, bounds)
	}
	for _, s := range sides {
		if !s.whole() {
			return false
		}
	}
	return len(sides) > 0
}

func (s *side) count(one *analysis.Series, bounds []float64) {
	newest := one.Points[len(one.Points)-1].T
	if newest > s.newest {
		s.newest = newest
		clear(s.counts)
	}
	i, asked := slices.BinarySearch(bounds, one.Le)
	if newest == s.newest && (asked || math.IsInf(one.Le, 1)) {
		s.counts[i]++
	}
}

// whole reports that no bound has fewer series than there are of all events.
func (s *side) whole() bool {
	events := s.counts[len(s.counts)-1]
	return events > 0 && slices.Min(s.counts) >= events
}
