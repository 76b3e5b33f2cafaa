package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/rollout"
)

// plain prints a line for each moment.
type plain struct {
	out    io.Writer
	start  time.Time
	wanted time.Time // of the newest transition that asked proxies for a weight
	weight int
}

// Show prints the line of a moment.
func (p *plain) Show(m Moment) {
	text := p.text(m)
	if text == "" {
		return
	}
	where := "start"
	if m.Act > 0 {
		where = fmt.Sprintf("act %d", m.Act)
	}
	fmt.Fprintf(p.out, "[%6.1fs] %s  %s\n", m.At.Sub(p.start).Seconds(), where, problem.Clean(text, 240))
}

// transitionText says what a Rollout is in now, why, and what its traffic is asked to be.
func transitionText(e app.Event) string {
	phase := e.Phase
	if e.Reason != e.Phase {
		phase += " (" + e.Reason + ")"
	}
	if e.Phase == rollout.Idle.String() || e.Phase == rollout.RolledBack.String() {
		return fmt.Sprintf("%s: %s serves 100%%", phase, e.Subset)
	}
	return fmt.Sprintf("%s: %s at %d%%", phase, e.Subset, e.Weight)
}

func (p *plain) text(m Moment) string {
	e := m.Event
	switch m.Kind {
	case KindPart:
		return fmt.Sprintf("%s in %dms", m.Text, m.Took.Milliseconds())
	case KindAct:
		return m.Text
	case KindPush:
		return fmt.Sprintf("git push origin main: %.7s %s", m.Push.Commit, m.Push.Subject)
	case KindTransition:
		if e.Weight != p.weight {
			p.wanted, p.weight = m.At, e.Weight
		}
		return transitionText(e)
	case KindAcked:
		text := fmt.Sprintf("weight %d ACKed by %d/%d proxies", e.Weight, e.Connected, e.Connected)
		if !p.wanted.IsZero() && e.Weight == p.weight {
			text += " in " + span(m.At.Sub(p.wanted))
			p.wanted = time.Time{}
		}
		return text
	case KindNote:
		return noteText(m)
	case KindFault:
		return m.Text
	case KindEnd:
		if m.Text != "" {
			return "went otherwise: " + m.Text
		}
	}
	return ""
}

func noteText(m Moment) string {
	text := "note " + m.Note.Kind
	switch {
	case !m.Note.Verified():
		text += ", refused: " + m.Note.Problem
	case m.Note.Duplicate:
		text += ", a second time"
	default:
		text += ", signature valid"
	}
	return text
}

// timeline writes each moment as a line of JSON.
type timeline struct {
	out   *json.Encoder
	start time.Time
}

// entry is a line of the timeline.
type entry struct {
	AtMs   int64  `json:"atMs"`
	Act    int    `json:"act"`
	Kind   Kind   `json:"kind"`
	Text   string `json:"text,omitempty"`
	TookMs int64  `json:"tookMs,omitempty"`

	Commit string `json:"commit,omitempty"`

	Phase   string `json:"phase,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Attempt int64  `json:"attempt,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Subset  string `json:"subset,omitempty"`
	Weight  *int   `json:"weight,omitempty"`
}

// Write writes the line of a moment.
func (t *timeline) Write(m Moment) error {
	e := entry{AtMs: m.At.Sub(t.start).Milliseconds(), Act: m.Act, Kind: m.Kind, Text: m.Text, TookMs: m.Took.Milliseconds()}
	switch m.Kind {
	case KindPush:
		e.Commit, e.Text = m.Push.Commit, m.Push.Subject
	case KindTransition, KindAcked:
		e.Phase, e.Reason, e.Attempt, e.Seq = m.Event.Phase, m.Event.Reason, m.Event.Attempt, m.Event.Seq
		e.Subset, e.Weight = m.Event.Subset, &m.Event.Weight
	case KindNote:
		e.Text = noteText(m)
	case KindPart, KindAct, KindFault, KindEnd:
	}
	return t.out.Encode(e)
}
