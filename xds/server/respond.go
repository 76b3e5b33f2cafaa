package server

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// respondDelta answers what was asked in one response (more above 1 MiB), and pushes the rest: routes and listeners
// one per response, clusters and endpoints together.
func (c *conversation) respondDelta(k kind, changes []change) []response {
	sub := &c.subs[k]
	due := sub.owed
	order(changes)
	var out []response
	var batch []*item
	var removed []string
	size, answering := 0, true
	flush := func() {
		if len(batch)+len(removed) > 0 {
			out = append(out, c.launch(k, batch, removed))
		}
		batch, removed, size = nil, nil, 0
	}
	for _, ch := range changes {
		if answering && !ch.answer {
			answering = false
			if k.single() && !due {
				flush()
			}
		}
		if ch.next == nil {
			removed = append(removed, ch.entry.name)
			continue
		}
		if bytes := len(ch.next.any.GetValue()); len(batch) > 0 && (size+bytes > maxResponse || k.single() && !due && !ch.answer) {
			flush()
		}
		batch = append(batch, ch.next)
		size += len(ch.next.any.GetValue())
		c.resendEndpoints(k, ch)
	}
	flush()
	if due && len(out) == 0 && len(c.covered(k)) == 0 {
		out = append(out, c.launch(k, nil, nil)) // else the client would wait for its first answer
	}
	sub.owed = false
	return out
}

// resendEndpoints makes the endpoints of a new or changed cluster go out again: the client keeps its subscription over
// the re-creation of the cluster, asks for nothing, and would wait for them until its timeout.
func (c *conversation) resendEndpoints(k kind, ch change) {
	if k != clusters || ch.entry.sent != nil && ch.entry.sent.version == ch.next.version {
		return
	}
	if e := c.subs[endpoints].entries[ch.entry.name]; e != nil && e.sent != nil {
		e.owed = true
		c.subs[endpoints].dirty, c.subs[endpoints].asked = true, true
	}
}

// respondFull carries everything the client has asked for; what is missing in it is removed there.
func (c *conversation) respondFull(k kind, changes []change) []response {
	sub := &c.subs[k]
	if len(changes) == 0 && !sub.owed {
		return nil
	}
	next := make(map[string]*item, len(changes))
	gone := map[string]bool{}
	for _, ch := range changes {
		next[ch.entry.name] = ch.next
		gone[ch.entry.name] = ch.next == nil
		if ch.next != nil {
			c.resendEndpoints(k, ch)
		}
	}
	var items []*item
	var removed []string
	for _, e := range sub.sortedEntries() {
		i := next[e.name]
		if i == nil && !gone[e.name] {
			i = e.sent
		}
		switch {
		case i.known():
			items = append(items, i)
		case gone[e.name]:
			removed = append(removed, e.name)
		}
	}
	r := c.launch(k, items, removed)
	r.version, r.removed = versionOf(items), nil
	return []response{r}
}

// respondPart carries what changed. An answer to it names only the newest response, so a second one waits for that
// answer, or repeats what the first one carried.
func (c *conversation) respondPart(k kind, changes []change) []response {
	sub := &c.subs[k]
	changes = slices.DeleteFunc(changes, func(ch change) bool { return ch.next == nil }) // the form cannot say it
	for _, e := range sub.entries {
		// What exists is in changes, unless it is barred; the rest is owed until it does.
		e.owed = e.owed && (c.set.of[k].get(e.name) == nil || e.claimed && c.unproven)
	}
	sub.owed = false
	order(changes)
	now, later := c.choose(k, changes)
	for _, ch := range later {
		ch.entry.owed = ch.answer
		sub.dirty = true
	}
	if len(now) == 0 {
		return nil
	}
	r := c.launch(k, c.repeated(k, now), nil)
	r.version = versionOf(c.sentItems(k))
	return []response{r}
}

// choose divides changes into those that go out together now and those that wait for an answer. What cannot wait is
// what the client asks for, what takes weight from a canary, and what replaces a version that is still unanswered.
func (c *conversation) choose(k kind, changes []change) (now, later []change) {
	for _, ch := range changes {
		if ch.answer || ch.lowered || c.subs[k].aloft(ch.entry.name, "") != nil {
			now = append(now, ch)
		} else {
			later = append(later, ch)
		}
	}
	if len(now) > 0 || len(later) == 0 || len(c.subs[k].flights) > 0 {
		return now, later
	}
	if k.single() {
		return later[:1], later[1:]
	}
	n, size := 1, len(later[0].next.any.GetValue())
	for n < len(later) && size+len(later[n].next.any.GetValue()) <= maxResponse {
		size += len(later[n].next.any.GetValue())
		n++
	}
	return later[:n], later[n:]
}

// repeated adds to the chosen what unanswered responses carry, each name once, its newest version.
func (c *conversation) repeated(k kind, chosen []change) []*item {
	sub := &c.subs[k]
	byName := map[string]*item{}
	for _, f := range sub.flights {
		for _, i := range f.items {
			if e := sub.entries[i.name]; e != nil && e.sent.known() {
				byName[i.name] = e.sent
			}
		}
	}
	for _, ch := range chosen {
		byName[ch.entry.name] = ch.next
	}
	out := make([]*item, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// sentItems is what the client has of a kind once everything sent has arrived.
func (c *conversation) sentItems(k kind) []*item {
	var out []*item
	for _, e := range c.subs[k].sortedEntries() {
		if e.sent.known() {
			out = append(out, e.sent)
		}
	}
	return out
}

// versionOf is the version of a state: a hash over its sorted names and versions.
func versionOf(items []*item) string {
	h := sha256.New()
	for _, i := range items {
		h.Write([]byte(i.name))
		h.Write([]byte{0})
		h.Write([]byte(i.version))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
