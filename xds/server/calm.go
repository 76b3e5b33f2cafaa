package server

import "time"

// Endpoints change often, and a proxy that is sent each change has a queue in which a weight waits for its turn. So a
// change of endpoints that nobody has asked for leaves only when endpoints and routes that were sent before are answered,
// and when the proxy has then had as long a rest as the answer has taken; the newest state goes, whatever was between.
// While a canary loses weight they wait on all streams (hush).
// A proxy that does not answer is sent one once in a while (Timing.Calm). What a proxy asks for, and what a changed
// cluster needs, does not wait.

// calm is when changes of endpoints may leave next.
type calm struct {
	until time.Time
	hush  time.Time // the same, of all streams; zero: there is none

	waiting bool // some change waits: the stream is planned for again when it may leave
}

// answered is told of the answer to endpoints that were sent at one time and answered at another.
func (c *calm) answered(sent, at time.Time, most time.Duration) {
	if at.IsZero() {
		return
	}
	c.until = at.Add(min(max(at.Sub(sent), 0), most))
}

// rests reports whether changes of a kind that nobody has asked for wait now, and until when at the latest.
func (c *conversation) rests(k kind, now time.Time) (bool, time.Time) {
	if k != endpoints || c.subs[k].scanned == nil {
		return false, time.Time{}
	}
	until := c.calm.until
	if c.calm.hush.After(until) {
		until = c.calm.hush
	}
	for _, k := range []kind{endpoints, listeners, routes} {
		if flights := c.subs[k].flights; len(flights) > 0 {
			if limit := flights[len(flights)-1].sent.Add(c.timing.Calm); limit.After(until) {
				until = limit
			}
		}
	}
	return now.Before(until), until
}

// sequence is the order of sending: what is named goes before what names it. A table or listener that takes weight from a
// canary waits for no endpoints.
func (c *conversation) sequence() [kinds]kind {
	if c.lowering() {
		return [kinds]kind{clusters, listeners, routes, endpoints, secrets}
	}
	return [kinds]kind{clusters, endpoints, secrets, listeners, routes}
}

// lowering reports whether something that the client should have takes weight from a canary.
func (c *conversation) lowering() bool {
	if len(c.set.uses) == 0 {
		return false
	}
	for _, k := range []kind{listeners, routes} {
		sub := &c.subs[k]
		if !sub.started || !sub.dirty && sub.scanned == c.set.of[k] {
			continue
		}
		for _, e := range sub.entries {
			if want := c.target(k, e); want != nil && (e.sent == nil || e.sent.version != want.version) && lowers(e, want) {
				return true
			}
		}
	}
	return false
}
