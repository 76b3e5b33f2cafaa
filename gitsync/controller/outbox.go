package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// maxNotes is how many notes a status holds.
const maxNotes = 16

// Outbox sends what the notes of statuses say; *notify.Worker is one.
type Outbox interface {
	StoredSource(src *v1alpha1.Source)
	Results(uid types.UID) []notify.Result
	Forget(uid types.UID)
}

// Wake lets a Source take over what became of its notes.
func (c *Controller) Wake(source types.NamespacedName) { c.wake.now(source) }

// note keeps the outbox of a status: results are taken in, and a failure that begins, or ends, is to be told to each
// Notifier that asks for it. It is part of the write that says so itself, so that no crash can lose it.
func (p *pass) note(ctx context.Context, before []metav1.Condition, s *v1alpha1.SourceStatus) error {
	outbox := p.controller.back.Outbox
	if outbox == nil {
		return nil
	}
	s.Notes = notify.Settle(s.Notes, outbox.Results(p.src.UID))
	kind, text := news(before, s.Conditions)
	if kind == "" {
		return nil
	}
	all, err := p.notifiers(ctx)
	if err != nil {
		return fmt.Errorf("reading Notifiers: %w", err)
	}
	now := p.controller.config.Now()
	note := v1alpha1.PendingNote{Kind: kind, Seq: now.UnixMilli(), At: metav1.NewMicroTime(now), Text: text, Commit: p.concerned(s)}
	for _, n := range s.Notes {
		note.Seq = max(note.Seq, n.Seq+1) // ids rise, whatever the clock does
	}
	s.Notes = notify.Append(s.Notes, note, notify.Matching(all, notify.About{
		Kind: kind, Namespace: p.src.Namespace, Labels: p.src.Labels, System: p.controller.back.System}))
	s.Notes = s.Notes[max(0, len(s.Notes)-maxNotes):]
	return nil
}

// notifiers are those of the Source's namespace and of the controller's.
func (p *pass) notifiers(ctx context.Context) ([]v1alpha1.Notifier, error) {
	var out []v1alpha1.Notifier
	for _, namespace := range slices.Compact([]string{p.src.Namespace, p.controller.back.System}) {
		if namespace == "" {
			continue
		}
		list := &v1alpha1.NotifierList{}
		if err := p.controller.config.Client.List(ctx, list, inNamespace(namespace)); err != nil {
			return nil, err
		}
		out = append(out, list.Items...)
	}
	return out, nil
}

// news is what people are told of a change of Ready: nothing, but of a failure with another reason than before, and of its end.
func news(before, after []metav1.Condition) (v1alpha1.NoteKind, string) {
	was, is := v1alpha1.Condition(before, v1alpha1.ConditionReady), v1alpha1.Condition(after, v1alpha1.ConditionReady)
	failed := was != nil && was.Status == metav1.ConditionFalse
	switch {
	case is == nil:
	case is.Status == metav1.ConditionFalse && (!failed || was.Reason != is.Reason):
		return v1alpha1.NoteSourceFailed, is.Reason + ": " + is.Message
	case is.Status == metav1.ConditionTrue && is.Reason == v1alpha1.ReasonApplied && failed:
		return v1alpha1.NoteGitInSync, is.Message
	}
	return "", ""
}

// concerned is the commit that Ready speaks of; empty where the remote could not even be asked.
func (p *pass) concerned(s *v1alpha1.SourceStatus) string {
	rev := p.memory.revision
	if rev == nil || p.memory.fetching.failures > 0 || rev.commit.Revision() != s.LastAttemptedRevision {
		return ""
	}
	return rev.commit.ID
}

// stored offers what was written, or read, to the outbox.
func (p *pass) stored() {
	if outbox := p.controller.back.Outbox; outbox != nil {
		outbox.StoredSource(p.src.DeepCopy())
	}
}

// mail takes over what became of notes, where nothing else is to be written.
func (p *pass) mail(ctx context.Context) error {
	outbox := p.controller.back.Outbox
	if outbox == nil {
		return nil
	}
	if len(outbox.Results(p.src.UID)) > 0 {
		return p.write(ctx, keep)
	}
	p.stored()
	return nil
}

// keep leaves all conditions as they are.
func keep(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	for _, old := range s.Conditions {
		c.Set(old.Type, old.Status, old.Reason, old.Message)
	}
}

var _ Outbox = (*notify.Worker)(nil)

// forgetNotes drops the notes of a Source that is gone.
func (c *Controller) forgetNotes(m *memory) {
	if m != nil && c.back.Outbox != nil {
		c.back.Outbox.Forget(m.uid)
	}
}
