package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// The bounds of details: rows of evidence, and bytes of a line.
const (
	maxRows   = 4
	maxDetail = 256
)

// Details are further lines: where it happened, the commit, the evidence, what can be done. None repeats Line.
func (n Note) Details() []string {
	out := n.where()
	if n.Report.Source == nil {
		out = append(out, n.evidence()...)
		if text := n.proxies(); text != "" {
			out = append(out, text)
		}
		if text := n.next(); text != "" {
			out = append(out, text)
		}
	}
	for i := range out {
		out[i] = problem.Clean(out[i], maxDetail)
	}
	return out
}

func (n Note) where() []string {
	r, at := n.Report, n.Report.At.UTC().Format(time.RFC3339)
	if r.Source != nil {
		out := []string{fmt.Sprintf("Source %s/%s, %s", r.Source.Namespace, r.Source.Name, at)}
		if r.Git != nil {
			out = append(out, "commit "+view.Short(r.Git.Commit))
		}
		return out
	}
	place := fmt.Sprintf("%s/%s", r.Rollout.Namespace, r.Rollout.Name)
	if r.Attempt > 0 {
		place += fmt.Sprintf(", attempt %d", r.Attempt)
	}
	out := []string{place + ", " + at}
	if v := r.Version; v != nil && v.Commit != "" {
		commit := "commit " + view.Short(v.Commit)
		if v.Subject != "" {
			commit += " " + v.Subject
		}
		if v.Author != "" {
			commit += " (" + v.Author + ")"
		}
		out = append(out, commit)
	}
	return out
}

// evidence are the numbers of notes that are about numbers.
func (n Note) evidence() []string {
	switch n.Report.Note {
	case v1alpha1.NoteRolledBack, v1alpha1.NoteSuspicious, v1alpha1.NoteCompleted, v1alpha1.NoteStepPassed, v1alpha1.NoteAborted:
	default:
		return nil
	}
	var out []string
	for _, m := range n.Report.Metrics {
		if m.Gate != nil || m.NotJudged != "" || len(out) == maxRows {
			continue
		}
		row := fmt.Sprintf("%s: %d of %d requests bad, %d of %d on stable", m.Name, m.Canary.Bad, m.Canary.Requests, m.Stable.Bad, m.Stable.Requests)
		if m.AtLeast != "" && !strings.HasPrefix(m.AtLeast, "0") {
			row += ", at least " + m.AtLeast + "x as often"
		}
		out = append(out, row)
	}
	return out
}

// proxies is how far a rollback has come, or who holds up what goes on.
func (n Note) proxies() string {
	p := n.Report.Proxies
	switch n.Report.Note {
	case v1alpha1.NoteRolledBack, v1alpha1.NoteAborted:
		return n.back()
	case v1alpha1.NoteBlocked, v1alpha1.NoteSuspicious, v1alpha1.NotePaused, v1alpha1.NoteApprovalNeeded, v1alpha1.NoteWaitingForTraffic:
		if p == nil || p.Connected == 0 {
			return ""
		}
		text := fmt.Sprintf("%d%% is run by %d of %d proxies", n.Report.Place.Weight, p.Acked, p.Connected)
		if p.Nacked > 0 {
			text += fmt.Sprintf(", refused by %d", p.Nacked)
		}
		if len(p.Laggards) > 0 {
			text += "; no answer from " + strings.Join(p.Laggards, ", ")
		}
		return text
	default: // of what goes on, the numbers tell
	}
	return ""
}

// back is how long the proxies took to send everything back, as far as they have.
func (n Note) back() string {
	p, zero, to := n.Report.Proxies, n.Report.ZeroAt, "the stable version"
	if v := n.Report.Stable; v != nil {
		to = v.Name
	}
	known := p != nil && p.Connected > 0
	switch {
	case zero != nil && known:
		return fmt.Sprintf("back on %s in %s, in %d of %d proxies", to, analysis.Span(max(0, zero.Sub(n.Report.At))), p.Acked, p.Connected)
	case zero != nil:
		return fmt.Sprintf("back on %s in %s", to, analysis.Span(max(0, zero.Sub(n.Report.At))))
	case known:
		return fmt.Sprintf("%d proxies are told to go back to %s; not all have confirmed it yet", p.Connected, to)
	}
	return ""
}

// next is what a person can do.
func (n Note) next() string {
	r := n.Report
	command := func(verb string) string {
		return fmt.Sprintf("sluice %s %s -n %s", verb, r.Rollout.Name, r.Rollout.Namespace)
	}
	switch r.Note {
	case v1alpha1.NoteRolledBack, v1alpha1.NoteGitDrift:
		if v := r.Version; v != nil && v.Commit != "" {
			return fmt.Sprintf("Git still asks for it: revert %s, push a version with other content, or %s", view.Short(v.Commit), command("retry"))
		}
		return "it is not tried again before its content changes, or " + command("retry")
	case v1alpha1.NoteAborted:
		return "it is not tried again before its content changes, or " + command("retry")
	case v1alpha1.NoteApprovalNeeded:
		return "to approve: " + command("approve")
	case v1alpha1.NotePaused:
		return "to go on: " + command("promote") + "; to give up: " + command("abort")
	case v1alpha1.NoteSuspicious:
		return "nothing has to be done; to go back now: " + command("abort")
	case v1alpha1.NoteBlocked, v1alpha1.NoteWaitingForTraffic:
		return "to see what is missing: " + command("describe")
	default:
		return ""
	}
}
