package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// Style says how a frame is drawn.
type Style struct {
	Width  int // of the terminal; 0: as wide as it is
	Colour bool
	ASCII  bool
	Zone   *time.Location // of instants; nil: UTC
}

// The widths from which parts stand beside each other.
const (
	besides = 80 // the state beside the name
	bars    = 64 // two bars in a line with the shares
	cells   = 20 // of both bars together
	rooms   = 48 // of the name, where the state stands beside it
	widest  = 24 // of a cell
)

// Text gives the frame as lines, each at most as wide as the style says and ended.
func (f Frame) Text(s Style) string {
	p := painter{Style: s}
	lines := p.head(f)
	lines = append(lines, p.commit(f.Commit)...)
	lines = append(lines, p.traffic(f.Traffic)...)
	lines = append(lines, p.proxies(f.Proxies)...)
	lines = append(lines, p.next(f)...)
	lines = append(lines, p.table(f)...)
	for _, line := range f.Evidence {
		lines = append(lines, "  "+p.clean(line))
	}
	if f.Foot != "" {
		lines = append(lines, p.dim(p.clean(f.Foot)))
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(p.fit(strings.TrimRight(line, " ")) + "\n")
	}
	return b.String()
}

// painter makes text fit to show.
type painter struct{ Style }

// clean takes out what would steer a terminal, and what it cannot show.
func (p painter) clean(text string) string {
	text = problem.Clean(text, problem.MaxMessage)
	if !p.ASCII {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, text)
}

// fit cuts a line to the width of the terminal.
func (p painter) fit(line string) string {
	if p.Width <= 0 || lipgloss.Width(line) <= p.Width {
		return line
	}
	end := "…"
	if p.ASCII {
		end = "..."
	}
	return cut(line, p.Width-lipgloss.Width(end)) + end
}

// cut leaves so many cells of a line. Escape sequences, which are ours alone, take none and all stay.
func cut(line string, width int) string {
	var b strings.Builder
	used, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			size := lipgloss.Width(string(r))
			if used += size; used > width {
				used = width + 1
				continue
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (p painter) paint(colour, text string) string {
	if !p.Colour || text == "" {
		return text
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(colour)).Render(text)
}

func (p painter) dim(text string) string {
	if !p.Colour || text == "" {
		return text
	}
	return lipgloss.NewStyle().Faint(true).Render(text)
}

// The colours of the terminal's own palette, so that they fit its background.
const (
	red, green, yellow, blue, cyan = "1", "2", "3", "4", "6"
)

func colourOf(s view.Standing) string {
	switch s {
	case view.Ready:
		return green
	case view.RolledBack, view.Failing:
		return red
	case view.Paused:
		return yellow
	case view.Moving:
		return cyan
	}
	return cyan
}

// pad fills a text up to so many cells.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

func (p painter) head(f Frame) []string {
	name := p.clean(f.Name) + "  " + p.clean(f.Namespace)
	state := p.paint(colourOf(f.State.Standing), p.clean(f.State.Reason))
	if f.State.Steps > 0 {
		state += fmt.Sprintf("   step %d/%d   %d%%", f.State.Step, f.State.Steps, f.State.Weight)
	}
	if f.State.Attempt > 0 {
		state += fmt.Sprintf("     attempt %d", f.State.Attempt)
	}
	if p.Width > 0 && p.Width < besides {
		return []string{name, state}
	}
	return []string{pad(name, rooms) + "  " + state}
}

func (p painter) commit(c *Commit) []string {
	if c == nil {
		return nil
	}
	parts := []string{view.Short(p.clean(c.ID))}
	for _, part := range []string{c.Subject, c.Author, c.Ref, c.Signed} {
		if part != "" {
			parts = append(parts, p.clean(part))
		}
	}
	line := "commit   " + parts[0] + "  " + strings.Join(parts[1:], "   ")
	return []string{line}
}

func (p painter) traffic(t Traffic) []string {
	if t.Stable == "" && t.Canary == "" {
		return nil
	}
	stable := fmt.Sprintf("%s %s %d", p.clean(cmp.Or(t.Stable, "n/a")), p.bar(blue, 100-t.Wanted), 100-t.Wanted)
	if t.Canary == "" {
		return []string{"traffic  " + stable}
	}
	canary := fmt.Sprintf("%s %s %d", p.clean(t.Canary), p.bar(yellow, t.Wanted), t.Wanted)
	acked, seen := "n/a", "n/a"
	if t.Acked != nil {
		acked = strconv.Itoa(int(*t.Acked))
	}
	if t.Seen != nil {
		seen = strconv.FormatFloat(*t.Seen, 'f', 1, 64)
	}
	shares := fmt.Sprintf("wanted %d acked %s seen %s", t.Wanted, acked, seen)
	switch {
	case p.Width > 0 && p.Width < bars:
		return []string{"traffic  " + stable, "         " + canary, "         " + shares}
	case p.Width > 0 && p.Width < besides:
		return []string{"traffic  " + stable + "   " + canary, "         " + shares}
	}
	return []string{"traffic  " + stable + "   " + canary + "    " + shares}
}

// bar is as long as a share of all cells; a share that is not 0 is seen.
func (p painter) bar(colour string, percent int32) string {
	n := (int(percent)*cells + 50) / 100
	if percent > 0 {
		n = max(1, n)
	}
	full := "█"
	if p.ASCII {
		full = "#"
	}
	return p.paint(colour, strings.Repeat(full, n))
}

func (p painter) proxies(x *Proxies) []string {
	if x == nil {
		return []string{"proxies  n/a"}
	}
	line := fmt.Sprintf("proxies  %d/%d acked", x.Acked, x.Connected)
	if x.Took != nil && x.Acked == x.Connected {
		line += " in " + Length(*x.Took)
	}
	rejected := fmt.Sprintf("rejected %d", x.Rejected)
	if x.Rejected > 0 {
		rejected = p.paint(red, rejected)
	}
	return []string{line + "   " + rejected + fmt.Sprintf("   stale %d", x.Stale)}
}

func (p painter) next(f Frame) []string {
	line := "next     " + p.clean(f.Next)
	if f.GivesUp == nil {
		return []string{line}
	}
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	end := "gives up now"
	if left := f.GivesUp.Sub(f.Now); left > 0 {
		end = fmt.Sprintf("gives up %s (%s)", f.GivesUp.In(zone).Format("15:04:05"), Length(left))
	}
	if p.Width > 0 && lipgloss.Width(line+"; "+end) > p.Width {
		return []string{line, "         " + end}
	}
	return []string{line + "; " + end}
}

// cell is text of the table: names from outside take no more room than numbers.
func (p painter) cell(text string) string {
	text = p.clean(text)
	if lipgloss.Width(text) <= widest {
		return text
	}
	return painter{Style{Width: widest, ASCII: p.ASCII}}.fit(text)
}

// column is a column of the table; those of the highest rank are left out first where there is no room.
type column struct {
	name string
	rank int
	cell func(Row) string
}

func (p painter) columns(f Frame) []column {
	canary, stable := cmp.Or(strings.ToUpper(f.Traffic.Canary), "CANARY"), cmp.Or(strings.ToUpper(f.Traffic.Stable), "STABLE")
	return []column{
		{"STEP", 0, func(r Row) string { return r.Step }},
		{"WEIGHT", 0, func(r Row) string { return r.Weight }},
		{"TOOK", 4, func(r Row) string { return r.Took }},
		{"VERDICT", 0, func(r Row) string { return r.Verdict }},
		{"METRIC", 0, func(r Row) string { return r.Metric }},
		{p.cell(canary), 2, func(r Row) string { return r.Numbers.Canary }},
		{p.cell(stable), 3, func(r Row) string { return r.Numbers.Stable }},
		{"RATIO", 5, func(r Row) string { return r.Numbers.Ratio }},
		{"AT LEAST", 6, func(r Row) string { return r.Numbers.AtLeast }},
		{"HARM", 1, func(r Row) string { return r.Numbers.Harm }},
		{"SAFE", 1, func(r Row) string { return r.Numbers.Safe }},
	}
}

// table draws the rows, without the columns that there is no room for.
func (p painter) table(f Frame) []string {
	if len(f.Rows) == 0 {
		return nil
	}
	columns := p.columns(f)
	for {
		widths, all := p.widths(columns, f.Rows)
		worst := slices.MaxFunc(columns, func(a, b column) int { return cmp.Compare(a.rank, b.rank) })
		if p.Width <= 0 || all <= p.Width || worst.rank == 0 {
			return p.draw(columns, widths, f.Rows)
		}
		columns = slices.DeleteFunc(columns, func(c column) bool { return c.rank == worst.rank })
	}
}

// widths are those of the columns, and of all with what is between.
func (p painter) widths(columns []column, rows []Row) ([]int, int) {
	widths, all := make([]int, len(columns)), 2*(len(columns)-1)
	for i, c := range columns {
		widths[i] = lipgloss.Width(c.name)
		for _, r := range rows {
			widths[i] = max(widths[i], lipgloss.Width(p.cell(c.cell(r))))
		}
		all += widths[i]
	}
	return widths, all
}

func (p painter) draw(columns []column, widths []int, rows []Row) []string {
	var head strings.Builder
	for i, c := range columns {
		head.WriteString(pad(c.name, widths[i]) + "  ")
	}
	out := []string{p.dim(strings.TrimRight(head.String(), " "))}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range columns {
			text := pad(p.cell(c.cell(r)), widths[i])
			if c.name == "VERDICT" && r.Verdict != "" {
				text = p.paint(verdictColour(r.Verdict), text)
			}
			line.WriteString(text + "  ")
		}
		out = append(out, line.String())
	}
	return out
}

func verdictColour(verdict string) string {
	switch verdict {
	case "Promote", "Proven", "TimeOnly":
		return green
	case "Rollback":
		return red
	}
	return yellow
}
