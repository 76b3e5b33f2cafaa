package report

import (
	"fmt"
	"html"
	"image"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// vector writes what is drawn as SVG: presentation attributes instead of styles, so that a page with a strict content
// policy shows it, and classes for the colours that depend on the theme, so that a stylesheet can change them. Text is
// text, in whatever sans-serif font the reader has, kept to the width it was laid out with.
type vector struct {
	w, h vg.Length
	body strings.Builder
	now  pen
	kept []pen
}

// pen is what Push keeps.
type pen struct {
	at    matrix
	color color.Color
	width vg.Length
	dash  []vg.Length
	from  vg.Length
}

// matrix maps (x, y) to (a x + c y + e, b x + d y + f).
type matrix struct{ a, b, c, d, e, f float64 }

func (m matrix) then(o matrix) matrix {
	return matrix{
		m.a*o.a + m.c*o.b, m.b*o.a + m.d*o.b,
		m.a*o.c + m.c*o.d, m.b*o.c + m.d*o.d,
		m.a*o.e + m.c*o.f + m.e, m.b*o.e + m.d*o.f + m.f,
	}
}

func newVector(w, h vg.Length) *vector {
	v := &vector{w: w, h: h, now: pen{at: matrix{a: 1, d: 1}}}
	vg.Initialize(v)
	return v
}

// Size is that of the picture.
func (v *vector) Size() (w, h vg.Length) { return v.w, v.h }

// SetLineWidth is of vg.Canvas.
func (v *vector) SetLineWidth(w vg.Length) { v.now.width = w }

// SetLineDash is of vg.Canvas.
func (v *vector) SetLineDash(pattern []vg.Length, offset vg.Length) {
	v.now.dash, v.now.from = pattern, offset
}

// SetColor is of vg.Canvas.
func (v *vector) SetColor(c color.Color) {
	if c == nil {
		c = color.Black
	}
	v.now.color = c
}

// Rotate is of vg.Canvas.
func (v *vector) Rotate(rad float64) {
	sin, cos := math.Sincos(rad)
	v.now.at = v.now.at.then(matrix{cos, sin, -sin, cos, 0, 0})
}

// Translate is of vg.Canvas.
func (v *vector) Translate(p vg.Point) {
	v.now.at = v.now.at.then(matrix{1, 0, 0, 1, float64(p.X), float64(p.Y)})
}

// Scale is of vg.Canvas.
func (v *vector) Scale(x, y float64) { v.now.at = v.now.at.then(matrix{x, 0, 0, y, 0, 0}) }

// Push is of vg.Canvas.
func (v *vector) Push() { v.kept = append(v.kept, v.now) }

// Pop is of vg.Canvas.
func (v *vector) Pop() {
	v.now, v.kept = v.kept[len(v.kept)-1], v.kept[:len(v.kept)-1]
}

// Stroke is of vg.Canvas.
func (v *vector) Stroke(p vg.Path) {
	if v.now.width <= 0 || len(p) == 0 {
		return
	}
	fmt.Fprintf(&v.body, `<path d="%s" fill="none"%s stroke-width="%s"`, v.path(p), paint("stroke", "line", v.now.color), number(float64(v.now.width)))
	if len(v.now.dash) > 0 {
		parts := make([]string, len(v.now.dash))
		for i, d := range v.now.dash {
			parts[i] = number(float64(d))
		}
		fmt.Fprintf(&v.body, ` stroke-dasharray="%s"`, strings.Join(parts, " "))
	}
	v.body.WriteString("/>\n")
}

// Fill is of vg.Canvas.
func (v *vector) Fill(p vg.Path) {
	if len(p) > 0 {
		fmt.Fprintf(&v.body, `<path d="%s"%s/>`+"\n", v.path(p), paint("fill", "fill", v.now.color))
	}
}

// FillString is of vg.Canvas. Text is drawn level: nothing here turns any.
func (v *vector) FillString(f font.Face, at vg.Point, text string) {
	if f.Font.Size == 0 || strings.TrimSpace(text) == "" {
		return
	}
	weight := ""
	if f.Font.Weight > 0 {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(&v.body, `<text x="%s" y="%s" font-size="%s"%s textLength="%s" lengthAdjust="spacingAndGlyphs"%s>%s</text>`+"\n",
		number(v.x(at)), number(v.y(at)), number(float64(f.Font.Size)), weight, number(float64(f.Width(text))),
		paint("fill", "fill", v.now.color), html.EscapeString(text))
}

// DrawImage is of vg.Canvas. Evidence holds no images.
func (v *vector) DrawImage(vg.Rectangle, image.Image) {}

// document is the whole picture. The title is what readers of screens hear.
func (v *vector) document(title string) []byte {
	title = html.EscapeString(title)
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s" `+
		`font-family="Helvetica, Arial, 'Liberation Sans', sans-serif">`+"\n<title>%s</title>\n%s</svg>\n",
		number(float64(v.w)), number(float64(v.h)), number(float64(v.w)), number(float64(v.h)), title, title, v.body.String())
}

// x and y are a point in the picture, whose origin is at the top.
func (v *vector) x(p vg.Point) float64 {
	return v.now.at.a*float64(p.X) + v.now.at.c*float64(p.Y) + v.now.at.e
}

func (v *vector) y(p vg.Point) float64 {
	return float64(v.h) - (v.now.at.b*float64(p.X) + v.now.at.d*float64(p.Y) + v.now.at.f)
}

func (v *vector) point(p vg.Point) string { return number(v.x(p)) + " " + number(v.y(p)) }

func (v *vector) path(p vg.Path) string {
	parts := make([]string, 0, len(p))
	for _, c := range p {
		switch c.Type {
		case vg.MoveComp:
			parts = append(parts, "M"+v.point(c.Pos))
		case vg.LineComp:
			parts = append(parts, "L"+v.point(c.Pos))
		case vg.CloseComp:
			parts = append(parts, "Z")
		case vg.ArcComp:
			begin := "L"
			if len(parts) == 0 {
				begin = "M"
			}
			parts = append(parts, v.arc(begin, c)...)
		case vg.CurveComp:
			parts = append(parts, v.curve(c))
		}
	}
	return strings.Join(parts, "")
}

// arc is a part of a circle in as many pieces as SVG needs: a piece may not end where it begins.
func (v *vector) arc(begin string, c vg.PathComp) []string {
	at := func(angle float64) vg.Point {
		sin, cos := math.Sincos(angle)
		return vg.Point{X: c.Pos.X + c.Radius*vg.Length(cos), Y: c.Pos.Y + c.Radius*vg.Length(sin)}
	}
	out := []string{begin + v.point(at(c.Start))}
	sweep := 0 // the picture's y axis is turned, and so is the direction
	if c.Angle < 0 {
		sweep = 1
	}
	for i := 1; i <= 3; i++ {
		r := number(float64(c.Radius))
		out = append(out, fmt.Sprintf("A%s %s 0 0 %d %s", r, r, sweep, v.point(at(c.Start+c.Angle*float64(i)/3))))
	}
	return out
}

func (v *vector) curve(c vg.PathComp) string {
	parts := make([]string, 0, 3)
	for _, p := range c.Control {
		parts = append(parts, v.point(p))
	}
	return map[int]string{1: "Q", 2: "C"}[len(c.Control)] + strings.Join(append(parts, v.point(c.Pos)), " ")
}

// paint is a colour as attributes, with the class of those that depend on the theme.
func paint(attribute, class string, c color.Color) string {
	h := hueOf(c)
	text := fmt.Sprintf(` %s="#%06x"`, attribute, uint32(h>>8))
	if alpha := h & 0xff; alpha < 0xff {
		text += fmt.Sprintf(` %s-opacity="%s"`, attribute, number(float64(alpha)/255))
	}
	if name := h.themed(); name != "" {
		text += fmt.Sprintf(` class="%s-%s"`, class, name)
	}
	return text
}

// number is a coordinate to a hundredth, without what need not be written.
func number(x float64) string {
	text := strconv.FormatFloat(x, 'f', 2, 64)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}
