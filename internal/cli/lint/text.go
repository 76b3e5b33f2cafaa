package lint

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// paint colours text of the report; off, it leaves it as it is.
type paint bool

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	yellow = "33"
	blue   = "34"
)

func (p paint) in(style, text string) string {
	if !bool(p) {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p paint) severity(s problem.Severity) string {
	style := map[problem.Severity]string{problem.Error: red, problem.Warning: yellow, problem.Info: blue}[s]
	return p.in(style, fmt.Sprintf("%-7s", s))
}

// WriteText writes the report for people: by file, with place, severity and code in columns, and what to do below.
func WriteText(out io.Writer, r view.LintReport, colour bool) error {
	var b bytes.Buffer
	for group := range byFile(r.Problems) {
		writeFile(&b, group, paint(colour))
	}
	b.WriteString(summary(r) + "\n")
	if codes := codesOf(r.Problems); len(codes) > 0 {
		b.WriteString(paint(colour).in(dim, "more about a code: sluice explain "+codes[0]) + "\n")
	}
	_, err := out.Write(b.Bytes())
	return err
}

// byFile parts Problems that are in order by the file they stand in.
func byFile(ps []problem.Problem) func(yield func([]problem.Problem) bool) {
	return func(yield func([]problem.Problem) bool) {
		for len(ps) > 0 {
			n := slices.IndexFunc(ps, func(p problem.Problem) bool { return p.Path != ps[0].Path })
			if n < 0 {
				n = len(ps)
			}
			if !yield(ps[:n]) {
				return
			}
			ps = ps[n:]
		}
	}
}

func writeFile(b *bytes.Buffer, ps []problem.Problem, c paint) {
	name := ps[0].Path
	if name == "" {
		name = "the mesh as a whole"
	}
	b.WriteString(c.in(bold, name) + "\n")
	width := 0
	for _, p := range ps {
		width = max(width, len(place(p)))
	}
	indent := strings.Repeat(" ", width+2+2+7+2+4+2)
	for _, p := range ps {
		fmt.Fprintf(b, "  %*s  %s  %s  %s\n", width, place(p), c.severity(p.Severity), p.Code, p.Message)
		if about := strings.TrimSpace(p.Object + " " + p.Field); about != "" {
			b.WriteString(indent + c.in(dim, about) + "\n")
		}
		if p.Hint != "" {
			b.WriteString(indent + p.Hint + "\n")
		}
	}
	b.WriteString("\n")
}

// place is line and column as far as known.
func place(p problem.Problem) string {
	switch {
	case p.Line == 0:
		return ""
	case p.Column == 0:
		return fmt.Sprint(p.Line)
	default:
		return fmt.Sprintf("%d:%d", p.Line, p.Column)
	}
}

// summary is the last line: what was found, and in how much.
func summary(r view.LintReport) string {
	var parts []string
	for _, c := range []struct {
		n    int
		name string
	}{{r.Counts.Errors, "error"}, {r.Counts.Warnings, "warning"}, {r.Counts.Infos, "info"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.name))
		}
	}
	text := "no findings"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	text += fmt.Sprintf(" in %s (%s)", count(r.Files, "file"), count(r.Objects, "object"))
	if n := len(r.Suppressed); n > 0 {
		text += fmt.Sprintf("; %d suppressed", n)
	}
	return text
}

func count(n int, name string) string {
	if n == 1 || name == "info" {
		return fmt.Sprintf("%d %s", n, name)
	}
	return fmt.Sprintf("%d %ss", n, name)
}

// codesOf are the codes of the Problems, each once, sorted.
func codesOf(ps []problem.Problem) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
