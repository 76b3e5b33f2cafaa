package prom

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/analysis"
)

// instant is a parsed instant selector: a metric name and matchers. Variables are replaced in the values of its
// matchers, and only then is it written as PromQL, so that no value can end a string or a matcher.
type instant struct {
	name     string
	matchers []matcher
}

type matcher struct {
	label string
	op    string // = != =~ !~
	value string
}

// regex reports whether the value is a regular expression.
func (m matcher) regex() bool { return strings.HasSuffix(m.op, "~") }

// scanner reads a selector from left to right.
type scanner struct {
	rest  string
	forms map[string]*regexp.Regexp // by pattern
}

// take cuts a match of the pattern off the front; blanks before it are skipped.
func (s *scanner) take(pattern string) (string, bool) {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	form := s.forms[pattern]
	if form == nil {
		if s.forms == nil {
			s.forms = map[string]*regexp.Regexp{}
		}
		form = regexp.MustCompile(`^(?:` + pattern + `)`)
		s.forms[pattern] = form
	}
	found := form.FindString(s.rest)
	s.rest = s.rest[len(found):]
	return found, found != ""
}

// mark cuts a punctuation mark off the front; blanks before it are skipped.
func (s *scanner) mark(c string) bool {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	rest, found := strings.CutPrefix(s.rest, c)
	s.rest = rest
	return found
}

// The lexical forms of PromQL that a selector needs.
const (
	nameForm   = `[a-zA-Z_:][a-zA-Z0-9_:]*`
	labelForm  = `[a-zA-Z_][a-zA-Z0-9_]*`
	opForm     = `=~|!~|!=|=`
	stringForm = `"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|` + "`[^`]*`"
)

// parse reads a bare instant selector. Functions, ranges, offset, @ and subqueries are refused: they would not be
// raw samples.
func parse(text string) (instant, error) {
	s := scanner{rest: text}
	var sel instant
	name, ok := s.take(nameForm)
	if !ok {
		return sel, errors.New("want a metric name first, such as requests_total{...}")
	}
	sel.name = name
	if s.mark("{") {
		for !s.mark("}") {
			m, err := s.matcher()
			if err != nil {
				return sel, err
			}
			sel.matchers = append(sel.matchers, m)
			if !s.mark(",") {
				if !s.mark("}") {
					return sel, fmt.Errorf("want , or } before %.20q", s.rest)
				}
				break
			}
		}
	}
	if rest := strings.TrimSpace(s.rest); rest != "" {
		return sel, fmt.Errorf("a bare selector is wanted: functions, ranges and modifiers such as %.20q are not taken", rest)
	}
	return sel, nil
}

func (s *scanner) matcher() (matcher, error) {
	label, ok := s.take(labelForm)
	if !ok || label == "__name__" {
		return matcher{}, fmt.Errorf("want a label name before %.20q", s.rest)
	}
	op, ok := s.take(opForm)
	if !ok {
		return matcher{}, fmt.Errorf("want one of = != =~ !~ after label %s", label)
	}
	quoted, ok := s.take(stringForm)
	if !ok {
		return matcher{}, fmt.Errorf("want a quoted value for label %s", label)
	}
	value, err := unquote(quoted)
	if err != nil {
		return matcher{}, fmt.Errorf("the value of label %s has a wrong escape", label)
	}
	return matcher{label: label, op: op, value: value}, nil
}

// unquote reads a string of PromQL, which also has the form 'x'.
func unquote(quoted string) (string, error) {
	switch quoted[0] {
	case '`':
		return quoted[1 : len(quoted)-1], nil // Go would leave carriage returns out
	case '"':
		return strconv.Unquote(quoted)
	}
	inner := quoted[1 : len(quoted)-1]
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == '\\' && inner[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case inner[i] == '\\':
			b.WriteString(inner[i : i+2])
			i++
		case inner[i] == '"':
			b.WriteString(`\"`)
		default:
			b.WriteByte(inner[i])
		}
	}
	b.WriteByte('"')
	return strconv.Unquote(b.String())
}

// fill replaces {{variable}} in the values of the matchers.
func (sel instant) fill(vars map[string]string) (instant, error) {
	filled := instant{name: sel.name}
	for _, m := range sel.matchers {
		var b strings.Builder
		rest := m.value
		for {
			before, after, found := strings.Cut(rest, "{{")
			b.WriteString(before)
			if !found {
				break
			}
			name, tail, closed := strings.Cut(after, "}}")
			value, known := vars[strings.TrimSpace(name)]
			if !closed || !known {
				return filled, fmt.Errorf("label %s: {{%.63s}} is no variable; there are %s", m.label, strings.TrimSpace(name),
					strings.Join(slices.Sorted(maps.Keys(vars)), ", "))
			}
			if err := checkValue(value); err != nil {
				return filled, fmt.Errorf("label %s: variable %s: %w", m.label, strings.TrimSpace(name), err)
			}
			if m.regex() {
				value = regexp.QuoteMeta(value)
			}
			b.WriteString(value)
			rest = tail
		}
		m.value = b.String()
		if m.regex() {
			if _, err := regexp.Compile(m.value); err != nil {
				return filled, fmt.Errorf("label %s: %w", m.label, err)
			}
		}
		filled.matchers = append(filled.matchers, m)
	}
	return filled, nil
}

func checkValue(v string) error {
	if v == "" || len(v) > 253 || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }) {
		return errors.New("want 1 to 253 bytes of text without control characters")
	}
	return nil
}

// String writes the selector as PromQL.
func (sel instant) String() string {
	parts := make([]string, 0, len(sel.matchers))
	for _, m := range sel.matchers {
		parts = append(parts, m.label+m.op+strconv.Quote(m.value))
	}
	return sel.name + "{" + strings.Join(parts, ",") + "}"
}

// part is one of the selectors of a ratio, filled for an arm.
type part struct {
	arm      analysis.Arm
	role     analysis.Role
	selector string
}

// partsOf are the selectors of a ratio: two for each arm, and for each further port of the service where they name it.
func partsOf(r analysis.Ratio, arms analysis.Arms) ([]part, error) {
	if r.Total == "" || (r.Bad == "") == (r.Good == "") {
		return nil, errors.New("a ratio needs total, and either bad or good")
	}
	second := part{role: analysis.Bad, selector: r.Bad}
	if r.Good != "" {
		second = part{role: analysis.Good, selector: r.Good}
	}
	var parts []part
	for _, p := range []part{{role: analysis.Total, selector: r.Total}, second} {
		both, err := p.ofArms(r.Args, arms)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.role, err)
		}
		parts = append(parts, both...)
	}
	return parts, nil
}

// bucketsOf are the selectors of a histogram, for each arm as those of a ratio are.
func bucketsOf(h analysis.Histogram, arms analysis.Arms) ([]part, error) {
	parts, err := part{role: analysis.Within, selector: h.Buckets}.ofArms(h.Args, arms)
	if err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	for _, p := range parts {
		sel, err := parse(p.selector)
		if err != nil {
			return nil, fmt.Errorf("buckets: %w", err)
		}
		for _, m := range sel.matchers {
			if m.label == bucketLabel {
				return nil, errors.New("buckets: the label le tells the buckets apart: leave it out of the selector")
			}
		}
	}
	return parts, nil
}

// ofArms are the selectors that the variables of both arms make of one.
func (p part) ofArms(args map[string]string, arms analysis.Arms) ([]part, error) {
	sel, err := parse(p.selector)
	if err != nil {
		return nil, err
	}
	canary, err := texts(sel, args, arms.CanaryVars)
	if err != nil {
		return nil, err
	}
	stable, err := texts(sel, args, arms.StableVars)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, c := range canary {
		for _, s := range stable {
			if c.String() == s.String() {
				return nil, errors.New("the selector is the same for both versions: it needs {{subset}} or {{cluster}}")
			}
			if !apart(c, s) {
				return nil, fmt.Errorf("%.80s and %.80s pick series of both versions: one = with {{subset}} or {{cluster}} tells them apart", c, s)
			}
		}
		parts = append(parts, part{analysis.Canary, p.role, c.String()})
	}
	for _, s := range stable {
		parts = append(parts, part{analysis.Stable, p.role, s.String()})
	}
	return parts, nil
}

// texts are the different selectors that the sets of variables make of one.
func texts(sel instant, args map[string]string, sets []map[string]string) ([]instant, error) {
	var out []instant
	for _, vars := range sets {
		filled, err := sel.fill(joined(args, vars))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(other instant) bool { return other.String() == filled.String() }) {
			out = append(out, filled)
		}
	}
	return out, nil
}

// CheckRatio says whether a ratio would be taken as it is written, before anything is asked.
func CheckRatio(r analysis.Ratio) error {
	if err := checkArgs(r.Args); err != nil {
		return err
	}
	_, err := partsOf(r, trial())
	return err
}
