package story

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

//go:embed page.html
var pageText string

// HTML is the document as one file: no script, nothing that is loaded from anywhere.
func HTML(d Document) ([]byte, error) {
	page, err := template.New("story").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	s := d.Report.Story
	data := struct {
		Title, Sentence, Outcome, Word, Told, Now string
		Sign                                      template.HTML
		Facts                                     [][]string
		Track                                     []segment
		Sections                                  []part
	}{Title: d.title(), Sentence: d.sentence(), Told: instant(&d.At), Word: words(string(s.Outcome)), Track: d.track()}
	data.Outcome, data.Sign = standing(s.Outcome)
	for _, one := range d.sections() {
		switch one.title {
		case nowTitle:
			data.Now = strings.Join(one.text, " ")
		case factsTitle:
			data.Facts = one.rows
		default:
			data.Sections = append(data.Sections, d.part(one))
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return out.Bytes(), nil
}

// part is a section as the page takes it.
type part struct {
	Title string
	Text  []string
	Track bool // the steps are drawn before the table
	Plot  template.HTML
	Head  []string
	Rows  [][]cell
	Code  string
}

// cell is one of a table; it stands under Label, and takes the place of Span columns.
type cell struct {
	Label, Text string
	Span        int
}

func (d Document) part(s section) part {
	out := part{Title: s.title, Text: s.text, Head: s.head, Code: strings.Join(s.code, "\n"), Track: s.title == stepsTitle}
	for _, row := range s.rows {
		out.Rows = append(out.Rows, cells(s.head, row))
	}
	if s.plot {
		out.Plot = template.HTML(d.Plot) //nolint:gosec // drawn by analysis/report, which escapes every text
	}
	return out
}

// cells are those of a row; a last one that stands alone takes the room of the empty ones before it.
func cells(head, row []string) []cell {
	var out []cell
	for i, text := range row {
		out = append(out, cell{Label: head[i], Text: text, Span: 1})
	}
	if last := len(row) - 1; last > 1 && strings.Join(row[1:last], "") == "" {
		out = []cell{out[0], {Label: head[last], Text: row[last], Span: last}}
	}
	return out
}

// segment is a step as a bar: as wide as it was long, as high as its weight.
type segment struct {
	Name         string
	Grow, Weight int
	Took, Result string
}

// track draws the steps; empty where it is not known how long each took.
func (d Document) track() []segment {
	var out []segment
	for _, s := range d.Report.Story.Steps {
		from, to := s.From, s.To
		if to == nil && s.Result == "" {
			to = &d.At
		}
		if from == nil || to == nil || to.Before(*from) {
			return nil
		}
		long := to.Sub(*from)
		out = append(out, segment{Name: fmt.Sprintf("step %d", s.Step), Grow: max(1, int(long/time.Second)), Weight: int(min(max(s.Weight, 0), 100)),
			Took: analysis.Span(long), Result: result(s)})
	}
	return out
}

// standing is an outcome as a class with a sign: colour alone says nothing.
func standing(o v1alpha1.Outcome) (class string, sign template.HTML) {
	switch o {
	case v1alpha1.OutcomeCompleted:
		return "good", "M3 8.5 6.5 12 13 4"
	case v1alpha1.OutcomeRolledBack:
		return "bad", "M4 4l8 8M12 4l-8 8"
	case v1alpha1.OutcomeOpen:
		return "open", "M4 3.5v9l8-4.5z"
	case v1alpha1.OutcomeAborted, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeReverted, v1alpha1.OutcomeRestarted, v1alpha1.OutcomeDeleted:
	}
	return "ended", "M4.5 4.5h7v7h-7z"
}
