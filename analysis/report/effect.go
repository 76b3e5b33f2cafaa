package report

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot/vg"

	"github.com/sluice-dev/sluice/analysis"
)

// What ratios and amounts of evidence are shown: beyond, curves run along the edge.
const (
	ratioLow, ratioHigh       = 0.1, 1000
	evidenceLow, evidenceHigh = 0.1, 1e6
)

// dashes of lines that are no curve.
func dashes() []vg.Length { return []vg.Length{4, 3} }

// effect fills the upper panel: how many times as often the canary fails, and what is sure of it.
func (s *sheet) effect(p *panel) {
	c := s.curves
	p.lo, p.hi = s.ratios()
	s.frame(p)
	for _, run := range runs(c.Points) {
		s.ratio(p, run)
	}
	levels := []level{{at: 1, words: "1x  the same", color: soft, dash: []vg.Length{1, 2}}}
	if c.Margin > 1 {
		levels = append(levels, level{at: c.Margin, words: analysis.Times(c.Margin) + "  tolerated", color: ink, dash: dashes()})
	}
	s.across(p, levels...)
	s.legend(p, fmt.Sprintf("How many times as often %s fails as %s", c.Canary, c.Stable),
		key{words: "estimate", color: blue}, key{words: "at least" + surely(c.Alpha), color: blue, band: true})
	if !s.known() {
		s.write("no ratio: one of the versions has not failed", vg.Point{X: (p.min.X + p.max.X) / 2, Y: p.max.Y - 18}, look{size: 9, color: soft, align: -0.5})
	}
}

func surely(alpha float64) string {
	if alpha <= 0 {
		return ""
	}
	return " (" + analysis.Percent(1-alpha) + " sure)"
}

// known reports that a ratio is known at some point.
func (s *sheet) known() bool {
	for _, p := range s.curves.Points {
		if p.Ratio != nil && *p.Ratio > 0 && !p.Blind {
			return true
		}
	}
	return false
}

// ratios are the ends of the upper panel: decades around all ratios.
func (s *sheet) ratios() (lo, hi float64) {
	lo, hi = 0.3, 10
	for _, p := range s.curves.Points {
		if p.Ratio != nil && *p.Ratio > 0 && !p.Blind {
			lo, hi = min(lo, *p.Ratio/1.2), max(hi, *p.Ratio*1.2)
		}
		hi = max(hi, p.AtLeast*1.2)
	}
	return max(lo, ratioLow), min(hi, ratioHigh)
}

// ratio draws the estimate, and the band down to what is sure, as far as they are known.
func (s *sheet) ratio(p *panel, run []Point) {
	var estimate, least []vg.Point
	flush := func() {
		s.band(sky, estimate, least)
		s.stroke(blue, 0.75, nil, least...)
		s.stroke(blue, 1.75, nil, estimate...)
		estimate, least = nil, nil
	}
	for _, one := range thin(p, run) {
		if one.Ratio == nil || *one.Ratio <= 0 {
			flush()
			continue
		}
		x := p.x(one.At)
		estimate = append(estimate, vg.Point{X: x, Y: p.y(*one.Ratio)})
		least = append(least, vg.Point{X: x, Y: p.y(min(one.AtLeast, *one.Ratio))})
	}
	flush()
}

// band fills what is between two lines.
func (s *sheet) band(c hue, upper, lower []vg.Point) {
	if len(upper) < 2 {
		return
	}
	path := vg.Path{}
	path.Move(upper[0])
	for _, p := range upper[1:] {
		path.Line(p)
	}
	for i := len(lower) - 1; i >= 0; i-- {
		path.Line(lower[i])
	}
	path.Close()
	s.SetColor(c)
	s.Fill(path)
}

// evidence fills the lower panel: what has been found for and against the canary, and where something is decided.
func (s *sheet) evidence(p *panel) {
	c := s.curves
	p.lo, p.hi = evidenceLow, 1000
	for _, one := range c.Points {
		p.hi = min(max(p.hi, 1.5*math.Exp(min(max(one.Harm, one.Safe), 700))), evidenceHigh)
	}
	s.frame(p)
	levels := []level{{at: 10, words: "10  hold", color: orange, dash: dashes()}}
	if c.Alpha > 0 {
		levels = append(levels, level{at: 1 / c.Alpha, words: analysis.Digits(1/c.Alpha) + "  roll back", color: red, dash: dashes()})
	}
	if c.Beta > 0 {
		levels = append(levels, level{at: 1 / c.Beta, words: analysis.Digits(1/c.Beta) + "  cleared", color: green, dash: dashes()})
	}
	s.across(p, levels...)
	for _, run := range runs(c.Points) {
		var harm, safe []vg.Point
		for _, one := range thin(p, run) {
			x := p.x(one.At)
			harm = append(harm, vg.Point{X: x, Y: p.height(one.Harm)})
			safe = append(safe, vg.Point{X: x, Y: p.height(one.Safe)})
		}
		s.stroke(green, 1.75, nil, safe...)
		s.stroke(red, 1.75, nil, harm...)
	}
	safe := "that it is no worse"
	if c.Metric != "" {
		safe += ", by " + c.Metric
	}
	s.legend(p, "Evidence", key{words: "that " + c.Canary + " is worse", color: red}, key{words: safe, color: green})
}

// thin leaves so many points as there are places for: of each place the last.
func thin(p *panel, run []Point) []Point {
	const places = 900
	if len(run) <= places {
		return run
	}
	out := make([]Point, 0, places)
	last := -1
	for i, one := range run {
		place := int(float64(one.At.Sub(p.from)) / float64(p.length) * places)
		if place == last && i > 0 {
			out[len(out)-1] = one
			continue
		}
		out, last = append(out, one), place
	}
	return out
}

// key explains a colour.
type key struct {
	words string
	color hue
	band  bool
}

// legend heads a panel.
func (s *sheet) legend(p *panel, title string, keys ...key) {
	y := p.max.Y + 19
	title = s.fit(title, look{size: 10, bold: true}, 420)
	s.write(title, vg.Point{X: 20, Y: y}, look{size: 10, bold: true, color: ink})
	x := vg.Length(20) + s.wide(title, look{size: 10, bold: true}) + 16
	for _, k := range keys {
		if k.band {
			s.SetColor(sky)
			s.Fill(rectangle(vg.Point{X: x, Y: y}, vg.Point{X: x + 16, Y: y + 7}))
			s.stroke(k.color, 0.75, nil, vg.Point{X: x, Y: y}, vg.Point{X: x + 16, Y: y})
		} else {
			s.stroke(k.color, 1.75, nil, vg.Point{X: x, Y: y + 3}, vg.Point{X: x + 16, Y: y + 3})
		}
		words := strings.TrimSpace(k.words)
		s.write(words, vg.Point{X: x + 21, Y: y}, look{size: 9, color: soft})
		x += 21 + s.wide(words, look{size: 9}) + 14
	}
}

// rectangle is a path around two corners.
func rectangle(low, high vg.Point) vg.Path {
	path := vg.Path{}
	path.Move(low)
	path.Line(vg.Point{X: high.X, Y: low.Y})
	path.Line(high)
	path.Line(vg.Point{X: low.X, Y: high.Y})
	path.Close()
	return path
}
