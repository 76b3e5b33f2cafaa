package istio

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// claim says who takes the connections of a chain.
type claim struct {
	at      Meta
	field   string
	selects string // what decides whether it applies at all; empty: it always does
}

// chainSet is the chains of a listener as they come together: no two of them may match alike, since a proxy refuses the
// whole listener then. Who comes first holds.
type chainSet struct {
	chains []ir.Chain
	by     map[condition]claim
}

// condition is one combination of what a chain matches.
type condition struct {
	prefix    string // empty: any address
	name      string // empty: any server name
	transport ir.Transport
}

func (c condition) String() string {
	switch {
	case c.name != "" && c.prefix != "":
		return c.name + " at " + c.prefix
	case c.name != "" || c.prefix != "":
		return c.name + c.prefix
	default:
		return "every host"
	}
}

// add adds a chain without what others match already, which it returns.
func (s *chainSet) add(c ir.Chain, by claim) []condition {
	if s.by == nil {
		s.by = map[condition]claim{}
	}
	left, lost := without(c, func(at condition) bool { _, taken := s.by[at]; return taken })
	for _, one := range left {
		for _, at := range conditions(one) {
			s.by[at] = by
		}
	}
	s.chains = append(s.chains, left...)
	return lost
}

// conditions are the combinations of a chain's match.
func conditions(c ir.Chain) []condition {
	var out []condition
	for _, p := range orAny(c.Match.Prefixes) {
		for _, n := range orAny(c.Match.ServerNames) {
			out = append(out, condition{p, n, c.Match.Transport})
		}
	}
	return out
}

func orAny(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

// without divides what a chain matches: what is left of it, in several chains where need be, and what is taken.
func without(c ir.Chain, taken func(condition) bool) (left []ir.Chain, lost []condition) {
	for _, p := range orAny(c.Match.Prefixes) {
		one := c
		one.Match.Prefixes, one.Match.ServerNames = nil, nil
		if p != "" {
			one.Match.Prefixes = []string{p}
		}
		free := 0
		for _, n := range orAny(c.Match.ServerNames) {
			if at := (condition{p, n, c.Match.Transport}); taken(at) {
				lost = append(lost, at)
				continue
			}
			free++
			if n != "" {
				one.Match.ServerNames = append(one.Match.ServerNames, n)
			}
		}
		if free > 0 {
			left = append(left, one)
		}
	}
	if len(lost) == 0 {
		return []ir.Chain{c}, nil
	}
	return left, lost
}

// add adds the chain of a rule. It reports names and addresses that an earlier rule always takes from it; one that does
// so for some clients only is how rules for these clients are written.
func (t *translator) add(to *chainSet, c ir.Chain, by claim) {
	for _, at := range to.add(c, by) {
		first := to.by[at]
		if first.selects != "" && first.selects != by.selects {
			continue
		}
		t.found.fail(by.at, "S031", by.field, fmt.Sprintf("connections for %s already go by %s of %s", at, first.field, first.at.ref()),
			"name each server name and address block once; until then the first holds")
		if first.at.ref() != by.at.ref() {
			t.found.byName(first.at, by.at)
		}
	}
}

// tcpChains are the chains of the tcp rules at a site, in order, up to the first rule that takes every connection; true:
// there is such a rule.
func (t *translator) tcpChains(vss []*virtual, at site) ([]ir.Chain, bool) {
	var set chainSet
	var last *claim
	for _, vs := range vss {
		for _, r := range tcpRules(vs) {
			entries := t.applied(r, at)
			if len(entries) == 0 || !t.checkConnections(r) {
				continue
			}
			if last != nil {
				t.reportUnreachable(r, entries, *last)
				continue
			}
			by := claim{vs.Meta, r.field, entries[0].selects()}
			match := ir.ChainMatch{}
			for _, e := range entries {
				if len(e.match.Prefixes) == 0 {
					by.selects = e.selects()
					last, match.Prefixes = &by, at.prefixes
					break
				}
				match.Prefixes = append(match.Prefixes, e.match.Prefixes...)
			}
			slices.Sort(match.Prefixes)
			match.Prefixes = slices.Compact(slices.Clone(match.Prefixes))
			t.add(&set, ir.Chain{Name: r.name(), Match: match, Proxy: t.forwarding(r, at), Origins: []ir.Origin{vs.origin(r.field)}}, by)
		}
	}
	return set.chains, last != nil
}

func (t *translator) reportUnreachable(r connectionRule, entries []applied, last claim) {
	if last.selects == "" || slices.ContainsFunc(entries, func(e applied) bool { return e.selects() == last.selects }) {
		t.found.warn(r.vs.Meta, "S020", r.field, fmt.Sprintf("no connection reaches this rule, since %s of %s takes every one", last.field, last.at.ref()), "move it up, or remove it")
		if last.at.ref() != r.vs.ref() {
			t.found.byName(last.at, r.vs.Meta)
		}
	}
}

// tlsChains are the chains of the tls rules at a site, one for each match entry. The proxy chooses the most specific name.
func (t *translator) tlsChains(vss []*virtual, at site) []ir.Chain {
	var set chainSet
	for _, vs := range vss {
		for _, r := range tlsRules(vs) {
			entries := t.applied(r, at)
			if !t.checkConnections(r) || len(entries) == 0 {
				continue
			}
			proxy := t.forwarding(r, at)
			for _, e := range entries {
				if len(e.match.Prefixes) == 0 {
					e.match.Prefixes = at.prefixes
				}
				t.add(&set, ir.Chain{Name: r.name(), Match: e.match, Proxy: proxy, Origins: []ir.Origin{vs.origin(r.field)}},
					claim{vs.Meta, e.field, e.selects()})
			}
		}
	}
	return set.chains
}
