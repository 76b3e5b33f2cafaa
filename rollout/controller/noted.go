package controller

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/rollout"
)

// noted is the half of rule C14 that a State does not show: the write of a transition that is worth a note holds one new
// entry for each Notifier that wants to know, and no other write holds a new one. An outbox that is full may have had to
// give entries up.
func noted(was, is []v1alpha1.PendingNote, next rollout.State, m *rollout.Transition, to []string) error {
	if m == nil || m.Note() == "" {
		to = nil
	}
	fresh := map[string]int{}
	for _, n := range is {
		known := slices.ContainsFunc(was, func(o v1alpha1.PendingNote) bool {
			return o.Attempt == n.Attempt && o.Seq == n.Seq && o.Notifier == n.Notifier
		})
		if known {
			continue
		}
		if !slices.Contains(to, n.Notifier) || n.Attempt != next.Attempt || n.Seq != int64(next.Seq) || n.Kind != v1alpha1.NoteKind(m.Note()) {
			return fmt.Errorf("C14: a note %s of transition %d to %s that nobody asked for", n.Kind, n.Seq, n.Notifier)
		}
		fresh[n.Notifier]++
	}
	for _, name := range to {
		if n := fresh[name]; n > 1 || n == 0 && len(is) < notify.MaxPending {
			return fmt.Errorf("C14: %d notes of transition %d (%s) to %s, want one", n, next.Seq, m.Reason, name)
		}
	}
	return nil
}

// countNotes holds the notes of a status against rule C14. A status that breaks it is stored all the same, and says so: nothing
// waits for notes.
func (c *Controller) countNotes(ctx context.Context, p *pass, s *v1alpha1.RolloutStatus, d decision) {
	if c.config.Outbox == nil {
		return
	}
	var was []v1alpha1.PendingNote
	if before := p.object.Status; before != nil {
		was = before.Notes
	}
	if broken := noted(was, s.Notes, d.next, d.actions.Transition, p.asked.listen); broken != nil {
		log.FromContext(ctx).Error(broken, "notes are not those of the transition", "seq", p.state.Seq)
		c.meters.violated(broken)
		p.broken = "the notes of a transition broke a rule: " + broken.Error()
	}
}
