package controller

import (
	"context"
	"slices"

	"github.com/sluice-dev/sluice/rollout"
)

// unheard is a decision whose write had no answer: it is stored, or it is not, or it will be.
type unheard struct {
	pass     *pass
	decision decision
}

// missed keeps what a write decided that had no answer. That something was stored is found out by reading it.
func (p *pass) missed(d decision, err error) {
	if answered(err) || d.actions.Transition == nil && d.actions.Consumed == nil {
		return
	}
	p.memory.unheard = &unheard{pass: p, decision: d}
}

// catchUp lets follow what follows from a write that had no answer, once it is seen to be stored: else nobody would hear of
// it before the next one, which at rest may never come.
func (c *Controller) catchUp(ctx context.Context, p *pass) {
	late := p.memory.unheard
	if late == nil || !late.stored(p.state) || p.object.Status.Epoch != p.epoch {
		return
	}
	p.memory.unheard = nil
	late.pass.object = p.object.DeepCopy()
	c.announce(ctx, late.pass, late.decision)
}

// stored reports that a state shows what was decided. Of one epoch there is one writer.
func (u *unheard) stored(is rollout.State) bool {
	if m := u.decision.actions.Transition; m != nil {
		return is.Seq == m.Seq && is.Reason == m.Reason
	}
	return slices.ContainsFunc(is.Consumed, func(one rollout.Consumed) bool { return one.UID == u.decision.actions.Consumed.UID })
}
