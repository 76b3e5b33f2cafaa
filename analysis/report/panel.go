package report

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/sluice-dev/sluice/analysis"
)

// panel is one of the two diagrams: time from left to right, a logarithmic amount upwards.
type panel struct {
	min, max vg.Point
	from     time.Time
	length   time.Duration
	lo, hi   float64
}

// panel is the one between two heights; its amounts are set by who fills it.
func (s *sheet) panel(top, bottom vg.Length) *panel {
	return &panel{min: vg.Point{X: left, Y: bottom}, max: vg.Point{X: width - right, Y: top},
		from: s.curves.Start, length: s.curves.End.Sub(s.curves.Start)}
}

func (p *panel) x(at time.Time) vg.Length {
	return p.min.X + (p.max.X-p.min.X)*vg.Length(float64(at.Sub(p.from))/float64(p.length))
}

// y is the height of an amount; what is beyond the panel stands at its edge.
func (p *panel) y(amount float64) vg.Length {
	return p.height(math.Log(max(amount, math.SmallestNonzeroFloat64)))
}

func (p *panel) height(logAmount float64) vg.Length {
	lo, hi := math.Log(p.lo), math.Log(p.hi)
	share := (min(max(logAmount, lo), hi) - lo) / (hi - lo)
	return p.min.Y + (p.max.Y-p.min.Y)*vg.Length(share)
}

// across draws a level line with words behind its end.
func (s *sheet) across(p *panel, lines ...level) {
	slices.SortFunc(lines, func(a, b level) int { return int(math.Copysign(1, a.at-b.at)) })
	last := vg.Length(math.Inf(-1))
	for _, l := range lines {
		y := p.y(l.at)
		s.stroke(l.color, 1, l.dash, vg.Point{X: p.min.X, Y: y}, vg.Point{X: p.max.X, Y: y})
		at := max(y-3, last+10)
		s.write(l.words, vg.Point{X: p.max.X + 6, Y: at}, look{size: 8.5, color: l.color.dark()})
		last = at
	}
}

// level is a line across a panel.
type level struct {
	at    float64
	words string
	color hue
	dash  []vg.Length
}

// decades are the powers of ten from lo to hi.
func decades(lo, hi float64) []float64 {
	var out []float64
	for e := math.Ceil(math.Log10(lo) - 1e-9); e <= math.Log10(hi)+1e-9; e++ {
		out = append(out, math.Pow(10, e))
	}
	return out
}

// frame draws the ground of a panel: the grid, its numbers, and where there was no data.
func (s *sheet) frame(p *panel) {
	for _, span := range s.curves.gaps() {
		from, to := p.x(span[0]), p.x(span[1])
		s.SetColor(shade)
		s.Fill(rectangle(vg.Point{X: from, Y: p.min.Y}, vg.Point{X: to, Y: p.max.Y}))
	}
	for _, amount := range decades(p.lo, p.hi) {
		y := p.y(amount)
		s.stroke(grid, 0.75, nil, vg.Point{X: p.min.X, Y: y}, vg.Point{X: p.max.X, Y: y})
		s.write(analysis.Digits(amount), vg.Point{X: p.min.X - 6, Y: y - 3}, look{size: 8.5, color: soft, align: -1})
	}
	s.stroke(soft, 0.75, nil, p.min, vg.Point{X: p.max.X, Y: p.min.Y})
}
