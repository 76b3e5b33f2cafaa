package notify

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// Prepare gives a note as a Notifier wants it said: with its environment and, where it has a template of the kind, with
// that first line. A template that fails leaves the usual line, and lacks says why.
func Prepare(n *v1alpha1.Notifier, note Note) (out Note, lacks string) {
	note.Environment = n.Spec.Environment
	template, has := n.Spec.Templates[note.Report.Note]
	if !has {
		return note, ""
	}
	line, err := template.Line(note.words())
	if err != nil {
		return note, fmt.Sprintf("the template of %s failed, the usual line was sent: %v", note.Report.Note, err)
	}
	note.Headline = line
	return note, ""
}

// linked gives a note with links to pages about what it tells.
func linked(note Note, t view.LinkTemplates) Note {
	r := &note.Report
	if r.Source != nil {
		return note
	}
	target := view.LinkTarget{Object: r.Rollout, Attempt: r.Attempt, To: r.At}
	if r.AckedAt != nil {
		target.From = *r.AckedAt
	}
	if r.Version != nil {
		target.Commit = r.Version.Commit
	}
	r.Links = t.For(target)
	return note
}

// title is a link's name as the text of a button.
func title(name string) string {
	switch name {
	case "page":
		return "Open in Sluice"
	case "grafana":
		return "Grafana"
	case "kiali":
		return "Kiali"
	case "trace":
		return "Trace"
	}
	return name
}

// words are what templates can speak of.
func (n Note) words() v1alpha1.NoteLine {
	r := n.Report
	out := v1alpha1.NoteLine{
		Environment: n.Environment, Kind: string(r.Note), Severity: string(SeverityOf(r.Note)), Mark: mark(r.Note),
		Namespace: n.subject().Namespace, Name: n.subject().Name, Attempt: r.Attempt,
		Step: r.Place.Step, Steps: r.Place.Steps, Weight: r.Place.Weight, Sentence: r.Sentence, At: r.At.UTC().Format(time.RFC3339),
	}
	if v := r.Version; v != nil {
		out.Version, out.Commit, out.Author, out.Subject = v.Name, v.Commit, v.Author, v.Subject
	}
	if r.Git != nil && out.Commit == "" {
		out.Commit = r.Git.Commit
	}
	if r.Stable != nil {
		out.Stable = r.Stable.Name
	}
	return out
}

// Trial is a note that tells of nothing: it shows whether a Notifier can be heard. id is to be another one each time.
func Trial(n *v1alpha1.Notifier, id string, at time.Time) Note {
	return Note{ID: "test." + id + "." + n.Name, Report: view.EvidenceReport{
		APIVersion: view.APIVersion, Kind: view.KindEvidenceReport, Note: v1alpha1.NoteCompleted, At: at.UTC(),
		Rollout:  view.Object{Namespace: n.Namespace, Name: "test"},
		Sentence: fmt.Sprintf("a test of Notifier %s: nothing happened to any Rollout", n.Name),
	}}
}

// Try sends a note to a Notifier's receiver once, outside any outbox: a Trial from the command line, say. lacks says what
// the receiver did not get although it took the note. Nothing is stored.
func (o *Outlet) Try(ctx context.Context, n *v1alpha1.Notifier, note Note) (lacks string, err error) {
	sink, err := o.Open(ctx, n)
	if err != nil {
		return "", err
	}
	prepared, lacks := Prepare(n, note)
	got, err := sink.Send(ctx, prepared)
	return cmp.Or(got.Lacks, lacks), err
}
