package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Recorded is one series of a recording.
type Recorded struct {
	Name    string // for people
	Bad     bool   // it is of bad requests; else of all
	Counter bool   // its samples count; else they are rates a second, each until the next
	Points  []analysis.Point
}

// Recording is the traffic of a while as it was. The zero value is none.
type Recording struct {
	Start  time.Time
	Length time.Duration
	Pieces []Piece // their Canary says nothing
	Rate   float64 // mean
	Bad    float64 // share of all
}

// Bounds of a recording.
const (
	mostPieces = 5000
	widestHole = 5 // steps
)

// Record makes a recording of series. What it cannot make one of is said with its place.
func Record(series []Recorded) (Recording, error) {
	r := recorder{}
	for _, s := range series {
		if err := r.look(s); err != nil {
			return Recording{}, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	if r.until <= r.from {
		return Recording{}, errors.New("no series of requests holds two samples or more")
	}
	r.step = max(r.step, 1000, (r.until-r.from)/mostPieces+1)
	cells := int((r.until - r.from + r.step - 1) / r.step)
	r.all, r.bad, r.seen = make([]float64, cells), make([]float64, cells), make([]float64, cells)
	for _, s := range series {
		r.add(s)
	}
	return r.recording()
}

// recorder adds series up in cells of one length. Times are Unix ms.
type recorder struct {
	from, until, step int64
	all, bad          []float64 // requests of each cell
	seen              []float64 // part of each cell that requests are known of
}

// look checks a series and takes its range in.
func (r *recorder) look(s Recorded) error {
	for i, p := range s.Points {
		at := time.UnixMilli(p.T).UTC().Format(time.RFC3339)
		switch {
		case math.IsNaN(p.V) || math.IsInf(p.V, 0) || p.V < 0:
			return fmt.Errorf("sample %d, of %s, is %v: want a number that is not negative", i+1, at, p.V)
		case i > 0 && p.T <= s.Points[i-1].T:
			return fmt.Errorf("sample %d, of %s, is not later than the one before it", i+1, at)
		}
	}
	if s.Bad || len(s.Points) < 2 {
		return nil
	}
	first, last := s.Points[0].T, s.Points[len(s.Points)-1].T
	if r.until == 0 || first < r.from {
		r.from = first
	}
	r.until = max(r.until, last)
	if step := spacing(s.Points); r.step == 0 || step < r.step {
		r.step = step
	}
	return nil
}

// spacing is the median time between samples.
func spacing(points []analysis.Point) int64 {
	gaps := make([]int64, 0, len(points))
	for i := 1; i < len(points); i++ {
		gaps = append(gaps, points[i].T-points[i-1].T)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// add spreads a series over the cells. The first sample of a counter says nothing about requests; one that falls begins
// anew. Over a hole nothing is known.
func (r *recorder) add(s Recorded) {
	if len(s.Points) < 2 {
		return
	}
	longest := widestHole * max(spacing(s.Points), r.step)
	for i := 1; i < len(s.Points); i++ {
		was, now := s.Points[i-1], s.Points[i]
		if now.T-was.T > longest {
			continue
		}
		amount := was.V * float64(now.T-was.T) / 1000
		if s.Counter {
			if amount = now.V - was.V; amount < 0 {
				amount = now.V
			}
		}
		r.spread(s.Bad, was.T, now.T, amount)
	}
}

func (r *recorder) spread(bad bool, from, until int64, amount float64) {
	to := r.all
	if bad {
		to = r.bad
	}
	for c := max(0, (from-r.from)/r.step); c < int64(len(to)); c++ {
		begin := r.from + c*r.step
		if begin >= until {
			return
		}
		part := float64(min(until, begin+r.step) - max(from, begin))
		if part <= 0 {
			continue
		}
		to[c] += amount * part / float64(until-from)
		if !bad {
			r.seen[c] = max(r.seen[c], part/float64(r.step))
		}
	}
}

// recording makes pieces of the cells. A short hole is as what came before it.
func (r *recorder) recording() (Recording, error) {
	ms := func(t int64) time.Duration { return time.Duration(t) * time.Millisecond }
	out := Recording{Start: time.UnixMilli(r.from).UTC(), Length: ms(r.until - r.from)}
	hole, all, bad := 0, 0.0, 0.0
	for c := range r.all {
		p := Piece{From: ms(int64(c) * r.step)}
		seconds := min(ms(r.step), out.Length-p.From).Seconds()
		if r.seen[c]*float64(r.step) < 500*seconds { // less than half of it
			if hole++; hole > widestHole || c == 0 {
				return Recording{}, fmt.Errorf("nothing is known about requests at %s: give a range without a hole",
					out.Start.Add(p.From-ms(int64(hole-1)*r.step)).Format(time.RFC3339))
			}
			p.Rate, p.Stable = out.Pieces[c-1].Rate, out.Pieces[c-1].Stable
		} else {
			hole = 0
			p.Rate = r.all[c] / seconds
			if r.all[c] > 0 {
				p.Stable = min(1, r.bad[c]/r.all[c])
			}
		}
		all, bad = all+p.Rate*seconds, bad+p.Rate*p.Stable*seconds
		out.Pieces = append(out.Pieces, p)
	}
	if had, counted := total(r.bad), total(r.all); had > 1.01*counted+1 {
		return Recording{}, fmt.Errorf("%.0f bad requests of %.0f: are they exchanged?", had, counted)
	}
	if !(all > 0) {
		return Recording{}, errors.New("it holds not a single request")
	}
	out.Rate, out.Bad = all/out.Length.Seconds(), bad/all
	return out, nil
}

func total(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	return sum
}

// recorded is the piece of a time in a recording that begins anew after its end, and how far it reaches. Canary fails as
// stable does, and by its fault besides.
func (w World) recorded(now, end time.Duration) (Piece, time.Duration) {
	r := w.Recording
	if now < 0 {
		first := r.Pieces[0]
		first.Canary = first.Stable
		return first, min(end, 0)
	}
	since := now % r.Length
	next := sort.Search(len(r.Pieces), func(i int) bool { return r.Pieces[i].From > since })
	piece, to := r.Pieces[next-1], r.Length
	if next < len(r.Pieces) {
		to = r.Pieces[next].From
	}
	to += now - since
	piece.Canary = piece.Stable
	if now >= w.Fault {
		piece.Canary = 1 - (1-piece.Stable)*(1-w.Canary)
	} else {
		to = min(to, w.Fault)
	}
	return piece, min(end, to)
}
