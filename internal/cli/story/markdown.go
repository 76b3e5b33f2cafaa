package story

import (
	"fmt"
	"math"
	"strings"

	"github.com/guptarohit/asciigraph"

	"github.com/sluice-dev/sluice/analysis"
)

// Markdown is the document as text for issue trackers, chats and pull requests. The picture is drawn in characters:
// such places show no file that is not theirs.
func Markdown(d Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n**%s**\n", plain(d.title()), plain(d.sentence()))
	for _, s := range d.sections() {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		for _, text := range s.text {
			b.WriteString("\n" + plain(text) + "\n")
		}
		if s.plot {
			b.WriteString("\n" + fence(d.graph()))
		}
		if len(s.rows) > 0 {
			b.WriteString("\n" + line(s.head) + "|" + strings.Repeat("---|", len(s.head)) + "\n")
			for _, row := range s.rows {
				b.WriteString(line(row))
			}
		}
		if len(s.code) > 0 {
			b.WriteString("\n" + fence(strings.Join(s.code, "\n")))
		}
	}
	fmt.Fprintf(&b, "\nTold at %s.\n", instant(&d.At))
	return b.String()
}

func line(cells []string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = plain(c)
	}
	return "| " + strings.Join(out, " | ") + " |\n"
}

// plain keeps text from meaning anything in Markdown or in the HTML that it becomes.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '@': // nobody is called by what a commit says
			b.WriteString("&#64;")
		case '\\', '`', '*', '_', '[', ']', '|', '#', '~', '!':
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "://", "&#58;//")
}

// fence puts text into a block that nothing in it can end.
func fence(text string) string {
	marks := "```"
	for strings.Contains(text, marks) {
		marks += "`"
	}
	return marks + "text\n" + strings.TrimSuffix(text, "\n") + "\n" + marks + "\n"
}

// graph draws the evidence in characters: as powers of ten.
func (d Document) graph() string {
	c := d.Report.Story.Curves
	if c == nil || len(c.Points) == 0 {
		return "no points"
	}
	const wide, low, high = 64, -1.0, 4.0
	var harm, safe []float64
	every := max(1, len(c.Points)/wide)
	for i := every - 1; i < len(c.Points); i += every {
		p := c.Points[i]
		harm = append(harm, min(max(p.Harm/math.Ln10, low), high))
		safe = append(safe, min(max(p.Safe/math.Ln10, low), high))
	}
	drawn := asciigraph.PlotMany([][]float64{harm, safe}, asciigraph.Height(10), asciigraph.LowerBound(low), asciigraph.UpperBound(3),
		asciigraph.Precision(1), asciigraph.SeriesChars(asciigraph.CreateCharSet("h"), asciigraph.CreateCharSet("s")))
	return fmt.Sprintf("log10 of the evidence: h that it is worse (rolled back at %s), s that it is not, by %s (cleared at %s)\n%s",
		analysis.Digits(-math.Log10(c.Alpha)), c.Metric, analysis.Digits(-math.Log10(c.Beta)), drawn)
}
