package server

import (
	"slices"
	"strconv"
	"strings"
)

// maxFlights bounds the unanswered responses of one kind that are kept.
const maxFlights = 1024

func (c *conversation) nextNonce() string {
	c.nonces++
	return strconv.FormatUint(c.nonces, 10)
}

// launch records that items and removals leave for the client now, and makes the response that carries them.
func (c *conversation) launch(k kind, items []*item, removed []string) response {
	sub := &c.subs[k]
	r := response{typeURL: k.typeURL(), nonce: c.nextNonce(), items: items, removed: removed}
	sub.newest = c.nonces
	if c.sotw {
		sub.flights = nil // an answer to an older response is void in this form
	}
	if len(sub.flights) >= maxFlights {
		sub.flights = slices.Delete(sub.flights, 0, 1) // the client does not answer; what it says of this one is lost
	}
	sub.flights = append(sub.flights, &flight{nonce: c.nonces, items: items, removed: removed})
	for _, i := range items {
		e := sub.entry(i.name)
		e.sent, e.owed, e.told = i, false, false
		e.heldFor = ""
	}
	if k == clusters && len(removed) > 0 {
		c.subs[endpoints].dirty = true // they may leave now, too
	}
	for _, name := range removed {
		e := sub.entry(name)
		had := e.sent != nil || e.have != nil
		e.sent, e.have, e.owed, e.told = nil, nil, false, true
		if had {
			c.note(k, e, dropped, nil)
		}
		if !e.named {
			delete(sub.entries, name)
		}
	}
	sub.owed = false
	return r
}

// land takes the flight that a nonce names out of the air. nil: no such flight, the nonce says nothing.
func (s *subscription) land(nonce string) *flight {
	n, err := strconv.ParseUint(nonce, 10, 64)
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(s.flights, func(f *flight) bool { return f.nonce == n })
	if at < 0 {
		return nil
	}
	f := s.flights[at]
	s.flights = slices.Delete(s.flights, at, at+1)
	return f
}

// settle takes the client's verdict on a flight.
func (c *conversation) settle(k kind, f *flight, r request) {
	sub := &c.subs[k]
	var guilty []*item
	if r.refused {
		guilty = c.culprits(k, f, r.nack)
	}
	for _, i := range f.items {
		e := sub.entries[i.name]
		if e == nil || f.nonce < e.haveAt {
			continue // unsubscribed meanwhile, or a newer version is acknowledged already
		}
		if slices.Contains(guilty, i) {
			c.refuse(k, e, i, r.nack)
			continue
		}
		e.have, e.haveAt = i, f.nonce
		c.note(k, e, acked, i)
	}
	sub.dirty = true
}

// culprits are the resources of a refused response that the client means: the only one; else those it names; else all
// that differ from what it has.
func (c *conversation) culprits(k kind, f *flight, message string) []*item {
	if len(f.items) == 1 {
		return f.items
	}
	var named, differing []*item
	for _, i := range f.items {
		if mentions(message, i.name) {
			named = append(named, i)
		}
		if e := c.subs[k].entries[i.name]; e == nil || e.have == nil || e.have.version != i.version {
			differing = append(differing, i)
		}
	}
	if len(named) > 0 {
		return named
	}
	return differing
}

// mentions reports whether the message holds the name as a word of its own, not as a part of a longer name.
func mentions(message, name string) bool {
	for from := 0; ; {
		at := strings.Index(message[from:], name)
		if at < 0 {
			return false
		}
		start := from + at
		end := start + len(name)
		if (start == 0 || !inName(message[start-1])) && endsName(message[end:]) {
			return true
		}
		from = start + 1
	}
}

func inName(b byte) bool {
	return b == '|' || b == '.' || b == '_' || b == '-' || b == '~' || b == '/' ||
		b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// endsName reports whether a name can end before rest: at the end, before a full stop that ends the sentence, or
// before anything that is no part of a name.
func endsName(rest string) bool {
	rest = strings.TrimLeft(rest, ".")
	return rest == "" || !inName(rest[0])
}

// refuse records that the client has rejected a version: it keeps what it has, and is not sent that version again.
func (c *conversation) refuse(k kind, e *entry, i *item, message string) {
	if e.sent == i {
		e.sent = e.have
	}
	e.refused, e.owed = i.version, false
	c.outcomes = append(c.outcomes, outcome{kind: k, name: e.name, what: rejected, item: i, message: message})
}
