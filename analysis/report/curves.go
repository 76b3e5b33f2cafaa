package report

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Curves are the evidence of one attempt over time, as the plot shows it: one metric's effect above, the evidence that
// decides below.
type Curves struct {
	Sentence string // what became of it; the plot's title
	Metric   string // whose effect is shown
	Canary   string // names of the versions
	Stable   string
	Margin   float64 // the ratio of bad shares that is still tolerated; 0: no line
	Alpha    float64 // evidence of harm of 1/Alpha rolls back; 0: no line
	Beta     float64 // evidence of safety of 1/Beta clears the metric for a step; 0: no line
	Start    time.Time
	End      time.Time
	Watched  time.Time // who tells began to look here, and knows nothing of before; zero: at Start
	Points   []Point
	Marks    []Mark
}

// Point is what one look at the numbers knew.
type Point struct {
	At      time.Time
	Step    int      // from 1: curves of different steps are not joined
	Ratio   *float64 // of bad shares, canary to stable; nil: not known
	AtLeast float64  // the ratio is at least this; 0: nothing is known
	Harm    float64  // ln of the evidence that the canary is worse, over all metrics
	Safe    float64  // ln of the evidence that the metric is not harmful, in this step
	Blind   bool     // there was no usable data
}

// MarkKind says what happened at a Mark.
type MarkKind int

// The kinds of marks. The zero value is a weight change.
const (
	WeightChange MarkKind = iota // the weight that was asked for from then on
	Acked                        // every connected proxy had taken it
	Decision                     // the attempt was decided
)

// String is the kind in a word.
func (k MarkKind) String() string {
	switch k {
	case WeightChange:
		return "weight change"
	case Acked:
		return "acked"
	case Decision:
		return "decision"
	}
	return "unknown"
}

// Mark is an event of the attempt on the time axis.
type Mark struct {
	Kind    MarkKind
	At      time.Time
	Weight  int              // percent, of a weight change
	Verdict analysis.Verdict // of a decision
	Text    string           // in a few words, of a decision
}

// ErrNothingToDraw says that Curves hold neither points nor marks.
var ErrNothingToDraw = errors.New("no point and no mark to draw")

// Add appends what a report says of the metric and of the total. A metric that the report does not know adds nothing.
func (c *Curves) Add(r analysis.Report, step int) {
	i := slices.IndexFunc(r.Metrics, func(m analysis.MetricReport) bool { return m.Name == c.Metric })
	if i < 0 {
		return
	}
	m := r.Metrics[i]
	p := Point{At: r.At, Step: step, AtLeast: m.Estimate.AtLeast, Harm: r.LogE, Safe: m.Safe.LogE, Blind: r.Verdict == analysis.Blind}
	if m.Estimate.Ratio != nil {
		ratio := *m.Estimate.Ratio
		p.Ratio = &ratio
	}
	c.Points = append(c.Points, p)
	c.Margin = cmp.Or(c.Margin, m.Limit)
}

// fixed is c in the order of time, cleaned and with both ends, or an error that says why it cannot be drawn.
func (c Curves) fixed() (Curves, error) {
	if len(c.Points)+len(c.Marks) == 0 {
		return c, ErrNothingToDraw
	}
	c.Points, c.Marks = slices.Clone(c.Points), slices.Clone(c.Marks)
	slices.SortStableFunc(c.Points, func(a, b Point) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(c.Marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	c.Sentence, c.Metric = short(c.Sentence, MaxSentence), short(c.Metric, 63)
	c.Canary, c.Stable = label(cmp.Or(c.Canary, "canary")), label(cmp.Or(c.Stable, "stable"))
	first, last := c.span()
	if c.Start.IsZero() || c.Start.After(first) {
		c.Start = first
	}
	if c.End.Before(last) {
		c.End = last
	}
	if c.Watched.Before(c.Start) || c.Watched.After(c.End) {
		c.Watched = c.Start
	}
	if !c.End.After(c.Start) {
		c.End = c.Start.Add(time.Second)
	}
	for i := range c.Points {
		c.Points[i] = c.Points[i].finite()
	}
	return c, nil
}

// label is a version's name as far as there is room.
func label(name string) string {
	const room = 24
	if runes := []rune(short(name, 253)); len(runes) > room {
		return string(runes[:room-1]) + "…"
	}
	return short(name, 253)
}

// span is the time of the first and the last thing known.
func (c Curves) span() (first, last time.Time) {
	for _, p := range c.Points {
		first, last = widen(first, last, p.At)
	}
	for _, m := range c.Marks {
		first, last = widen(first, last, m.At)
	}
	return first, last
}

func widen(first, last, at time.Time) (from, to time.Time) {
	if first.IsZero() || at.Before(first) {
		first = at
	}
	if last.IsZero() || at.After(last) {
		last = at
	}
	return first, last
}

// finite is p without numbers that have no place on a plot: what is none is not known.
func (p Point) finite() Point {
	if p.Ratio != nil && (math.IsNaN(*p.Ratio) || math.IsInf(*p.Ratio, 0)) {
		p.Ratio = nil
	}
	if math.IsNaN(p.AtLeast) || math.IsInf(p.AtLeast, 0) {
		p.AtLeast = 0
	}
	if math.IsNaN(p.Harm) {
		p.Harm = 0
	}
	if math.IsNaN(p.Safe) {
		p.Safe = 0
	}
	return p
}

// runs cuts the points where a curve must not be joined: at a new step, and where there was no data.
func runs(points []Point) [][]Point {
	var out [][]Point
	var run []Point
	for _, p := range points {
		if len(run) > 0 && (p.Blind || p.Step != run[len(run)-1].Step) {
			out, run = append(out, run), nil
		}
		if !p.Blind {
			run = append(run, p)
		}
	}
	if len(run) > 0 {
		out = append(out, run)
	}
	return out
}

// gaps are the times of which nothing is drawn: before somebody watched, and without data.
func (c Curves) gaps() [][2]time.Time {
	var out [][2]time.Time
	if c.Watched.After(c.Start) {
		out = append(out, [2]time.Time{c.Start, c.Watched})
	}
	return append(out, blindSpans(c.Points, c.End)...)
}

// blindSpans are the times without data, each until the next point that had some, or until the end.
func blindSpans(points []Point, end time.Time) [][2]time.Time {
	var out [][2]time.Time
	for i, p := range points {
		if !p.Blind {
			continue
		}
		until := end
		if i+1 < len(points) {
			until = points[i+1].At
		}
		if n := len(out); n > 0 && out[n-1][1].Equal(p.At) {
			out[n-1][1] = until
			continue
		}
		out = append(out, [2]time.Time{p.At, until})
	}
	return out
}
