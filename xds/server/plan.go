package server

import (
	"cmp"
	"slices"
	"time"
)

// change is a resource that the client must be told of.
type change struct {
	entry   *entry
	next    *item // nil: it is gone
	answer  bool  // the client has asked for it
	lowered bool  // it takes weight from a canary
}

// plan gives everything that may be sent now, in the order of sending, and when to plan again although nothing
// happens (zero: never). What it returns counts as sent.
func (c *conversation) plan(now time.Time) ([]response, time.Time) {
	if c.set == nil {
		return nil, time.Time{}
	}
	var out []response
	var again time.Time
	c.barred.unproven, c.barred.emptied = false, false
	c.notes.planned, c.calm.waiting = now, false
	for _, k := range c.sequence() {
		sub := &c.subs[k]
		if !sub.started || !sub.dirty && sub.scanned == c.set.of[k] {
			continue
		}
		rests, until := c.rests(k, now)
		if rests && !sub.asked {
			again, c.calm.waiting = earlier(again, until), true
			continue
		}
		sub.dirty, sub.asked = false, false
		c.recognise(k)
		if c.barsWhole(k) {
			continue
		}
		changes, at := c.changes(k, now)
		if all := len(changes); rests {
			if changes = answers(changes); len(changes) < all {
				sub.dirty, c.calm.waiting, at = true, true, earlier(at, until)
			}
		}
		again = earlier(again, at)
		out = append(out, c.respond(k, changes)...)
		sub.scanned = c.set.of[k]
	}
	return out, again
}

// answers are the changes that the client has asked for.
func answers(changes []change) []change {
	return slices.DeleteFunc(changes, func(ch change) bool { return !ch.answer })
}

func (c *conversation) respond(k kind, changes []change) []response {
	switch {
	case !c.sotw:
		return c.respondDelta(k, changes)
	case k.wildcardable():
		return c.respondFull(k, changes)
	default:
		return c.respondPart(k, changes)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// recognise gives bytes to what the client has reported by version, where it is what is wanted now.
func (c *conversation) recognise(k kind) {
	sub := &c.subs[k]
	if c.sotw && sub.reported != "" {
		c.recogniseFull(k)
		return
	}
	if sub.scanned != nil {
		return
	}
	for _, e := range sub.entries {
		want := c.set.of[k].get(e.name)
		if e.have != nil && !e.have.known() && want != nil && want.version == e.have.version {
			if e.sent == e.have {
				e.sent = want
			}
			e.have, e.claimed = want, false
			c.note(k, e, reported, want)
		}
	}
}

// recogniseFull compares the version that a client has brought from an earlier stream with the whole subscription:
// equal, and nothing has to be sent; else the client has something, and it is not known what.
func (c *conversation) recogniseFull(k kind) {
	sub := &c.subs[k]
	// Of names the version says too little: the client may have dropped one and asked for it again since.
	same := sub.wildcard && sub.reported == versionOf(c.covered(k)) && !slices.Contains(c.memory.doubted(k), wildcard)
	if !same && c.bars(k, k.wildcardable()) {
		return // what it has is guessed from the set that replaces it
	}
	for _, i := range c.covered(k) {
		e := sub.entry(i.name)
		if same {
			e.owed = false
			c.assume(k, e, i)
		} else {
			c.assume(k, e, &item{name: i.name})
		}
	}
	if same {
		sub.owed = false
	}
	sub.reported = ""
}

// bars reports whether the set is too uncertain to replace or to take away what the client has reported of the kind.
func (c *conversation) bars(k kind, claimed bool) bool {
	if claimed && c.unproven {
		c.barred.unproven, c.subs[k].dirty = true, true
		return true
	}
	return false
}

// barsEmpty reports whether the last resource of the kind may be missing because the set is old.
func (c *conversation) barsEmpty(k kind) bool {
	if c.emptied && k.wildcardable() && len(c.set.of[k].items) == 0 {
		c.barred.emptied, c.subs[k].dirty = true, true
		return true
	}
	return false
}

// barsWhole reports whether the whole state of the kind must not be sent yet: a client takes away what is missing in it.
func (c *conversation) barsWhole(k kind) bool {
	sub := &c.subs[k]
	if !c.sotw || !k.wildcardable() {
		return false
	}
	has := slices.ContainsFunc(sub.sortedEntries(), func(e *entry) bool { return e.sent != nil })
	return c.bars(k, sub.reported != "") || has && c.barsEmpty(k)
}

// covered are the resources of the set that the client has asked for, sorted by name.
func (c *conversation) covered(k kind) []*item {
	sub := &c.subs[k]
	if sub.wildcard {
		return c.set.of[k].items
	}
	var out []*item
	for _, e := range sub.sortedEntries() {
		if i := c.set.of[k].get(e.name); i != nil && e.named {
			out = append(out, i)
		}
	}
	return out
}

// changes are the differences between what the client has been sent and what it should have, gates passed, sorted by
// name; and the next time at which a gate opens by itself.
func (c *conversation) changes(k kind, now time.Time) ([]change, time.Time) {
	sub := &c.subs[k]
	if sub.wildcard {
		for _, i := range c.set.of[k].items {
			sub.entry(i.name)
		}
	}
	var out []change
	var again time.Time
	for _, e := range sub.sortedEntries() {
		ch, ok, at := c.change(k, e, now)
		if ok {
			out = append(out, ch)
		}
		again = earlier(again, at)
	}
	return out, again
}

func (c *conversation) change(k kind, e *entry, now time.Time) (ch change, ok bool, again time.Time) {
	want, withheld := c.wanted(k, e)
	ch = change{entry: e, next: want, answer: e.owed}
	switch {
	case withheld:
		e.owed = false
		return ch, false, again
	case want == nil:
		return c.removal(k, ch, now)
	}
	e.leaving = time.Time{}
	if e.sent != nil && e.sent.version == want.version {
		guess := e.guessed && c.subs[k].aloft(e.name, "") == nil // only its answer says whether the client has it
		return ch, e.owed && want.known() || guess, again
	}
	if !want.carries.braked() && c.bars(k, e.claimed) { // a brake is this process's own, and newer than all that is stored
		return ch, false, again
	}
	ch.lowered = lowers(e, want)
	hold, at := c.held(k, e, want, now)
	if hold {
		c.subs[k].dirty = true
	}
	return ch, !hold, at
}

// removal decides on a resource that is not in the set.
func (c *conversation) removal(k kind, ch change, now time.Time) (change, bool, time.Time) {
	e := ch.entry
	sub := &c.subs[k]
	if e.sent == nil && e.have == nil {
		if !e.named {
			sub.remove(e.name)
		}
		return ch, e.owed && !e.told, time.Time{}
	}
	if c.bars(k, e.claimed) || c.barsEmpty(k) {
		return ch, false, time.Time{}
	}
	switch k {
	case clusters:
		ok, again := c.mayLeave(e, now)
		sub.dirty = sub.dirty || !ok
		return ch, ok, again
	case endpoints:
		if of := c.subs[clusters].entries[e.name]; of != nil && of.sent != nil {
			return ch, false, time.Time{} // they stay as long as their cluster
		}
	default: // listeners and routes leave at once
	}
	return ch, true, time.Time{}
}

// order puts answers first, then what takes weight from a canary, then names.
func order(changes []change) {
	rank := func(ch change) int {
		switch {
		case ch.answer:
			return 0
		case ch.lowered:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(rank(a), rank(b)) })
}
