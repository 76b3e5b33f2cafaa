// Package problem says what is wrong with something a user wrote, where it stands, and how to mend it.
//
// A Problem is not a Go error: errors are for us and for retries, Problems are for the person who wrote the
// object or the file. Every package that reads user input returns Problems; the faces print them.
// The package decides nothing and does no I/O.
package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether the thing concerned takes effect. Its zero value is not valid.
type Severity string

// The severities: an Error has no effect until it is mended, a Warning takes effect in a way the author may
// not expect, an Info is for knowledge only.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// MaxMessage is the longest Message in bytes; Clean cuts to it.
const MaxMessage = 512

// Problem is one finding. Code and Message are always set, the rest where known.
type Problem struct {
	Code     string   `json:"code"` // S followed by three digits; stable and never reused
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"` // "Kind/namespace/name"
	Field    string   `json:"field,omitempty"`  // "spec.http[0].route[1].weight"
	Message  string   `json:"message"`          // one sentence: what, the value
	Hint     string   `json:"hint,omitempty"`   // what to do next
	Path     string   `json:"path,omitempty"`   // file within the source, slash separated
	Line     int      `json:"line,omitempty"`   // from 1; 0 is unknown
	Column   int      `json:"column,omitempty"` // from 1; 0 is unknown
}

// String renders the Problem on one line: place, code, message, hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s %s: ", p.Severity, p.Code)
	if p.Object != "" {
		b.WriteString(p.Object)
		if p.Field != "" {
			b.WriteString(" " + p.Field)
		}
		b.WriteString(": ")
	} else if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Sort orders Problems by object, field, code, path, line and message, in place: the order in which they leave the process.
// It is total: whatever order they come in, they leave in one.
func Sort(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Hint, b.Hint))
	})
}

// HasError reports whether any of ps has severity Error.
func HasError(ps []Problem) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity == Error })
}

// steersDirection reports whether a character has no shape and turns the direction of others, or ends a line.
func steersDirection(r rune) bool {
	return (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0x200e || r == 0x200f || r == 0x061c
}

// Clean makes text from outside fit to show: characters that steer a terminal or the direction of text become spaces and at
// most limit bytes are kept, never cutting a rune in two.
func Clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || steersDirection(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut]
}
