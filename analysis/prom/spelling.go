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

// covers reports that each arm of each target that counts events counts them by all these bounds, at its newest scrape: some
// time before it, it may have written them in another way.
func covers(all []analysis.Series, bounds []float64) bool {
	type side struct {
		target string
		arm    analysis.Arm
	}
	type bucket struct {
		side
		le float64
	}
	newest := map[side]int64{}
	for _, s := range all {
		if n := len(s.Points); s.Role == analysis.Within && n > 0 {
			at := side{s.Target, s.Arm}
			newest[at] = max(newest[at], s.Points[n-1].T)
		}
	}
	counted := make(map[bucket]int, len(all))
	for _, s := range all {
		at := side{s.Target, s.Arm}
		if n := len(s.Points); s.Role == analysis.Within && n > 0 && s.Points[n-1].T == newest[at] {
			counted[bucket{at, s.Le}]++
		}
	}
	for at := range newest {
		events := counted[bucket{at, math.Inf(1)}]
		for _, le := range bounds {
			if events == 0 || counted[bucket{at, le}] < events {
				return false
			}
		}
	}
	return len(newest) > 0
}

// bound is a text of the label le, read once for an answer.
type bound struct {
	le   float64 // ms
	fail *Failure
}

// bound reads the bound of a bucket.
func (m *matrix) bound(text []byte, unit float64) (float64, *Failure) {
	b, known := m.bounds[string(text)]
	if !known {
		b.le, b.fail = le(text, unit)
		if m.bounds == nil {
			m.bounds = map[string]bound{}
		}
		m.bounds[string(text)] = b
		if b.fail == nil && m.spellings != nil {
			m.learn(spelled{b.le, unit}, string(text))
		}
	}
	return b.le, b.fail
}
