package server

import (
	"maps"
	"slices"
	"strconv"
)

// receiveDelta takes a request in delta form. Subscription changes count whatever the nonce; a nonce that no response
// carries says nothing of any resource.
func (c *conversation) receiveDelta(k kind, r request) {
	sub := &c.subs[k]
	first := !sub.started
	sub.started = true
	sub.dirty = sub.dirty || first || len(r.subscribe)+len(r.unsubscribe) > 0
	if first {
		sub.legacy = len(r.subscribe) == 0 && k.wildcardable()
		sub.wildcard = sub.legacy || slices.Contains(r.subscribe, wildcard)
		sub.owed = sub.wildcard && len(r.versions) == 0
	}
	for _, name := range r.subscribe {
		if name == wildcard {
			sub.wildcard = true
			continue
		}
		e := sub.entry(name)
		e.named, e.owed, e.told, sub.asked = true, true, false, true
	}
	for _, name := range r.unsubscribe {
		c.unsubscribe(k, name)
	}
	// After the subscription: what the client has just asked for and rejects is not sent again.
	if f := sub.land(r.nonce); f != nil {
		c.settle(k, f, r)
	}
	if first {
		c.believe(k, r)
	}
}

// believe takes what the client says it has from an earlier stream.
func (c *conversation) believe(k kind, r request) {
	sub := &c.subs[k]
	versions := maps.Clone(r.versions)
	for _, name := range c.memory.doubted(k) {
		if versions == nil {
			versions = map[string]string{}
		}
		versions[name] = ""
	}
	for name, version := range versions {
		if sub.covers(name) {
			e := sub.entry(name)
			e.owed = false // compared by version, not answered unseen
			c.assume(k, e, &item{name: name, version: version})
		}
	}
}

func (c *conversation) unsubscribe(k kind, name string) {
	sub := &c.subs[k]
	if name == wildcard {
		sub.wildcard, sub.legacy = false, false
		for _, e := range sub.sortedEntries() {
			if !e.named {
				c.drop(k, e)
			}
		}
		return
	}
	e := sub.entries[name]
	switch {
	case e == nil || !e.named:
	case sub.wildcard:
		e.named, e.owed, e.told, sub.asked = false, true, false, true // still covered: the client must hear of it once more
	default:
		c.drop(k, e)
	}
}

// assume records what the client says it has.
func (c *conversation) assume(k kind, e *entry, i *item) {
	e.have, e.sent, e.claimed = i, i, !i.known()
	c.note(k, e, reported, i)
}

// receiveSotw takes a request in state-of-the-world form. A stale nonce makes the whole request void; an empty one
// only changes the subscription.
func (c *conversation) receiveSotw(k kind, r request) {
	sub := &c.subs[k]
	first := !sub.started
	if !first && r.nonce != "" && r.nonce != strconv.FormatUint(sub.newest, 10) {
		return
	}
	sub.started, sub.dirty = true, true
	if first {
		sub.reported = r.version
		sub.owed = true
		sub.legacy = len(r.names) == 0 && k.wildcardable()
	} else if len(r.names) > 0 {
		sub.legacy = false
	}
	sub.wildcard = sub.legacy || slices.Contains(r.names, wildcard)
	c.subscribeExactly(k, r.names)
	if f := sub.land(r.nonce); f != nil {
		c.settle(k, f, r)
	}
}

// subscribeExactly makes the named entries those of names: the form knows no differences.
func (c *conversation) subscribeExactly(k kind, names []string) {
	sub := &c.subs[k]
	asked := make(map[string]bool, len(names))
	for _, name := range names {
		if name == wildcard {
			continue
		}
		asked[name] = true
		e := sub.entry(name)
		if !e.named {
			e.named, e.owed, sub.asked = true, true, true
		}
	}
	for _, e := range sub.sortedEntries() {
		e.named = e.named && asked[e.name]
		if !sub.covers(e.name) {
			c.drop(k, e)
		}
	}
}
