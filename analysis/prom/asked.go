package prom

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// token is a piece of a query. Its kind is the character itself for punctuation.
type token struct {
	kind   byte // s: a string; w: a word, be it a name, a number or a duration; m: what may be the operator of a matcher
	text   string
	before string // blanks and comments
}

// is reports a word, in capitals or not.
func (t token) is(words ...string) bool {
	return t.kind == 'w' && slices.Contains(words, strings.ToLower(t.text))
}

// tokens takes a query apart where PromQL's own lexer does, or finer. What stands before the end comes as a token of kind 0.
func tokens(query string) ([]token, error) {
	gap := regexp.MustCompile(`^(?:[ \t\r\n]|#[^\r\n]*)*`) // either character ends a comment
	form := regexp.MustCompile(`^(?:` + stringForm + `|` + opForm + `|[0-9A-Za-z_:.]+|[][(){},+*/%^<>@-])`)
	var out []token
	for rest := query; ; {
		t := token{before: gap.FindString(rest)}
		rest = rest[len(t.before):]
		if strings.Contains(t.before, "{{") {
			return nil, errors.New("a variable stands inside a label's value only, not in a comment")
		}
		if rest == "" {
			return append(out, t), nil
		}
		t.text = form.FindString(rest)
		switch {
		case t.text == "" && strings.ContainsRune("\"'`", rune(rest[0])):
			return nil, errors.New("a quote is not closed")
		case t.text == "":
			return nil, fmt.Errorf("it cannot be read from %.20q on", rest)
		case strings.ContainsRune("\"'`", rune(t.text[0])):
			t.kind = 's'
		case strings.ContainsRune("=!", rune(t.text[0])):
			t.kind = 'm'
		case len(t.text) > 1 || !strings.Contains("[](){},+*/%^<>@-", t.text):
			t.kind = 'w'
		default:
			t.kind = t.text[0]
		}
		out = append(out, t)
		rest = rest[len(t.text):]
	}
}

// question is what the tokens of a query say about what it reads. It is no parser: the server is. It finds what would be an answer
// although nothing of the version was measured.
type question struct {
	tokens []token
	at     int

	moved       []bool // of each selector: it reads another time than now
	first, last int    // the selectors that a modifier at this place moves
	open        []int  // how many selectors there were where each parenthesis opened

	or                string // the operator, or or unless, that can answer without data
	bool              bool
	made, scalar      string // functions that answer without data
	positive, negated bool   // matchers that hold a variable of the version
}

// checkQuestion refuses queries whose answer would say nothing about now, or nothing of what was measured.
func checkQuestion(query string) error {
	all, err := tokens(query)
	if err != nil {
		return err
	}
	q := &question{tokens: all}
	for q.now().kind != 0 {
		if err := q.step(); err != nil {
			return err
		}
	}
	switch {
	case len(q.moved) == 0:
		return errors.New("it reads no metric: the answer would always be there")
	case !slices.Contains(q.moved, false):
		return errors.New("all that it reads is moved by offset: something has to be read as it is now")
	case q.or != "" && q.made != "":
		return fmt.Errorf("%s beside %s() answers where nothing was measured: silence would be taken for a value; to count what is missing as "+
			"zero, write: or 0 * sum(what is there as long as anything is measured)", q.or, q.made)
	case q.bool && q.scalar != "":
		return errors.New("bool beside scalar() answers where nothing was measured: leave scalar out")
	case q.negated && !q.positive:
		return errors.New("{{subset}} and {{cluster}} stand under != and !~ only: that measures every version but the one asked about")
	}
	return nil
}

func (q *question) now() token { return q.tokens[min(q.at, len(q.tokens)-1)] }

func (q *question) next() token { return q.tokens[min(q.at+1, len(q.tokens)-1)] }

// step goes over one token, or over a selector, a range, a list of labels or a modifier as a whole.
func (q *question) step() error {
	t, next := q.now(), q.next()
	switch {
	case t.kind == '{', t.kind == 'w' && q.names(t, next):
		return q.selector()
	case t.kind == '[':
		return q.skip('[', ']') // a range: what it moves stays the same
	case t.kind == '(':
		q.open = append(q.open, len(q.moved))
	case t.kind == ')' && len(q.open) == 0:
		return errors.New("a parenthesis is closed that was not opened")
	case t.kind == ')':
		q.first, q.last = q.open[len(q.open)-1], len(q.moved)
		q.open = q.open[:len(q.open)-1]
		q.at++
		return nil
	case t.kind == '@':
		return q.fixed()
	case t.is("offset"):
		for i := q.first; i < q.last; i++ {
			q.moved[i] = true
		}
		q.at++
		if q.now().kind == '-' || q.now().kind == '+' {
			q.at++
		}
		if q.now().kind == 'w' {
			q.at++
		}
		return nil
	case t.is("by", "without", "on", "ignoring", "group_left", "group_right") && next.kind == '(':
		q.at++
		return q.skip('(', ')')
	default:
		q.word(t, next)
	}
	q.at++
	q.first, q.last = 0, 0
	return nil
}

// names reports that a word names a metric.
func (q *question) names(t, next token) bool {
	c := t.text[0]
	return c != '.' && (c < '0' || c > '9') && next.kind != '(' && !t.is(
		"and", "or", "unless", "atan2", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "start", "end", "inf", "nan",
		"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio",
	)
}

// word notes functions and operators that answer without data.
func (q *question) word(t, next token) {
	call := t.kind == 'w' && next.kind == '('
	switch name := strings.ToLower(t.text); {
	case t.is("or", "unless"):
		q.or = strings.ToLower(t.text)
	case t.is("bool"):
		q.bool = true
	case call && name == "scalar":
		q.scalar = name
	case call && slices.Contains([]string{"vector", "absent", "absent_over_time"}, name):
		q.made = name
	case call && slices.Contains([]string{
		"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
	}, name) && q.tokens[min(q.at+2, len(q.tokens)-1)].kind == ')':
		q.made = name
	}
}

// selector goes over a name and its matchers, or matchers alone.
func (q *question) selector() error {
	q.moved = append(q.moved, false)
	q.first, q.last = len(q.moved)-1, len(q.moved)
	if q.now().kind == 'w' {
		q.at++
	}
	if q.now().kind != '{' {
		return nil
	}
	version := regexp.MustCompile(`\{\{\s*(?:subset|cluster)\s*\}\}`)
	for op := ""; q.now().kind != '}'; q.at++ {
		switch t := q.now(); {
		case t.kind == 0:
			return errors.New("a brace is not closed")
		case t.kind == 'm':
			op = t.text
		case t.kind == 's' && op != "" && version.MatchString(t.text):
			q.positive = q.positive || op[0] == '='
			q.negated = q.negated || op[0] == '!'
			op = ""
		}
	}
	q.at++
	return nil
}

// fixed goes over @ and what follows, which has to be the time of the question.
func (q *question) fixed() error {
	q.at++
	if q.now().is("start", "end") && q.next().kind == '(' {
		q.at++
		return q.skip('(', ')')
	}
	return errors.New("@ with a time reads the same moment at every look: only @ start() and @ end() are taken")
}

// skip goes behind the bracket that ends what one opens here.
func (q *question) skip(from, to byte) error {
	for depth := 0; ; q.at++ {
		switch q.now().kind {
		case 0:
			return fmt.Errorf("%c is not closed", from)
		case from:
			depth++
		case to:
			if depth--; depth == 0 {
				q.at++
				return nil
			}
		}
	}
}
