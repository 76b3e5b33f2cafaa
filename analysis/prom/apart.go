package prom

import (
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/analysis"
)

// apart reports that two selectors made of one template, for each version, cannot be seen to pick a common series: one of their
// matchers tells the versions apart.
func apart(canary, stable instant) bool {
	for i, c := range canary.matchers {
		if s := stable.matchers[i]; c.value != s.value && !common(c.op, c.value, s.value) {
			return true
		}
	}
	return false
}

// common reports a value of a label that matches both. Of regular expressions a few values are tried: where one is found there
// is one; where none is, there may be one all the same.
func common(op, canary, stable string) bool {
	switch op {
	case "=":
		return canary == stable
	case "=~":
		return overlap(canary, stable) || overlap(stable, canary)
	}
	return true // not this and not that: all others
}

// overlap reports that some value of one regular expression matches the other.
func overlap(of, other string) bool {
	tree, err := syntax.Parse(of, syntax.Perl)
	if err != nil {
		return false
	}
	match, err := regexp.Compile("^(?s:" + other + ")$")
	return err == nil && slices.ContainsFunc(examples(tree), match.MatchString)
}

// maxExamples are made of a regular expression.
const maxExamples = 32

// examples are short values that a regular expression matches, one for each of its alternatives.
func examples(tree *syntax.Regexp) []string {
	switch tree.Op {
	case syntax.OpLiteral:
		return []string{string(tree.Rune)}
	case syntax.OpCharClass:
		if len(tree.Rune) == 0 {
			return nil
		}
		return []string{string(tree.Rune[0])}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"x"}
	case syntax.OpCapture, syntax.OpPlus:
		return examples(tree.Sub[0])
	case syntax.OpRepeat:
		var out []string
		for _, one := range examples(tree.Sub[0]) {
			out = append(out, strings.Repeat(one, tree.Min))
		}
		return out
	case syntax.OpAlternate:
		var out []string
		for _, sub := range tree.Sub {
			out = append(out, examples(sub)...)
		}
		return out[:min(len(out), maxExamples)]
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range tree.Sub {
			var longer []string
			for _, head := range out {
				for _, tail := range examples(sub) {
					longer = append(longer, head+tail)
				}
			}
			out = longer[:min(len(longer), maxExamples)]
		}
		return out
	case syntax.OpStar, syntax.OpQuest, syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""} // what may be left out, and what matches no character
	case syntax.OpNoMatch:
	}
	return nil
}

// checkApart refuses a query that has a selector for the version which picks series of the other one too.
func checkApart(query string, args map[string]string, arms analysis.Arms) error {
	all, err := tokens(query)
	if err != nil || len(arms.CanaryVars) == 0 || len(arms.StableVars) == 0 {
		return err
	}
	for _, sel := range selectors(all) {
		canary, err := sel.fill(joined(args, arms.CanaryVars[0]))
		if err != nil {
			return err
		}
		stable, err := sel.fill(joined(args, arms.StableVars[0]))
		if err != nil {
			return err
		}
		wanted := false
		for i, m := range sel.matchers {
			wanted = wanted || (m.op[0] == '=' && canary.matchers[i].value != stable.matchers[i].value)
		}
		if wanted && !apart(canary, stable) {
			return fmt.Errorf("%.80s and %.80s pick series of both versions: one = with {{subset}} or {{cluster}} tells them apart", canary, stable)
		}
	}
	return nil
}

// joined are the variables of an arm.
func joined(args, vars map[string]string) map[string]string {
	all := maps.Clone(args)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, vars) // what tells the arms apart cannot be redefined
	return all
}

// selectors are the matchers in the braces of a query. Their labels do not matter here, nor do names.
func selectors(all []token) []instant {
	var out []instant
	op := ""
	for _, t := range all {
		switch t.kind {
		case '{':
			out = append(out, instant{})
			op = ""
		case 'm':
			op = t.text
		case 's':
			if value, err := unquote(t.text); err == nil && op != "" && len(out) > 0 {
				last := &out[len(out)-1]
				last.matchers = append(last.matchers, matcher{label: "_", op: op, value: value})
			}
			op = ""
		default:
			op = ""
		}
	}
	return out
}
