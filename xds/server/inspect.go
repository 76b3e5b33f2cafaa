package server

import (
	"maps"
	"slices"
)

// sighting is how one resource stands on one stream. It is never changed.
type sighting struct {
	kind kind
	name string
	want *item // what the class should have, rejections apart; nil: nothing
	have *item // what the client has applied; nil: nothing
	sent bool  // the client was sent some version, or has reported one
	told bool  // the client knows that it does not exist
}

// sightings are all resources that the client has asked for, by kind and name.
func (c *conversation) sightings() []sighting {
	var out []sighting
	for k := range kinds {
		sub := &c.subs[k]
		if !sub.started {
			continue
		}
		names := map[string]bool{}
		for name := range sub.entries {
			names[name] = true
		}
		var all *collection
		if c.set != nil {
			all = c.set.plain().of[k]
			for _, i := range all.items {
				names[i.name] = names[i.name] || sub.wildcard
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !names[name] {
				continue
			}
			one := sighting{kind: k, name: name}
			if all != nil {
				one.want = all.get(name)
			}
			if e := sub.entries[name]; e != nil {
				one.have, one.sent, one.told = e.have, e.sent != nil, e.told
			}
			out = append(out, one)
		}
	}
	return out
}

// plain is the set as it was published.
func (s *set) plain() *set {
	if s.base != nil {
		return s.base
	}
	return s
}

// complaint is why a client does not run what it should.
type complaint struct {
	version string
	message string
	own     bool // the client itself has said so, and not another like it
}

// complaints are those that concern a client.
func (l *ledger) complaints(c *client) map[key]complaint {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[key]complaint{}
	for at, parts := range l.book(c.class).rejects[c.flavour] {
		if len(parts) == 0 {
			continue
		}
		first := parts[slices.Min(slices.Collect(maps.Keys(parts)))].first
		out[at] = complaint{version: first.Version, message: first.Message, own: first.Node == c.node}
	}
	for at, of := range l.refusal[c.key] {
		if of.version != "" {
			out[at] = complaint{version: of.version, message: of.message, own: true}
		}
	}
	return out
}

// look is what one stream has when it is asked.
type look struct {
	sightings  []sighting
	complaints map[key]complaint
}

func (ss *session) look() look {
	return look{sightings: ss.talk.sightings(), complaints: ss.server.ledger.complaints(ss.client)}
}
