package report

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"strings"
	"time"

	"golang.org/x/image/font"
	plotfont "gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The picture's measures, in points.
const (
	width, height = 760, 470
	left, right   = 46, 92
	dots          = 144 // of PNG, per inch
)

// SVG draws the curves as a picture of its own: no font, script or style from elsewhere, the sentence as title, the
// same bytes for the same curves.
func SVG(c Curves) ([]byte, error) {
	c, err := c.fixed()
	if err != nil {
		return nil, err
	}
	v := newVector(width, height)
	newSheet(v, c).draw()
	return v.document(c.Sentence), nil
}

// PNG draws the same picture in dots, for messages that show no SVG.
func PNG(c Curves) ([]byte, error) {
	c, err := c.fixed()
	if err != nil {
		return nil, err
	}
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dots), vgimg.UseBackgroundColor(paper))
	newSheet(canvas, c).draw()
	var out bytes.Buffer
	if err := png.Encode(&out, canvas.Image()); err != nil {
		return nil, fmt.Errorf("encoding the plot: %w", err)
	}
	return out.Bytes(), nil
}

// sheet is what is drawn on, with the curves.
type sheet struct {
	draw.Canvas
	curves Curves
	fonts  *plotfont.Cache
}

func newSheet(c vg.CanvasSizer, curves Curves) *sheet {
	return &sheet{Canvas: draw.New(c), curves: curves, fonts: plotfont.NewCache(liberation.Collection())}
}

// draw lays the picture out: the sentence, what is compared, the ratio above the evidence, the time below.
func (s *sheet) draw() {
	s.SetColor(paper)
	s.Fill(rectangle(s.Min, s.Max))
	top := s.heading()
	bottom := vg.Length(34)
	const legend, between = 34, 14
	room := top - bottom - 2*legend - between
	above := s.panel(top-legend, top-legend-room/2)
	below := s.panel(bottom+room/2, bottom)
	s.effect(above)
	s.evidence(below)
	s.timeline(above, below)
}

// heading writes the sentence and what is compared, and tells where the room below begins.
func (s *sheet) heading() vg.Length {
	y := vg.Length(height - 24)
	for _, line := range s.wrap(s.curves.Sentence, 12, width-40, 2) {
		s.write(line, vg.Point{X: 20, Y: y}, look{size: 12, bold: true, color: ink})
		y -= 16
	}
	c := s.curves
	words := fmt.Sprintf("%s to %s", c.Start.UTC().Format("2006-01-02 15:04:05"), ending(c.Start.UTC(), c.End.UTC()))
	if c.Metric != "" {
		words = fmt.Sprintf("%s of %s against %s, ", c.Metric, c.Canary, c.Stable) + words
	}
	s.write(words, vg.Point{X: 20, Y: y}, look{size: 9, color: soft})
	return y - 10
}

func ending(from, to time.Time) string {
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return to.Format("15:04:05 UTC")
	}
	return to.Format("2006-01-02 15:04:05 UTC")
}

// look is how text looks; align is 0 at its start, -0.5 in its middle, -1 at its end.
type look struct {
	size  vg.Length
	bold  bool
	color hue
	align float64
}

func (s *sheet) font(l look) plotfont.Font {
	f := plotfont.Font{Typeface: "Liberation", Variant: "Sans", Size: l.size}
	if l.bold {
		f.Weight = font.WeightBold
	}
	return f
}

// write puts words with their baseline at a point.
func (s *sheet) write(words string, at vg.Point, l look) {
	face := s.fonts.Lookup(s.font(l), l.size)
	at.X += vg.Length(l.align) * face.Width(words)
	s.SetColor(l.color)
	s.FillString(face, at, words)
}

func (s *sheet) wide(words string, l look) vg.Length {
	face := s.fonts.Lookup(s.font(l), l.size)
	return face.Width(words)
}

// wrap breaks words into lines; what does not fit into the last is cut.
func (s *sheet) wrap(words string, size, room vg.Length, lines int) []string {
	l := look{size: size, bold: true}
	var out []string
	line := ""
	for _, word := range strings.Fields(words) {
		next := strings.TrimSpace(line + " " + word)
		if s.wide(next, l) <= room {
			line = next
			continue
		}
		if len(out) == lines-1 {
			return append(out, s.fit(next, l, room))
		}
		if line != "" {
			out = append(out, line)
		}
		line = word
	}
	if line == "" {
		return out
	}
	return append(out, s.fit(line, l, room))
}

// fit cuts words to the room.
func (s *sheet) fit(words string, l look, room vg.Length) string {
	if s.wide(words, l) <= room {
		return words
	}
	runes := []rune(words)
	for len(runes) > 0 && s.wide(string(runes)+"…", l) > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// stroke draws a line through points, and a lone one as a dot.
func (s *sheet) stroke(c hue, w vg.Length, dash []vg.Length, points ...vg.Point) {
	if len(points) == 1 {
		s.SetColor(c)
		path := vg.Path{}
		path.Arc(points[0], 1.5*w, 0, 2*math.Pi)
		path.Close()
		s.Fill(path)
	}
	if len(points) > 1 {
		s.StrokeLines(draw.LineStyle{Color: c, Width: w, Dashes: dash}, points)
	}
}
