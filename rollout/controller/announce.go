package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/rollout"
)

// maxNote is the longest text of an event, in bytes.
const maxNote = 1000

// errUnknownState is a status that another build wrote.
var errUnknownState = errors.New("the stored state is not known to this build")

// storeNotes takes delivery results into the outbox and adds an entry per Notifier that wants to know of a transition.
func (p *pass) storeNotes(ctx context.Context, s *v1alpha1.RolloutStatus, d decision) error {
	outbox := p.controller.config.Outbox
	if outbox == nil {
		return nil
	}
	results := outbox.Results(p.object.UID)
	p.asked.givenUp = givenUp(s.Notes, results)
	s.Notes, s.Receipts = notify.Settle(s.Notes, results), notify.Keep(s.Receipts, results)
	m := d.actions.Transition
	if m == nil {
		return nil
	}
	kind := v1alpha1.NoteKind(m.Note())
	if kind == "" {
		return nil
	}
	all, err := p.notifiers(ctx)
	if err != nil {
		if d.next.Phase != rollout.RollingBack {
			return fmt.Errorf("reading Notifiers: %w", err)
		}
		log.FromContext(ctx).Error(err, "a rollback goes on without its notes")
	}
	note := v1alpha1.PendingNote{Kind: kind, Attempt: d.next.Attempt, Seq: int64(d.next.Seq), At: metav1.NewMicroTime(d.next.Since),
		Step: int32(m.Step), Weight: int32(p.noteWeight(*m)), Text: m.Text}
	if at := p.state.Progress.SettledAt; !at.IsZero() && p.state.Phase.Open() {
		note.AckedAt = &metav1.MicroTime{Time: at}
	}
	about := notify.About{Kind: kind, Namespace: p.object.Namespace, Labels: p.object.Labels, System: p.controller.system()}
	p.asked.listen = notify.Matching(told(p.object, all, kind), about)
	s.Notes = notify.Append(s.Notes, note, p.asked.listen)
	return nil
}

// noteWeight is the weight of the step that a note is about: on the way back, the one that is left.
func (p *pass) noteWeight(m rollout.Transition) int {
	if m.To.Open() {
		return m.Weight
	}
	return p.state.Traffic.Weight
}

// told are the Notifiers that a Rollout names for a kind of note; all where it names none.
func told(ro *v1alpha1.Rollout, all []v1alpha1.Notifier, kind v1alpha1.NoteKind) []v1alpha1.Notifier {
	if len(ro.Spec.Notify) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(n v1alpha1.Notifier) bool {
		return !slices.ContainsFunc(ro.Spec.Notify, func(ref v1alpha1.NotifyRef) bool {
			return ref.Name == n.Name && (len(ref.Kinds) == 0 || slices.Contains(ref.Kinds, kind))
		})
	})
}

// announce says what was stored: event, observer, outbox. It comes after the write, and only then.
func (c *Controller) announce(ctx context.Context, p *pass, d decision) {
	ro := p.object
	if m := d.actions.Transition; m != nil {
		c.logged(ctx, p, d)
		if !d.says { // there was an event when it was refused
			c.config.Recorder.Eventf(ro, nil, eventType(warns(*m, d.next)), string(m.Reason), "Transition", "%s", problem.Clean(m.Text, maxNote))
		}
		c.measure(p, d)
		if c.config.Observe != nil {
			e := p.event(d.next)
			e.At, e.Transition, e.Weight = c.config.Now(), m, m.Weight
			c.config.Observe(e)
		}
	}
	if a := d.actions.Consumed; a != nil && a.Answer == rollout.Refused {
		c.line(ctx, p, d.next).Info("an action is refused", "reason", string(a.Verb)+" "+string(a.Code))
		c.config.Recorder.Eventf(ro, nil, eventType(false), "ActionRefused", "Decide", "%s is refused: %s", a.Verb, a.Code)
	}
	if p.reset {
		c.config.Recorder.Eventf(ro, nil, eventType(true), "EvidenceReset", "Judge", "the evidence could not be used; a fresh one was begun, and the bake with it")
		p.reset = false
	}
	for _, text := range p.asked.givenUp {
		c.config.Recorder.Eventf(ro, nil, eventType(true), v1alpha1.ReasonNotificationFailed, "Notify", "%s", problem.Clean(text, maxNote))
	}
	if c.config.Outbox != nil {
		c.config.Outbox.Stored(ro.DeepCopy())
	}
}

// warns reports that somebody should look at a transition.
func warns(m rollout.Transition, next rollout.State) bool {
	if m.To == rollout.RollingBack && m.From != rollout.RollingBack {
		return next.Outcome.Failed()
	}
	switch m.Reason {
	case rollout.NoProxies, rollout.Blind, rollout.ProgressDeadlineExceeded, rollout.RollbackUnconfirmed, rollout.KnownRejected, rollout.StableChanged,
		rollout.StableIsEmpty:
		return true
	default:
		return false
	}
}

// observeAcked tells the observer the first time that all connected proxies have the present traffic.
func (c *Controller) observeAcked(p *pass) {
	c.measureFirst(p)
	c.notePush(p)
	seq := p.state.Traffic.Seq
	if seq == 0 || p.memory.acked == seq || !p.fleet.Done() || !p.returned() {
		return
	}
	p.memory.acked = seq
	c.measureZero(p)
	c.pushed(p, "")
	if c.config.Observe == nil {
		return
	}
	e := p.event(p.state)
	e.At, e.Acked, e.Weight = p.now, seq, p.state.Traffic.Weight
	c.config.Observe(e)
}

func (p *pass) event(st rollout.State) Event {
	return Event{Namespace: p.object.Namespace, Name: p.object.Name, Attempt: st.Attempt,
		Subset: or(st.Canary.Name, st.Stable.Name), Connected: p.fleet.Connected}
}

// unknownState says that another build wrote the status, and changes nothing else. Other errors are given back.
func (c *Controller) unknownState(ctx context.Context, p *pass, cause error) error {
	if !errors.Is(cause, errUnknownState) {
		return cause
	}
	if !c.mayWrite() {
		return nil
	}
	before := p.object.DeepCopy()
	status := p.object.Status.DeepCopy()
	status.Conditions = p.stalled(before.Status.Conditions, v1alpha1.ReasonUnknownState, cause.Error())
	if !p.due(before.Status, status) || p.memory.refusal.holds(p, decision{}) {
		return nil
	}
	status.Epoch = p.epoch
	p.object.Status = status
	return c.patchStatus(ctx, p, before, decision{})
}

// stalled are those conditions, but that nothing goes on, and why.
func (p *pass) stalled(others []metav1.Condition, reason, message string) []metav1.Condition {
	var stored []metav1.Condition
	if s := p.object.Status; s != nil {
		stored = s.Conditions
	}
	list := v1alpha1.NewConditions(stored, p.object.Generation, p.wallClock())
	list.Stalled(reason, message)
	for _, c := range others {
		if v1alpha1.Condition(list.List(), c.Type) == nil && c.Type != v1alpha1.ConditionReconciling {
			list.Set(c.Type, c.Status, c.Reason, c.Message)
		}
	}
	return list.List()
}
