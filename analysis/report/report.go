// Package report turns an analysis.Report into words: the one-line sentence and the rows of a table. Notes, command
// line and status show the same words because they all come from here. Curves draw the same evidence over time. It
// decides nothing, and reads nothing.
//
//	report.Sentence(place, r) // step 1/3 (15%): needs about 640 more requests on v2, 1h11m at this rate
package report

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/analysis"
)

// MaxSentence is the longest sentence in bytes; of a cause that comes from outside at most maxCause are shown.
const (
	MaxSentence = 512
	maxCause    = 300
)

// Place is where a rollout stands.
type Place struct {
	Stable string // name of the version that serves the rest
	Canary string
	Step   int // from 1; 0: before the first
	Steps  int
	Weight int // percent of the canary
}

// String is the place in words, such as step 1/3 (15%).
func (p Place) String() string { return fmt.Sprintf("step %d/%d (%d%%)", p.Step, p.Steps, p.Weight) }

// Sentence says on one line what the analysis has found, with numbers, and what now.
func Sentence(p Place, r analysis.Report) string {
	clause := analysis.Clause(r, p.Canary)
	switch r.Verdict {
	case analysis.Rollback:
		return RolledBack(p, clause)
	case analysis.Promote:
		return cut(fmt.Sprintf("%s: %s is %s", p, p.Canary, clause))
	case analysis.Blind:
		return cut(fmt.Sprintf("%s: blind, %s; the weight is held", p, clause))
	case analysis.Unknown:
		return cut(p.String() + ": nothing judged yet")
	case analysis.Inconclusive:
		if r.Reason.Holds() {
			return cut(fmt.Sprintf("%s: %s, %s; the weight is held", p, words(r.Reason), clause))
		}
	}
	return cut(fmt.Sprintf("%s: %s", p, clause))
}

// words is a hold reason as people say it.
func words(r analysis.Reason) string {
	switch r {
	case analysis.Suspicious:
		return "suspicious"
	case analysis.Incident:
		return "both versions fail"
	default:
		return string(r)
	}
}

// RolledBack says that the canary was taken off, and why: a clause of the analysis, or a cause of another kind, such
// as a proxy's refusal. The cause may come from anywhere and is made fit to show.
func RolledBack(p Place, cause string) string {
	end := fmt.Sprintf("; %s serves 100%%", p.Stable)
	return cut(fmt.Sprintf("rolled back to %s at %s: %s", p.Stable, p, short(cause, maxCause)) + end)
}

func cut(sentence string) string { return short(sentence, MaxSentence) }

// short keeps a line printable and at most limit bytes long.
func short(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// Rows are the metrics of a report as lines of a table, without a header.
func Rows(r analysis.Report) []string {
	type row struct{ name, canary, stable, rest string }
	rows := make([]row, 0, len(r.Metrics))
	var name, canary, stable int
	for _, m := range r.Metrics {
		if m.Gate != nil {
			rows, name = append(rows, row{name: short(m.Name, 63), rest: gate(m)}), max(name, len(short(m.Name, 63)))
			continue
		}
		if reason := r.NotJudged(m.Name); reason != "" {
			rows, name = append(rows, row{name: short(m.Name, 63), rest: "not judged: " + string(reason)}), max(name, len(short(m.Name, 63)))
			continue
		}
		x := row{short(m.Name, 63), "canary " + rate(m.Step.Canary), "stable " + rate(m.Step.Stable), rest(r, m)}
		rows = append(rows, x)
		name, canary, stable = max(name, len(x.name)), max(canary, len(x.canary)), max(stable, len(x.stable))
	}
	lines := make([]string, 0, len(rows))
	for _, x := range rows {
		if x.canary == "" { // it compares nothing
			lines = append(lines, fmt.Sprintf("%-*s  %s", name, x.name, x.rest))
			continue
		}
		lines = append(lines, fmt.Sprintf("%-*s  %-*s  %-*s  %s", name, x.name, canary, x.canary, stable, x.stable, x.rest))
	}
	return lines
}

// Table is Rows as one text, each row on a line.
func Table(r analysis.Report) string {
	var b strings.Builder
	for _, line := range Rows(r) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// rate is a bad share as the table writes it: 1.04% (14/1350).
func rate(c analysis.Counts) string {
	if c.N == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%s%% (%d/%d)", analysis.Digits(100*float64(c.Bad)/float64(c.N)), c.Bad, c.N)
}

// rest is what follows the rates: effect, limit, evidence, what now.
func rest(r analysis.Report, m analysis.MetricReport) string {
	var parts []string
	if m.Bounds != nil {
		parts = append(parts, slower(*m.Bounds))
	}
	if effect := effect(r, m); effect != "" {
		parts = append(parts, effect, "limit "+analysis.Times(m.Limit))
	}
	parts = append(parts, evidence(r, m))
	if most, ok := m.Bounds.Loudest(); ok && most.LogE > 0 {
		parts = append(parts, loudest(most))
	}
	if m.Gap != "" {
		parts = append(parts, "no data: "+string(m.Gap))
	}
	if m.DryRun {
		parts = append(parts, "dry run")
	}
	return strings.Join(parts, "  ")
}

func effect(r analysis.Report, m analysis.MetricReport) string {
	if m.Estimate.AtLeast == 0 {
		return ""
	}
	sure := fmt.Sprintf("at least %s (%s%%)", analysis.Times(m.Estimate.AtLeast), analysis.Digits(100*(1-math.Exp(-r.Limit))))
	if m.Estimate.Ratio == nil {
		return sure
	}
	return analysis.Times(*m.Estimate.Ratio) + ", " + sure
}

func evidence(r analysis.Report, m analysis.MetricReport) string {
	harm := fmt.Sprintf("harm %s of %s", amount(r.LogE), amount(r.Limit))
	if g := r.Guard; g != nil && g.Metric == m.Name && g.LogE > r.LogE {
		harm = fmt.Sprintf("guard %s of %s", amount(g.LogE), amount(g.Limit))
	}
	safe := fmt.Sprintf("safe %s of %s", amount(m.Safe.LogE), amount(m.Safe.Limit))
	switch {
	case r.Verdict == analysis.Rollback && r.Reason == analysis.HardFail && r.Metric == m.Name:
		return "hard fail: rolled back"
	case r.Verdict == analysis.Rollback && r.Metric == m.Name:
		if m.Windows == 1 {
			return harm + ": rolled back after 1 window"
		}
		return fmt.Sprintf("%s: rolled back after %d windows", harm, m.Windows)
	case r.Verdict == analysis.Rollback || (r.Reason == analysis.Suspicious && r.Metric == m.Name):
		return harm
	case m.Safe.Cleared:
		return safe + ": cleared"
	case m.Safe.Needed < 0:
		return safe + ": no number of requests is enough at this rate"
	}
	text := fmt.Sprintf("%s: needs about %d more canary requests", safe, m.Safe.Needed)
	if m.Step.Canary.N > 0 && m.Observed > 0 {
		text += fmt.Sprintf(", %s at this rate", analysis.Span(analysis.Wait(m)))
	}
	return text
}

// amount is evidence as a number; beyond what people can read it stays a power of ten.
func amount(logE float64) string {
	if logE > math.Log(1e6) {
		return fmt.Sprintf("1e%d", int(logE/math.Ln10))
	}
	return analysis.Digits(math.Exp(logE))
}
