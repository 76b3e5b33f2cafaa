package report

import (
	"fmt"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/sluice-dev/sluice/analysis"
)

// timeline draws what both panels share: the times, and what happened.
func (s *sheet) timeline(above, below *panel) {
	step := ticks(below.length)
	for at := time.Duration(0); at <= below.length; at += step {
		x := below.x(below.from.Add(at))
		for _, p := range []*panel{above, below} {
			s.stroke(soft, 0.75, nil, vg.Point{X: x, Y: p.min.Y}, vg.Point{X: x, Y: p.min.Y - 3})
		}
		s.write(elapsed(at), vg.Point{X: x, Y: below.min.Y - 14}, look{size: 8.5, color: soft, align: -0.5})
	}
	for _, span := range s.curves.gaps() {
		words, l := "no data", look{size: 8.5, color: soft, align: -0.5}
		if span[0].Before(s.curves.Watched) {
			words = s.fit("not watched by who drew this", l, below.x(span[1])-below.x(span[0])-4)
		}
		middle := (below.x(span[0]) + below.x(span[1])) / 2
		s.write(words, vg.Point{X: middle, Y: below.min.Y + 5}, l)
	}
	free := above.min.X - 100 // where the words before end
	for _, m := range s.curves.Marks {
		switch m.Kind {
		case WeightChange:
			free = s.weight(m, above, below, free)
		case Acked:
			s.acked(m, above, below)
		case Decision:
			s.decision(m, above, below)
		}
	}
}

// weight is a change of weight: a thin line, and the weight at its head where there is room.
func (s *sheet) weight(m Mark, above, below *panel, free vg.Length) vg.Length {
	x := above.x(m.At)
	for _, p := range []*panel{above, below} {
		s.stroke(soft, 0.75, nil, vg.Point{X: x, Y: p.min.Y}, vg.Point{X: x, Y: p.max.Y})
	}
	words, l := fmt.Sprintf("%d%%", m.Weight), look{size: 9, bold: true, color: ink}
	if x < free {
		return free
	}
	s.write(words, vg.Point{X: x + 3, Y: above.max.Y + 3}, l)
	return x + 3 + s.wide(words, l) + 4
}

// acked is a triangle on the axis: from there on the weight counts.
func (s *sheet) acked(m Mark, above, below *panel) {
	for _, p := range []*panel{above, below} {
		x := p.x(m.At)
		path := vg.Path{}
		path.Move(vg.Point{X: x, Y: p.min.Y + 6})
		path.Line(vg.Point{X: x - 3.5, Y: p.min.Y})
		path.Line(vg.Point{X: x + 3.5, Y: p.min.Y})
		path.Close()
		s.SetColor(soft)
		s.Fill(path)
	}
}

// decision is a strong line in the colour of what was decided, with the words at its head.
func (s *sheet) decision(m Mark, above, below *panel) {
	color := ink
	switch m.Verdict {
	case analysis.Rollback:
		color = red
	case analysis.Promote:
		color = green
	case analysis.Unknown, analysis.Inconclusive, analysis.Blind:
	}
	x := above.x(m.At)
	for _, p := range []*panel{above, below} {
		s.stroke(color, 2, nil, vg.Point{X: x, Y: p.min.Y}, vg.Point{X: x, Y: p.max.Y})
	}
	l := look{size: 9, bold: true, color: color.dark(), align: -1}
	words := s.fit(short(m.Text, 80), l, 220)
	at := vg.Point{X: x + s.wide(words, l)/2, Y: above.max.Y + 3}
	at.X = min(max(at.X, above.min.X+s.wide(words, l)), width-12)
	s.write(words, at, l)
}

// elapsed is a time on the axis in words, as short as can be: 0, 30s, 1m30s, 5m, 2h.
func elapsed(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	words := d.String()
	if strings.HasSuffix(words, "m0s") {
		words = strings.TrimSuffix(words, "0s")
	}
	if strings.HasSuffix(words, "h0m") {
		words = strings.TrimSuffix(words, "0m")
	}
	return words
}

// ticks is how far apart the times are that are named: not more than nine of them.
func ticks(length time.Duration) time.Duration {
	steps := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute,
		2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour}
	for _, step := range steps {
		if length/step <= 8 {
			return step
		}
	}
	day := 24 * time.Hour
	return day * (1 + length/(8*day))
}
