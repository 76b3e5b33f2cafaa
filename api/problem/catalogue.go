package problem

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// codes holds one file for each code: a line with code, severities and short text, paragraphs, and files before and after.
//
//go:embed codes/*.txt
var codes embed.FS

// Entry is what the catalogue says of one code.
type Entry struct {
	Code       string     `json:"code"`
	Severities []Severity `json:"severities"` // that Problems of the code can have; one, but for S003
	Short      string     `json:"short"`      // a line without full stop
	Problem    string     `json:"problem"`    // what happens
	Why        string     `json:"why"`        // why that matters, or how it comes about
	Fix        string     `json:"fix"`
	Before     string     `json:"before,omitempty"` // YAML that has the Problem; empty where files alone cannot
	After      string     `json:"after,omitempty"`  // the same without it
}

// Severity is the gravest that the code can have.
func (e Entry) Severity() Severity { return e.Severities[0] }

// Catalogue gives all codes in order. A code is never given another meaning, and never taken away.
func Catalogue() []Entry {
	files, err := fs.Glob(codes, "codes/*.txt")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	out := make([]Entry, 0, len(files))
	for _, f := range files {
		e, _ := Explain(strings.TrimSuffix(path.Base(f), ".txt"))
		out = append(out, e)
	}
	return out
}

// Explain gives the entry of a code, in any case; false: there is none.
func Explain(code string) (Entry, bool) {
	text, err := fs.ReadFile(codes, "codes/"+strings.ToUpper(code)+".txt")
	if err != nil {
		return Entry{}, false
	}
	return parseEntry(string(text)), true
}

// parseEntry reads a file of the catalogue. All of them are read in a test, so a mistake in one never ships.
func parseEntry(text string) Entry {
	head, rest, _ := strings.Cut(text, "\n")
	title, short, _ := strings.Cut(head, ": ")
	code, severities, _ := strings.Cut(title, " ")
	e := Entry{Code: code, Short: short}
	for s := range strings.SplitSeq(severities, ", ") {
		e.Severities = append(e.Severities, Severity(s))
	}
	rest, e.After, _ = strings.Cut(rest, "\nAfter:\n")
	rest, e.Before, _ = strings.Cut(rest, "\nBefore:\n")
	if e.After != "" {
		e.Before += "\n"
	}
	rest, e.Fix, _ = strings.Cut(strings.TrimSpace(rest), "\n\nFix: ")
	e.Problem, e.Why, _ = strings.Cut(rest, "\n\nWhy: ")
	return e
}

// NearestCode gives the code that was probably meant: the one that differs in the fewest characters, of several the one
// with the longest beginning in common.
func NearestCode(code string) string {
	code = strings.ToUpper(code)
	farness := func(e Entry) int { return 8*distance(code, e.Code) - alike(code, e.Code) }
	return slices.MinFunc(Catalogue(), func(a, b Entry) int { return cmp.Compare(farness(a), farness(b)) }).Code
}

// alike is the length of the common beginning.
func alike(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance counts the single changes, insertions and deletions that make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Nearest gives the name among known that was probably meant by name; empty: none is near.
func Nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// Text writes the entry for people, in lines of at most width characters; YAML stays as it is.
func (e Entry) Text(width int) string {
	var b strings.Builder
	grades := make([]string, len(e.Severities))
	for i, s := range e.Severities {
		grades[i] = string(s)
	}
	fmt.Fprintf(&b, "%s  %s  (%s)\n\n%s\n\n%s\n\n%s\n", e.Code, e.Short, strings.Join(grades, " or "),
		wrap(e.Problem, width), wrap("Why: "+e.Why, width), wrap("Fix: "+e.Fix, width))
	for _, part := range []struct{ title, yaml string }{{"Before", e.Before}, {"After", e.After}} {
		if part.yaml == "" {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n\n", part.title)
		for line := range strings.Lines(part.yaml) {
			b.WriteString("    " + line)
		}
	}
	return b.String()
}

// wrap breaks a paragraph between words.
func wrap(text string, width int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}
