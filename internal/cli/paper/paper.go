// Package paper lays text for people out: fields, sections and tables. On a terminal that is too narrow, lines break between
// words and go on below where they began; elsewhere a line stays one line, for grep and awk. Verbs print what String gives.
//
//	p := paper.New(60, false)
//	p.Field("Source", "bookinfo/reviews")
//	fmt.Print(p)
package paper

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
)

// The shape of text for people.
const (
	gap       = 3  // spaces between the columns of a table, as kubectl leaves them
	roomy     = 40 // a last column that is narrower goes below its row
	hang      = 4  // how far that, and the rest of a long line, is indented
	leastFold = 20 // no line is folded to fewer columns
)

// Paper is what text for people is written on.
type Paper struct {
	text  strings.Builder
	width int
	ascii bool
}

// New gives an empty Paper of that many columns; 0: it is no terminal, and as wide as it takes. With ascii, all other
// characters become question marks.
func New(width int, ascii bool) *Paper { return &Paper{width: width, ascii: ascii} }

// String is all that was written.
func (p *Paper) String() string { return p.text.String() }

// Line writes text behind an indent; what does not fit goes on below, at the column that it began in.
func (p *Paper) Line(indent, text string) {
	if p.ascii {
		text = ASCII(text)
	}
	begin := lipgloss.Width(indent)
	if !p.fits(begin + lipgloss.Width(text)) {
		text = strings.Join(folded(text, p.width-begin), "\n"+strings.Repeat(" ", begin))
	}
	p.text.WriteString(strings.TrimRight(indent+text, " ") + "\n")
}

func (p *Paper) fits(width int) bool { return p.width <= 0 || width <= p.width }

// Table writes rows below a header, each behind an indent; an empty header is left out. Where a row is too long, the columns
// move together; then the last one breaks between words, or goes below.
func (p *Paper) Table(indent string, header []string, rows [][]string) {
	all := rows
	if len(header) > 0 {
		all = append([][]string{header}, rows...)
	}
	for _, row := range all {
		for i := range row {
			if p.ascii {
				row[i] = ASCII(row[i])
			}
		}
	}
	widths, last := widthsOf(all)
	space := gap
	for space > 1 && !p.fits(lipgloss.Width(indent)+taken(widths, space)+last) && taken(widths, space) > p.width/2 {
		space--
	}
	for _, row := range all {
		p.row(indent, row, widths, space)
	}
}

// Field writes a named value; an empty one is left out.
func (p *Paper) Field(name, value string) {
	if value != "" {
		p.Line(fmt.Sprintf("%-11s ", name+":"), value)
	}
}

// Section writes lines below a title.
func (p *Paper) Section(name string, lines ...string) {
	p.Line("", name+":")
	for _, l := range lines {
		p.Line("  ", l)
	}
}

// Titled writes a table below a title, unless it has no rows.
func (p *Paper) Titled(title string, header []string, rows [][]string) {
	if len(rows) > 0 {
		p.Line("", title+":")
		p.Table("  ", header, rows)
	}
}

// widthsOf gives how wide each column is, but for the last, and how wide that is.
func widthsOf(rows [][]string) (before []int, last int) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(row)-1 {
				last = max(last, lipgloss.Width(cell))
				continue
			}
			for len(before) <= i {
				before = append(before, 0)
			}
			before[i] = max(before[i], lipgloss.Width(cell))
		}
	}
	return before, last
}

// taken is how wide those columns are, with the space behind each.
func taken(widths []int, space int) int {
	all := 0
	for _, w := range widths {
		all += w + space
	}
	return all
}

func (p *Paper) row(indent string, row []string, widths []int, space int) {
	head := strings.Builder{}
	head.WriteString(indent)
	for i, cell := range row[:len(row)-1] {
		head.WriteString(cell + strings.Repeat(" ", max(0, widths[i]-lipgloss.Width(cell))+space))
	}
	last, begin := row[len(row)-1], lipgloss.Width(head.String())
	if p.fits(begin+lipgloss.Width(last)) || p.width-begin >= roomy {
		p.Line(head.String(), last)
		return
	}
	p.Line("", strings.TrimRight(head.String(), " "))
	p.Line(indent+strings.Repeat(" ", hang), last)
}

// folded breaks text between words into lines of at most that many columns; a word that is longer is broken.
func folded(text string, width int) []string {
	width = max(width, leastFold)
	var out []string
	line, used := strings.Builder{}, 0
	end := func() {
		if used > 0 {
			out = append(out, line.String())
		}
		line.Reset()
		used = 0
	}
	for _, word := range strings.Fields(text) {
		size := lipgloss.Width(word)
		if used > 0 && used+1+size > width {
			end()
		}
		if used > 0 {
			line.WriteString(" ")
			used++
		}
		for _, r := range word {
			w := lipgloss.Width(string(r))
			if used+w > width {
				end()
			}
			line.WriteRune(r)
			used += w
		}
	}
	end()
	return out
}

// ASCII is text with a question mark for each character beyond ASCII.
func ASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, text)
}
