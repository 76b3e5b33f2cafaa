package notify

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// Note is one thing to tell, as every sink gets it.
type Note struct {
	ID          string // the same whenever and however often it is sent
	Environment string // of the Notifier; empty: not said
	Headline    string // what a template of the Notifier made the first line; empty: the usual one
	Again       bool   // it may have been sent before: by a process that ended, or by a try whose answer was lost
	Ref         string // of the newest Receipt of the attempt; empty: there is none
	Email       string // of the author of the version's commit; empty: not known. No sink shows it
	Report      view.EvidenceReport
}

// Receipt is what a receiver gave for a note. The zero value says that there is nothing to keep.
type Receipt struct {
	Ref   string // comes back in the next notes of the attempt, across restarts; at most MaxRef bytes. Empty: as before
	Lacks string // what the receiver did not get although it took the note, and why; empty: nothing
}

// Sink is where notes go. Send returns nil once the receiver has taken the note; else the error is a *Failure, or
// counts as one that is worth another try. The Receipt counts beside an error too: part of the way may be done.
type Sink interface {
	Send(ctx context.Context, n Note) (Receipt, error)
}

// Failure is a delivery that failed: why, and whether trying again can help.
type Failure struct {
	Reason string        // a reason of the Notifier's Ready condition
	Hope   Hope          // whether to try again
	After  time.Duration // not before; 0: as usual
	Err    error
}

// Hope says whether trying again can help. The zero value is Retry.
type Hope int

// The degrees of hope.
const (
	Retry Hope = iota // until the note is too old
	Thrice
	None    // the note can never be delivered
	Gone    // the receiver wants nothing any more: the Notifier is stopped until it is changed
	Dropped // the receiver has no place for this note, and works otherwise
	Stands  // until the Notifier or its Secret changes; looked at again every hour
)

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// failure gives err as a Failure; what is not one is taken for a network that failed.
func failure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Reason: v1alpha1.ReasonUnreachable, Err: err}
}

// Line is the note in one line that stands alone: who, what, by which numbers.
func (n Note) Line() string {
	if n.Headline != "" {
		return problem.Clean(n.Headline, v1alpha1.MaxLine)
	}
	words := []string{mark(n.Report.Note)}
	for _, w := range []string{n.Environment, n.subject().Name} {
		if w != "" {
			words = append(words, w)
		}
	}
	if v := n.Report.Version; v != nil {
		words = append(words, v.Name)
	}
	text := n.Report.Sentence
	if text == "" {
		text = strings.ToLower(string(n.Report.Note))
	}
	return problem.Clean(strings.Join(words, " ")+": "+outright(n.Report.Note)+text, problem.MaxMessage)
}

// subject is the Rollout, or the Source, that the note is about.
func (n Note) subject() view.Object {
	if n.Report.Source != nil {
		return *n.Report.Source
	}
	return n.Report.Rollout
}

// outright says what a sentence of a kind leaves to be understood.
func outright(kind v1alpha1.NoteKind) string {
	switch kind {
	case v1alpha1.NoteBlocked:
		return "blocked: "
	case v1alpha1.NoteSuspicious:
		return "may do harm: "
	default:
		return ""
	}
}

func mark(kind v1alpha1.NoteKind) string {
	switch {
	case SeverityOf(kind) == v1alpha1.SeverityError:
		return "✖"
	case SeverityOf(kind) == v1alpha1.SeverityWarning:
		return "⚠"
	case kind == v1alpha1.NoteCompleted || kind == v1alpha1.NoteGitInSync:
		return "✔"
	}
	return "▶"
}
