package server

import (
	"bytes"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// A resource that a proxy has rejected is not given to others like it: neither to those that have not received it yet,
// nor to new ones. They keep, or get, what some proxy of the class has acknowledged last. Of a table only the virtual
// hosts count that differ from the last good one, so that the others go on changing. New content is tried.

// goodKept is how many acknowledged versions of a resource are kept: of the newest, one kind of proxy may reject what
// another has acknowledged.
const goodKept = 4

// whole stands for a resource as one, among the names of its parts.
const whole = ""

// rejects is what one kind of proxy has rejected, by resource and by part of it.
type rejects map[key]map[string]ban

// ban is a version that is kept from proxies.
type ban struct {
	version string
	first   *ir.Rejection
}

// rejected reports whether some kind of proxy rejects the resource, or a part of it.
func (b *book) rejected(at key) bool {
	for _, of := range b.rejects {
		if len(of[at]) > 0 {
			return true
		}
	}
	return false
}

// good gives the newest acknowledged item that satisfies ok; nil: none.
func (r *row) good(ok func(*item) bool) *item {
	for _, i := range slices.Backward(r.goods) {
		if ok(i) {
			return i
		}
	}
	return nil
}

// approve makes an item the newest that was acknowledged.
func (r *row) approve(i *item) {
	r.goods = slices.DeleteFunc(r.goods, func(old *item) bool { return old.version == i.version })
	r.goods = append(r.goods, i)
	if len(r.goods) > goodKept {
		r.goods = slices.Delete(r.goods, 0, 1)
	}
}

func (i *item) part(name string) (envoy.Part, bool) {
	at := slices.IndexFunc(i.parts, func(p envoy.Part) bool { return p.Name == name })
	if at < 0 {
		return envoy.Part{}, false
	}
	return i.parts[at], true
}

// quarantine takes a rejection of an item by a client; false: it changes nothing for others.
func (l *ledger) quarantine(c *client, at key, o outcome) bool {
	b, rejected := l.book(c.class), o.item
	if b.set == nil {
		return false
	}
	base := b.set.of[at.kind].get(at.name)
	if base == nil || rejected.version != base.version && rejected.version != b.wants(at, c.flavour) {
		return false // newer content is on its way
	}
	if b.rejects[c.flavour] == nil {
		b.rejects[c.flavour] = rejects{}
	}
	of := b.rejects[c.flavour]
	if of[at] == nil {
		of[at] = map[string]ban{}
	}
	before := len(of[at])
	for _, p := range b.guilty(at, base, rejected) {
		if of[at][p.Name].version != p.Version {
			of[at][p.Name] = ban{version: p.Version, first: l.rejection(c, o)}
		}
	}
	return len(of[at]) > before
}

// guilty are the parts of base that a rejection is about: those that differ from the last good version; where none does,
// the whole. Among several, one that has changed in weights only is not what a proxy objects to: the rollback of one host
// must not wait for what is wrong with another.
func (b *book) guilty(at key, base, rejected *item) []envoy.Part {
	good := b.row(at).good(func(i *item) bool { return i.version != rejected.version })
	var out []envoy.Part
	for _, p := range base.parts {
		sent, ok := rejected.part(p.Name)
		if !ok || sent.Version != p.Version {
			continue // it was held back already
		}
		if good != nil {
			if old, ok := good.part(p.Name); ok && old.Version == p.Version {
				continue
			}
		}
		out = append(out, p)
	}
	if reshaped := slices.DeleteFunc(slices.Clone(out), b.row(at).reweighed); len(reshaped) > 0 {
		return reshaped
	}
	if len(out) == 0 {
		out = []envoy.Part{{Name: whole, Version: base.version}}
	}
	return out
}

// reweighed reports whether a part differs from some acknowledged one in its weights only.
func (r *row) reweighed(p envoy.Part) bool {
	shape := envoy.Shape(p)
	return r.good(func(i *item) bool {
		old, ok := i.part(p.Name)
		return ok && bytes.Equal(envoy.Shape(old), shape)
	}) != nil
}

// lift ends the quarantine of what has changed.
func (b *book) lift() {
	for flavour, of := range b.rejects {
		for at, parts := range of {
			base := b.set.of[at.kind].get(at.name)
			maps.DeleteFunc(parts, func(name string, of ban) bool {
				if base == nil {
					return true
				}
				if name == whole {
					return base.version != of.version
				}
				p, ok := base.part(name)
				return !ok || p.Version != of.version
			})
			if len(parts) == 0 {
				delete(of, at)
			}
		}
		if len(of) == 0 {
			delete(b.rejects, flavour)
		}
	}
}

// derive makes the sets of the kinds of proxies that reject something, and opens the accounts anew where those change.
func (b *book) derive() map[string]*set {
	b.variants = make(map[string]*set, len(b.rejects))
	for flavour, of := range b.rejects {
		s := &set{base: b.set, of: b.set.of, uses: b.set.uses, mark: b.set.mark, withheld: map[key]bool{}}
		for k := range kinds {
			s.of[k] = b.substituted(s, k, of)
		}
		b.variants[flavour] = s
	}
	return b.variants
}

// substituted is a collection of the set without what is rejected.
func (b *book) substituted(s *set, k kind, of rejects) *collection {
	out := b.set.of[k]
	for at, parts := range of {
		if at.kind != k {
			continue
		}
		if out == b.set.of[k] {
			out = &collection{items: slices.Clone(out.items), places: out.places}
		}
		place, ok := out.places[at.name]
		if !ok {
			continue
		}
		if next := b.substitute(at, out.items[place], parts); next != nil {
			out.items[place] = next
			continue
		}
		out.items = slices.Delete(out.items, place, place+1)
		out.places = placesOf(out.items)
		s.withheld[at] = true
	}
	return out
}

// substitute is what is served in the place of base; nil: nothing.
func (b *book) substitute(at key, base *item, parts map[string]ban) *item {
	if of, ok := parts[whole]; ok {
		good := b.row(at).good(func(i *item) bool { return i.version != of.version })
		switch {
		case good != nil:
			return good
		case at.kind == routes || at.kind == endpoints:
			out := empty(base) // a listener, or a cluster, would wait for an answer
			out.partial = true
			return out
		default:
			return nil
		}
	}
	var hosts []envoy.Part
	refs, missing := slices.Clone(base.refs), false
	for _, p := range base.parts {
		if parts[p.Name].version == p.Version {
			good := b.row(at).good(func(i *item) bool {
				old, ok := i.part(p.Name)
				return ok && old.Version != p.Version
			})
			if good == nil {
				missing = true
				continue
			}
			p, _ = good.part(p.Name)
			p = withdrawn(p, good.carries, base.carries)
			refs = append(refs, good.refs...)
		}
		hosts = append(hosts, p)
	}
	out := reassembled(base, hosts, refs)
	out.partial = missing
	if same := b.row(at).good(func(i *item) bool { return i.version == out.version }); same != nil {
		return same
	}
	return out
}

// withdrawn is a good part without what the splits of the newest version give their canaries no more: what is wrong with a
// virtual host keeps its new content from proxies, but not a rollback.
func withdrawn(p envoy.Part, then, now carries) envoy.Part {
	for _, use := range now {
		before := useOf(then, use.Key)
		if use.Gives() > 0 || before == nil || before.Gives() == 0 {
			continue
		}
		from := slices.DeleteFunc(slices.Clone(before.Clusters), func(name string) bool { return slices.Contains(use.Clusters, name) })
		p = envoy.Withdrawn(p, from, use.Clusters)
	}
	return p
}

// wants is the version of a resource that a kind of proxy should have; empty: none.
func (b *book) wants(at key, flavour string) string {
	if s := b.variants[flavour]; s != nil {
		if i := s.of[at.kind].get(at.name); i != nil {
			return i.version
		}
		return ""
	}
	return b.want(at)
}

// concerns reports whether what a kind of proxy rejects of a resource has to do with a split: it is the whole, or a
// virtual host that names one of its clusters.
func (b *book) concerns(at key, flavour string, clusters []string) bool {
	base := b.set.of[at.kind].get(at.name)
	for name := range b.rejects[flavour][at] {
		if name == whole || base == nil {
			return true
		}
		p, _ := base.part(name)
		if slices.ContainsFunc(clusters, func(cluster string) bool { return bytes.Contains(p.Bytes, []byte(cluster)) }) {
			return true
		}
	}
	return false
}

// quarantined brings the streams of a class in line with what its proxies reject.
func (s *Server) quarantined(c *class) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	now := c.served.Load()
	if now == nil {
		return
	}
	c.served.Store(&served{base: now.base, variants: s.ledger.derive(c.of)})
	for ss := range c.sessions {
		ss.poke()
	}
}
