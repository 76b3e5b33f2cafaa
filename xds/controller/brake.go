package controller

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The brake: a process that has found a canary harmful, and cannot store that, gives its own proxies weight 0 all the
// same. That is laid over what is stored and changes nothing in it. It can only lower, concerns one attempt of one
// Rollout, and ends when what is stored says that the attempt has ended: no read, old or new, gives the canary requests
// before that.

// brake is one that is on.
type brake struct {
	uid     types.UID
	attempt int64
}

// holds reports whether what is stored of a Rollout is still the attempt, open.
func (b brake) holds(s seen) bool {
	return b.uid != "" && b.uid == s.uid && b.attempt == s.attempt && s.open
}

// over reports whether what is stored says that the attempt has ended.
func (b brake) over(s seen) bool {
	return b.uid != "" && b.uid == s.uid && (s.attempt > b.attempt || s.attempt == b.attempt && !s.open)
}

// braked is a split without requests for its canary: none by weight, by match, by copy, or by preview.
func braked(s ir.Split) *ir.Split {
	s.Weight, s.Braked = 0, true
	s.Match, s.Copies = nil, nil
	if s.Preview != nil {
		s.Preview = &ir.Preview{Host: s.Preview.Host}
	}
	return &s
}

// Brake gives the canary of one attempt of a Rollout, "namespace/name" with the uid, no requests from the proxies of this
// process, whatever weight is stored. It waits for nothing and may be called again. Convergence says when every proxy
// has it (Stopped). It goes by itself when the end of the attempt is seen to be stored.
func (c *Controller) Brake(key, uid string, attempt int64) {
	if c.turn(key, func(name types.NamespacedName, w *world) {
		if on := w.brakes[name]; string(on.uid) != uid || on.attempt < attempt {
			w.brakes[name] = brake{uid: types.UID(uid), attempt: attempt}
		}
	}) {
		c.config.Log.Warn("a canary gets no requests before that is stored", "rollout", key, "attempt", attempt)
	}
}

// Release says that a Brake is not needed any more: the end of the attempt is stored, or the Rollout is gone. Where this
// process has not seen that yet the Brake stays until it has.
func (c *Controller) Release(key, uid string) {
	c.turn(key, func(name types.NamespacedName, w *world) {
		if on := w.brakes[name]; string(on.uid) == uid && !on.holds(w.splits[name]) {
			delete(w.brakes, name)
		}
	})
}

// turn lets f turn the brake of a Rollout on or off, and reports whether that changes what is rendered.
func (c *Controller) turn(key string, f func(types.NamespacedName, *world)) bool {
	namespace, name, _ := strings.Cut(key, "/")
	of := types.NamespacedName{Namespace: namespace, Name: name}
	u := c.world.change(func() urgency {
		return c.world.restore(of, func() { f(of, c.world) })
	})
	c.note(u)
	return u != unchanged
}

// rendered is what proxies are given of a Rollout: what is stored, with the brake laid over it; nil: nothing. The world is
// locked.
func (w *world) rendered(name types.NamespacedName) *ir.Split {
	s := w.splits[name]
	if s.split != nil && w.brakes[name].holds(s) {
		return braked(*s.split)
	}
	return s.split
}
