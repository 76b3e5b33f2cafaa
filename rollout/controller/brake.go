package controller

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/rollout"
)

// Reasons of events about the brake.
const (
	reasonBrakeEngaged  = "BrakeEngaged"
	reasonBrakeReleased = "BrakeReleased"
)

// hold is a brake that is on: for one attempt of one object, with the reason of the rollback that could not be stored.
type hold struct {
	key     types.NamespacedName
	uid     types.UID
	attempt int64
	reason  rollout.Reason
	text    string // what was seen
}

// holds are all brakes of this process.
type holds struct {
	mu  sync.Mutex // guards all
	all map[types.UID]hold
}

func (h *holds) of(uid types.UID) (hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, on := h.all[uid]
	return out, on
}

// put reports whether the brake was not on yet.
func (h *holds) put(one hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[types.UID]hold{}
	}
	was, on := h.all[one.uid]
	if on && was.attempt >= one.attempt {
		return false
	}
	h.all[one.uid] = one
	return true
}

// list gives all, in the order of their keys.
func (h *holds) list() []hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.all), func(a, b hold) int { return cmp.Compare(a.key.String(), b.key.String()) })
}

func (h *holds) drop(uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, uid)
}

// engage takes the canary to 0 at the proxies of this process, before that it failed is stored. It does nothing
// for a canary that is sent nothing, or that alone has endpoints, or that is only watched; and what a person asks for
// is taken with the write, or not at all.
func (c *Controller) engage(ctx context.Context, p *pass, d decision) {
	if d.actions.Consumed != nil { // there may be harm besides
		d.observation.Action = nil
		d.next, d.actions = rollout.Step(p.spec, p.state, d.observation, p.wallClock())
	}
	_, rejected := d.next.Rejection(p.state.Canary.Digest)
	sent := p.state.Phase.Open() && p.state.Phase != rollout.Preparing && !p.state.Kind.Observe
	if !sent || !rejected || d.next.Traffic.Sends() || !isRollback(d) || c.config.Lead.Braker == nil {
		return
	}
	one := hold{key: p.key, uid: p.object.UID, attempt: p.state.Attempt, reason: d.next.Reason}
	if len(d.next.History) > 0 {
		one.text = d.next.History[0].Text
	}
	if !c.brakes.put(one) {
		return
	}
	c.config.Lead.Braker.Brake(p.key.String(), string(p.object.UID), p.state.Attempt)
	log.FromContext(ctx).Info("a rollback that is not stored yet brakes", "attempt", one.attempt, "reason", string(one.reason))
	c.config.Recorder.Eventf(p.object, nil, eventType(true), reasonBrakeEngaged, "Brake",
		"%s gets no traffic from the proxies of this process: %s, which is not stored yet", p.state.Canary.Name, d.next.Reason)
}

// braked is the brake that is on for the present attempt. One for an attempt that, as stored, has ended is released.
func (c *Controller) braked(p *pass) (hold, bool) {
	one, on := c.brakes.of(p.object.UID)
	if !on {
		return hold{}, false
	}
	if p.state.Attempt == one.attempt && p.state.Phase.Open() {
		return one, true
	}
	if p.state.Attempt >= one.attempt {
		c.release(one)
		c.config.Recorder.Eventf(p.object, nil, eventType(false), reasonBrakeReleased, "Brake", "the end of attempt %d is stored", one.attempt)
	}
	return hold{}, false
}

// release lets the proxies follow what is stored.
func (c *Controller) release(one hold) {
	c.brakes.drop(one.uid)
	c.config.Lead.Braker.Release(one.key.String(), string(one.uid))
}

// onlyBrake is what follows from a decision of a process that may not write: the lease could not be renewed, because the
// server does not answer.
func (c *Controller) onlyBrake(ctx context.Context, p *pass, d decision) {
	if !isRollback(d) {
		return
	}
	if _, on := c.brakes.of(p.object.UID); !on {
		log.FromContext(ctx).Info("a rollback waits for the API server", "reason", string(d.next.Reason), "seq", p.state.Seq)
	}
	c.engage(ctx, p, d)
}

// lost lets go of the brake of an object that is gone.
func (c *Controller) lost(uid types.UID) {
	if one, on := c.brakes.of(uid); on {
		c.release(one)
	}
}

// mayWrite reports that this process is known to lead.
func (c *Controller) mayWrite() bool { return c.config.Lead.Confirmed() }
