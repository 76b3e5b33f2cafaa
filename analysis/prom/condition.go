package prom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
)

// Measure implements analysis.Querier: it asks for the canary's value, and for stable's if a rule names it.
func (s *Server) Measure(ctx context.Context, q analysis.Query) (analysis.Measurement, error) {
	out := analysis.Measurement{Metric: q.Metric, At: q.Until}
	if q.Condition == nil {
		return out, failed(analysis.QueryRejected, "there is no condition to measure")
	}
	rules, err := s.rules.of(*q.Condition)
	if err != nil {
		return out, failed(analysis.QueryRejected, "%v", err)
	}
	canary, stable, err := sidesOf(*q.Condition, q.Arms, rules.stable)
	if err != nil {
		return out, failed(analysis.QueryRejected, "%v", err)
	}
	var fail *Failure
	if out.Value, fail = s.value(ctx, canary, q.Until, q.Oldest); fail != nil {
		return out, s.shown(fail)
	}
	beside := 0.0
	if rules.stable {
		if beside, fail = s.value(ctx, stable, q.Until, q.Oldest); fail != nil {
			return out, s.shown(fail)
		}
		out.Stable = &beside
	}
	if out.Outcome, err = rules.outcome(out.Value, beside); err != nil {
		return out, s.shown(failed(analysis.QueryRejected, "%v", err))
	}
	return out, nil
}

// CheckCondition says whether a condition would be taken as it is written, before anything is asked.
func CheckCondition(c analysis.Condition) error {
	if err := checkArgs(c.Args); err != nil {
		return err
	}
	rules, err := rulesOf(c)
	if err != nil {
		return err
	}
	_, _, err = sidesOf(c, trial(), rules.stable)
	return err
}

// sidesOf are the queries for both arms. Where they are held against each other, they have to differ.
func sidesOf(c analysis.Condition, arms analysis.Arms, compared bool) (canary, stable string, err error) {
	if err := checkQuestion(c.Query); err != nil {
		return "", "", fmt.Errorf("query: %w", err)
	}
	if canary, err = sideOf(c, arms.CanaryVars); err != nil {
		return "", "", err
	}
	if err := checkApart(c.Query, c.Args, arms); err != nil {
		return "", "", fmt.Errorf("query: %w", err)
	}
	if !compared {
		return canary, "", nil
	}
	if stable, err = sideOf(c, arms.StableVars); err != nil {
		return "", "", err
	}
	if canary == stable {
		return "", "", errors.New("query: it is the same for both versions, and a rule names stable: it needs {{subset}} or {{cluster}}")
	}
	return canary, stable, nil
}

// sideOf is the query for one arm, which must be one for all ports of the host.
func sideOf(c analysis.Condition, sets []map[string]string) (string, error) {
	var texts []string
	for _, vars := range sets {
		text, err := fillQuery(c.Query, joined(c.Args, vars))
		if err != nil {
			return "", fmt.Errorf("query: %w", err)
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) != 1 {
		return "", fmt.Errorf("query: it is %d queries, for as many ports of the host: leave {{port}} and {{cluster}} out", len(texts))
	}
	return texts[0], nil
}

// fillQuery replaces the variables of a query. It is read token by token first: a variable may stand in the value of a
// matcher only, and its value is written as a string anew, so that no value can end a string or a matcher.
func fillQuery(query string, vars map[string]string) (string, error) {
	all, err := tokens(query)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	depth, op := 0, ""
	for _, t := range all {
		text, before := t.text, op
		op = ""
		switch t.kind {
		case 's':
			if text, err = fillString(text, before, vars); err != nil {
				return "", err
			}
		case '{':
			if depth++; depth > 1 {
				return "", errors.New("a variable stands inside a label's value only, in quotes")
			}
		case '}':
			if depth--; depth < 0 {
				return "", errors.New("a brace is closed that was not opened")
			}
		case 'm':
			if depth == 1 {
				op = text
			}
		}
		b.WriteString(t.before + text)
	}
	if depth != 0 {
		return "", errors.New("a brace is not closed")
	}
	return b.String(), nil
}

// fillString is a quoted string of a query, which is the value of a matcher if an operator stands before it.
func fillString(quoted, op string, vars map[string]string) (string, error) {
	if !strings.Contains(quoted, "{{") {
		return quoted, nil
	}
	if op == "" {
		return "", errors.New("a variable stands inside a label's value only")
	}
	value, err := unquote(quoted)
	if err != nil {
		return "", errors.New("a label's value has a wrong escape")
	}
	filled, err := instant{name: "x", matchers: []matcher{{label: "x", op: op, value: value}}}.fill(vars)
	if err != nil {
		return "", err
	}
	return strconv.Quote(filled.matchers[0].value), nil
}
