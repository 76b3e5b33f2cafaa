// Package story tells a whole attempt as a document: in Markdown for a place where people write, or as one HTML file
// that needs nothing else, in light and dark and on paper. It reads no cluster and decides nothing.
//
//	text := story.Markdown(story.Document{Report: report, Plot: svg})
package story

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// Document is what is told.
type Document struct {
	Report view.EvidenceReport // with a Story
	Plot   []byte              // the evidence over time as SVG that is safe to embed; empty: there is none
	At     time.Time           // of the telling
}

// unknown stands where nothing is known.
const unknown = "n/a"

// The titles of sections that a page shows in a way of their own.
const (
	factsTitle = "Attempt"
	nowTitle   = "What Git says now"
	stepsTitle = "Steps"
)

// section is a part of a document, whatever it is written in.
type section struct {
	title string
	plot  bool
	text  []string // paragraphs
	head  []string // of a table
	rows  [][]string
	code  []string // to be copied as it is
}

// sections are the parts in their order; those with nothing to say are left out.
func (d Document) sections() []section {
	s := d.Report.Story
	now := section{title: nowTitle, text: []string{s.Now.Sentence}}
	all := []section{d.facts(), now, d.steps(), d.evidence(), d.plot(), d.acts(), d.events(), d.proxies(), d.queries()}
	if len(s.Missing) > 0 {
		rows := make([][]string, len(s.Missing))
		for i, m := range s.Missing {
			rows[i] = []string{m}
		}
		all = append(all, section{title: "What is not known", head: []string{"Missing, and why"}, rows: rows})
	}
	out := all[:0]
	for _, one := range all {
		if len(one.text)+len(one.rows)+len(one.code) > 0 || one.plot {
			out = append(out, one.clean())
		}
	}
	return out
}

// clean has no text that could do anything to a terminal or a page: escaping for one form is its renderer's work.
func (s section) clean() section {
	tidy := func(words []string) []string {
		out := make([]string, len(words))
		for i, w := range words {
			out[i] = problem.Clean(w, 2048)
		}
		return out
	}
	s.text, s.code = tidy(s.text), tidy(s.code)
	rows := make([][]string, len(s.rows))
	for i, r := range s.rows {
		rows[i] = tidy(r)
	}
	s.rows = rows
	return s
}

// title is what the document is about.
func (d Document) title() string {
	r := d.Report
	return problem.Clean(fmt.Sprintf("%s/%s, attempt %d", r.Rollout.Namespace, r.Rollout.Name, r.Attempt), 256)
}

// sentence is what became of it.
func (d Document) sentence() string { return problem.Clean(d.Report.Sentence, 512) }

func (d Document) facts() section {
	r, s := d.Report, d.Report.Story
	outcome := words(string(s.Outcome))
	if s.Reason != "" {
		outcome += " (" + s.Reason + ")"
	}
	if s.DryRun {
		outcome += ", dry run"
	}
	rows := [][]string{
		{"Outcome", outcome},
		{"Version", named(r.Version)},
		{"Compared with", named(r.Stable)},
		{"Commit", commit(r.Version)},
		{"Author", author(r.Version)},
		{"Started", instant(s.StartedAt)},
		{"Ended", ended(s)},
		{"Took", took(s.StartedAt, s.EndedAt)},
	}
	if s.Outcome == v1alpha1.OutcomeRolledBack || s.Outcome == v1alpha1.OutcomeAborted {
		back := unknown
		if r.ZeroAt != nil && s.EndedAt != nil {
			back = took(s.EndedAt, r.ZeroAt) + " after the decision, in every proxy"
		}
		rows = append(rows, []string{"Traffic was back", back})
	}
	return section{title: factsTitle, head: []string{"", ""}, rows: rows}
}

func named(v *view.Version) string {
	if v == nil {
		return unknown
	}
	return v.Name
}

func commit(v *view.Version) string {
	if v == nil || v.Commit == "" {
		return unknown
	}
	if v.Subject == "" {
		return v.Commit
	}
	return v.Commit + "  " + v.Subject
}

func author(v *view.Version) string {
	if v == nil {
		return unknown
	}
	return cmp.Or(v.Author, unknown)
}

func ended(s *view.Story) string {
	if s.EndedAt == nil && s.Outcome == v1alpha1.OutcomeOpen {
		return "it goes on"
	}
	return instant(s.EndedAt)
}

func instant(t *time.Time) string {
	if t == nil {
		return unknown
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func took(from, to *time.Time) string {
	if from == nil || to == nil {
		return unknown
	}
	return analysis.Span(to.Sub(*from))
}

func (d Document) steps() section {
	out := section{title: stepsTitle, head: []string{"Step", "Weight", "Asked for", "In every proxy after", "Took", "Result"}}
	for _, s := range d.Report.Story.Steps {
		name := fmt.Sprint(s.Step)
		if s.Name != "" {
			name += " " + s.Name
		}
		out.rows = append(out.rows, []string{name, fmt.Sprintf("%d%%", s.Weight), instant(s.From), took(s.From, s.Acked), took(s.From, s.To), result(s)})
	}
	return out
}

// result is what ended a step.
func result(s view.StoryStep) string {
	out := cmp.Or(v1alpha1.GateResult(s.Result).Words(), words(s.Result), "open")
	if s.Actor != "" {
		out += " by " + s.Actor
	}
	return out
}

// words are an outcome as people say it: rolled back for rolledBack.
func words(outcome string) string {
	var b strings.Builder
	for _, r := range outcome {
		if unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// evidence is the table of numbers, those of the last step.
func (d Document) evidence() section {
	out := section{title: "Evidence", head: []string{"Metric", "Canary bad", "Stable bad", "Ratio", "At least", "Harm", "Safe", "What else"}}
	for _, m := range d.Report.Metrics {
		row := []string{m.Name, arm(m.Canary), arm(m.Stable), times(m.Ratio), times(m.AtLeast), cmp.Or(m.Harm, unknown), cmp.Or(m.Safe, unknown), remark(m)}
		if m.Gate != nil || m.NotJudged != "" {
			row = []string{m.Name, "", "", "", "", "", "", remark(m)}
		}
		out.rows = append(out.rows, row)
	}
	return out
}

func times(ratio string) string {
	if ratio == "" {
		return unknown
	}
	return ratio + "x"
}

func arm(a v1alpha1.ArmStatus) string {
	if a.Requests == 0 {
		return unknown
	}
	return analysis.RateOf(analysis.Counts{N: uint64(max(a.Requests, 0)), Bad: uint64(max(a.Bad, 0))})
}

// remark is what else there is to say of a metric.
func remark(m v1alpha1.MetricStatus) string {
	switch {
	case m.NotJudged != "":
		return "not judged: " + m.NotJudged
	case m.Gate != nil:
		g := m.Gate
		words := fmt.Sprintf("gate %s: %d passed, %d failed", strings.ToLower(string(g.State)), g.Passed, g.Failed)
		if g.Value != "" {
			words += ", last " + g.Value
		}
		return words
	}
	var words []string
	if m.Bounds != nil && m.Bounds.Slow != "" {
		words = append(words, "slower than "+m.Bounds.Slow)
	}
	if m.Cleared {
		words = append(words, "cleared")
	}
	if m.Needed != nil && *m.Needed > 0 && !m.Cleared {
		words = append(words, fmt.Sprintf("needs about %d more requests", *m.Needed))
	}
	return strings.Join(words, ", ")
}

func (d Document) plot() section {
	c := d.Report.Story.Curves
	if len(d.Plot) == 0 || c == nil {
		return section{}
	}
	return section{title: "Evidence over time", plot: true, text: []string{fmt.Sprintf("Judged anew from the samples of %s, at %d looks; hard rules and load reports are not.", c.Server, len(c.Points))}}
}

func (d Document) queries() section {
	out := section{title: "Queries"}
	for _, q := range d.Report.Story.Queries {
		out.code = append(out.code, fmt.Sprintf("# %s, of %s", q.Metric, q.Server), q.Query)
	}
	return out
}

func (d Document) proxies() section {
	p := d.Report.Story.Proxies
	if p == nil {
		return section{}
	}
	words := fmt.Sprintf("When this was told, %d of %d connected proxies ran what is asked for; %d refused it.", p.Acked, p.Connected, p.Nacked)
	if len(p.Laggards) > 0 {
		words += " No answer from " + strings.Join(p.Laggards, ", ") + "."
	}
	return section{title: "Proxies", text: []string{words}}
}

func (d Document) acts() section {
	out := section{title: "Who acted", head: []string{"When", "Who", "Asked for", "Result", "Why"}}
	for _, a := range d.Report.Story.Acts {
		result := cmp.Or(string(a.Result), "pending")
		if a.Code != "" {
			result += " (" + a.Code + ")"
		}
		out.rows = append(out.rows, []string{instant(a.At), cmp.Or(a.Actor, unknown), string(a.Verb), result, a.Reason})
	}
	return out
}

func (d Document) events() section {
	out := section{title: "What happened", head: []string{"When", "About", "What", "In words"}}
	for _, e := range d.Report.Story.Events {
		out.rows = append(out.rows, []string{instant(&e.At), e.About, e.Reason, e.Note})
	}
	return out
}
