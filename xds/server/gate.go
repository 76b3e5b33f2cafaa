package server

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The gates. Make: a route waits until the proxy has acknowledged the clusters it names (and their endpoints): Envoy
// withholds that acknowledgement while a cluster warms, so it is the proof. Break: a cluster leaves only after every
// route that named it is superseded by an acknowledged one without it. A lowered weight passes at once.

// held reports whether next must wait for clusters that it names, and until when at most (zero: until they are
// acknowledged, however long that takes).
func (c *conversation) held(k kind, e *entry, next *item, now time.Time) (bool, time.Time) {
	if !k.steers() || lowers(e, next) {
		return false, time.Time{}
	}
	missing := c.missing(k, e, next)
	if len(missing) == 0 {
		c.pass(e, next, now)
		return false, time.Time{}
	}
	if e.heldFor != next.version {
		e.heldFor, e.heldSince = next.version, now
	}
	if limit := e.heldSince.Add(c.timing.Make); now.Before(limit) {
		return true, limit
	}
	if carriesSplit(next, missing) {
		return true, time.Time{}
	}
	c.pass(e, next, now)
	c.timeouts++
	return false, time.Time{}
}

// pass ends the wait of a version at the gate.
func (c *conversation) pass(e *entry, next *item, now time.Time) {
	if e.heldFor == next.version {
		c.notes.held = append(c.notes.held, now.Sub(e.heldSince))
	}
	e.heldFor = ""
}

// lowers reports whether next takes weight from a canary, compared with what the client has or will have.
func lowers(e *entry, next *item) bool {
	for _, use := range next.carries {
		if use.Gives() == 0 && e.have != nil && !e.have.known() {
			return true // whatever it has, this is no more
		}
		for _, before := range []*item{e.have, e.sent} {
			if before.known() && lessThan(use, useOf(before.carries, use.Key)) {
				return true
			}
		}
	}
	return false
}

// lessThan reports whether a canary gets fewer requests by use than by what was before it (nil: nothing). A brake takes
// away those by match and by copy, too.
func lessThan(use, before *ir.SplitUse) bool {
	return before != nil && (use.Gives() < before.Gives() || before.Besides && !use.Besides || use.Braked && !before.Braked)
}

// missing are the clusters that next names, that the client has subscribed to, and that it has not acknowledged.
func (c *conversation) missing(k kind, e *entry, next *item) []string {
	var out []string
	for _, name := range next.refs {
		wanted := c.set.of[clusters].get(name)
		if wanted == nil || !c.subs[clusters].covers(name) {
			continue // dangling, or the client asks for clusters only after a route has named them
		}
		if k == listeners && c.set.of[routes].get(name) != nil {
			continue // the name of a table
		}
		if !c.applied(name) && (e.have != nil || !c.refused(name, wanted)) {
			out = append(out, name)
		}
	}
	return out
}

// applied reports whether the client has acknowledged some version of a cluster and of its endpoints.
func (c *conversation) applied(cluster string) bool {
	has := func(k kind) bool {
		e := c.subs[k].entries[cluster]
		return e != nil && e.have != nil && e.have.version != ""
	}
	return has(clusters) && (c.set.of[endpoints].get(cluster) == nil || has(endpoints))
}

// refused reports whether the client has rejected a cluster. A table that the client has no version of does not wait
// for it: the other routes of the table matter more.
func (c *conversation) refused(name string, wanted *item) bool {
	e := c.subs[clusters].entries[name]
	return e != nil && e.refused == wanted.version
}

// carriesSplit reports whether a split with a canary gives weight to one of the clusters. Such a route is never let
// through on time alone: requests would be lost. Its Rollout gives up instead and lowers the weight.
func carriesSplit(next *item, missing []string) bool {
	return slices.ContainsFunc(missing, next.carries.feeds)
}

// mayLeave reports whether a cluster that is not wanted any more may be removed now, and else when to look again.
func (c *conversation) mayLeave(e *entry, now time.Time) (bool, time.Time) {
	if e.leaving.IsZero() {
		e.leaving, e.unnamed = now, time.Time{}
	}
	if c.lastGoodNames(e.name) {
		return false, time.Time{}
	}
	deadline := e.leaving.Add(c.timing.BreakDeadline)
	if !now.Before(deadline) {
		return true, time.Time{}
	}
	if c.routesName(e.name) {
		e.unnamed = time.Time{}
		return false, deadline
	}
	if e.unnamed.IsZero() {
		e.unnamed = now
	}
	at := e.unnamed.Add(c.timing.Break)
	if !now.Before(at) {
		return true, time.Time{}
	}
	if deadline.Before(at) {
		at = deadline
	}
	return false, at
}

// lastGoodNames reports whether a route names the cluster whose newer version the client has rejected: it may serve by
// that route for long, so the deadline does not count.
func (c *conversation) lastGoodNames(cluster string) bool {
	for _, k := range []kind{listeners, routes} {
		for _, e := range c.subs[k].entries {
			if e.refused != "" && e.have.names(cluster) {
				return true
			}
		}
	}
	return false
}

// routesName reports whether a route or listener that the client has, or may still apply, names the cluster.
func (c *conversation) routesName(cluster string) bool {
	for _, k := range []kind{listeners, routes} {
		for _, e := range c.subs[k].entries {
			if e.have.names(cluster) || e.sent.names(cluster) {
				return true
			}
		}
		for _, f := range c.subs[k].flights {
			if slices.ContainsFunc(f.items, func(i *item) bool { return i.names(cluster) }) {
				return true
			}
		}
	}
	return false
}
