package server

import (
	"slices"
	"strconv"
	"strings"
)

// secretRefused stands for what a proxy says of a secret, which may repeat parts of it.
const secretRefused = "the proxy refuses the secret; its words may repeat the secret and are in its own log only"

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
		sub.supersede(items)
	}
	if len(sub.flights) >= maxFlights {
		sub.flights = slices.Delete(sub.flights, 0, 1) // the client does not answer; what it says of this one is lost
	}
	sub.flights = append(sub.flights, &flight{nonce: c.nonces, sent: c.notes.planned, items: items, removed: removed})
	for _, i := range items {
		e := sub.entry(i.name)
		e.sent, e.owed, e.told, e.claimed = i, false, false, false
		e.heldFor = ""
	}
	if k == clusters && len(removed) > 0 {
		c.subs[endpoints].dirty = true // they may leave now, too
	}
	for _, name := range removed {
		e := sub.entry(name)
		had := e.sent != nil || e.have != nil
		e.sent, e.have, e.before, e.owed, e.told, e.claimed = nil, nil, nil, false, true, false
		if had {
			c.note(k, e, dropped, nil)
		}
		if !e.named {
			sub.remove(name)
		}
	}
	sub.owed = false
	return r
}

// supersede gives up the responses without answer: in state-of-the-world form an answer to an older one is void. What
// they carried and next does not repeat has probably been applied.
func (s *subscription) supersede(next []*item) {
	repeated := make(map[string]string, len(next))
	for _, i := range next {
		repeated[i.name] = i.version
	}
	for _, f := range s.flights {
		for _, i := range f.items {
			if e := s.entries[i.name]; e != nil && (e.have == nil || e.have.version != i.version) && repeated[i.name] != i.version {
				e.before = i
			}
		}
	}
	s.flights = nil
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
	c.notes.landed = append(c.notes.landed, landing{kind: k, sent: f.sent, refused: r.refused})
	if k == endpoints {
		c.calm.answered(f.sent, r.at, c.timing.Calm)
	}
	var guilty []*item
	if r.refused {
		guilty = c.culprits(k, f, r.nack)
	}
	for _, i := range f.items {
		e := sub.entries[i.name]
		switch {
		case e == nil && slices.Contains(guilty, i):
			c.refuseUnasked(k, i, r.nack)
			continue
		case e == nil:
			continue // unsubscribed meanwhile
		case slices.Contains(guilty, i):
			c.refuse(k, e, i, r.nack)
			continue
		case f.nonce < e.haveAt:
			continue // a newer version is acknowledged already
		}
		sub.dirty = sub.dirty || e.sent != i || e.have != nil && !e.have.known()
		e.have, e.haveAt, e.before, e.guessed = i, f.nonce, nil, false
		c.note(k, e, acked, i)
		c.doubt(k, i.name, r.refused)
	}
	if c.sotw {
		c.doubt(k, wildcard, r.refused)
	}
	// A delta client that has accepted what it was sent last changes nothing of what it should be sent of the kind. What
	// waits at the gates for this is marked itself.
	sub.dirty = sub.dirty || c.sotw || r.refused
}

// doubt records whether the next stream of the node can be believed about a resource. The good parts of a rejected
// response are applied, and the client reports the versions from before it.
func (c *conversation) doubt(k kind, name string, refused bool) {
	what := sure
	if refused {
		what = unsure
	}
	c.outcomes = append(c.outcomes, outcome{kind: k, name: name, what: what})
}

// culprits are the resources of a refused response that the client means: the only one; else those it names; else all
// that differ from what it has.
func (c *conversation) culprits(k kind, f *flight, message string) []*item {
	if len(f.items) == 1 {
		return f.items
	}
	var named, differing []*item
	for _, i := range f.items {
		if e := c.subs[k].entries[i.name]; e != nil && e.have != nil && e.have.version == i.version && !e.guessed {
			continue // it runs this very version
		}
		differing = append(differing, i)
		if mentions(message, i.name) {
			named = append(named, i)
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

// aloft is the newest version of a resource, but for one, in responses that are not answered; nil: none.
func (s *subscription) aloft(name, but string) *item {
	for _, f := range slices.Backward(s.flights) {
		for _, i := range f.items {
			if i.name == name && i.version != but {
				return i
			}
		}
	}
	return nil
}

// refuse records that the client has rejected a version: it keeps what it has, and is not sent that version again.
func (c *conversation) refuse(k kind, e *entry, i *item, message string) {
	switch {
	case e.before != nil && e.before.version != i.version:
		e.have, e.before, e.guessed = e.before, nil, true
	case e.guessed && e.have != nil && e.have.version == i.version:
		e.have, e.guessed = nil, false
	}
	if e.sent != nil && e.sent.version == i.version {
		if e.sent = c.subs[k].aloft(e.name, i.version); e.sent == nil {
			e.sent = e.have
		}
	}
	if want := c.set.of[k].get(e.name); want != nil && want.version == i.version {
		e.refused, e.owed = i.version, false // what is not wanted any more need not be remembered
	}
	c.notice(k, i, message)
}

// refuseUnasked records the rejection of what the client is not subscribed to any more: should it ask again, it is not
// sent that version.
func (c *conversation) refuseUnasked(k kind, i *item, message string) {
	c.notice(k, i, message)
	c.outcomes = append(c.outcomes, outcome{kind: k, name: i.name, what: dropped})
}

func (c *conversation) notice(k kind, i *item, message string) {
	if k == secrets {
		message = secretRefused
	}
	c.outcomes = append(c.outcomes, outcome{kind: k, name: i.name, what: rejected, item: i, message: message})
}
