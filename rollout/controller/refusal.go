package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// refusal is a status that the server would not store: a guard rule of the schema or an admission policy forbids it. The
// same one is not offered again before a while has passed: whoever wrote the rule may have changed it. A rollback is
// offered again sooner, and the brake is on meanwhile.
type refusal struct {
	text       string // empty: nothing was refused
	seq        uint64
	reason     rollout.Reason // of the transition; empty: there was none
	generation int64
	at         time.Duration
	wait       time.Duration
	mute       bool // nor would it store that it was refused
}

// maxRefusal is how much of a refusal its transition quotes, in bytes.
const maxRefusal = 160

// refused reports that a write was understood and forbidden.
func refused(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) }

// refuse remembers what the server refused, and says so once.
func (c *Controller) refuse(ctx context.Context, p *pass, d decision, err error) {
	if d.says {
		p.memory.refusal.mute = true
		return
	}
	now := refusal{text: problem.Clean(err.Error(), maxNote), seq: p.state.Seq, generation: p.object.Generation, at: p.mono, wait: restTick}
	if m := d.actions.Transition; m != nil {
		now.reason = m.Reason
	}
	if isRollback(d) {
		now.wait = openTick
	}
	if was := p.memory.refusal; was.seq == now.seq && was.reason == now.reason {
		now.mute = was.mute
	}
	if was := p.memory.refusal; was.text != now.text || was.seq != now.seq || was.reason != now.reason {
		c.meters.refused.Inc()
		c.line(ctx, p, p.state).Info("a status was refused", "reason", string(now.reason), "err", now.text)
		c.config.Recorder.Eventf(p.object, nil, eventType(true), "StatusRefused", "Write", "%s", now.text)
	}
	p.memory.refusal = now
}

// holds reports that a decision is one that was refused a short time ago.
func (r refusal) holds(p *pass, d decision) bool {
	reason := rollout.Reason("")
	if m := d.actions.Transition; m != nil {
		reason = m.Reason
	}
	return r.text != "" && r.seq == p.state.Seq && r.reason == reason && r.generation == p.object.Generation && p.mono-r.at < r.wait
}

// showFaults lets the conditions say what went wrong within: a decision that broke a rule, a status that was
// refused, or not kept.
func (p *pass) showFaults(s *v1alpha1.RolloutStatus) {
	switch r := p.memory.refusal; {
	case p.broken != "":
		s.Conditions = p.stalled(s.Conditions, v1alpha1.ReasonInvariantBroken, p.broken)
	case p.memory.pruned:
		s.Conditions = p.stalled(s.Conditions, v1alpha1.ReasonBlocked, prunedText)
	case r.text != "" && r.reason != "" && r.seq == p.state.Seq && r.generation == p.object.Generation:
		s.Conditions = p.stalled(s.Conditions, v1alpha1.ReasonBlocked, "the API server refuses to store "+string(r.reason)+": "+r.text)
	}
}
