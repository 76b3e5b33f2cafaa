package istio

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// rule is one http rule at one place.
type rule struct {
	httpRule
	root  Meta // the VirtualService whose hosts it decides for
	place place
}

// origins are the objects it is written in.
func (r rule) origins() []ir.Origin {
	out := []ir.Origin{r.from.origin(r.field)}
	if r.root.ref() != r.from.ref() {
		out = append(out, r.root.origin("spec"))
	}
	return out
}

// routes translates the http rules of a VirtualService for a place, in order, up to the first that matches everything. At
// a gateway, where such routes are moved behind the others, only one that is written so ends the list: not an entry that
// says nothing but where it applies, or nothing at all.
func (t *translator) routes(vs virtualService, p place) []ir.Route {
	var out []ir.Route
	ended, here := false, false // here: what matches everything does so at this place, not everywhere
	for _, one := range vs.rules {
		r := rule{one, vs.Meta, p}
		matches := t.matches(r)
		if len(matches) == 0 || !t.checkRule(r) {
			continue
		}
		if ended {
			if here {
				continue
			}
			t.found.warn(r.from, "S020", r.field, "no request reaches this rule, since the one before it matches everything", "move it up, or remove it")
			continue
		}
		routes := t.routesOf(r, matches)
		out = append(out, routes...)
		ended = len(routes) > 0 && slices.ContainsFunc(matches, r.place.ends)
		here = slices.ContainsFunc(matches, func(m namedMatch) bool { return m.match.CatchAll() && m.placed })
	}
	return out
}

// ends reports whether no rule after a match counts.
func (p place) ends(m namedMatch) bool {
	return m.match.CatchAll() && (p.gateways[mesh] || !m.placed && !m.bare)
}

type namedMatch struct {
	name  string
	match ir.Match
	stats string
	// placed: the entry says where it applies, by port, gateway or client.
	placed bool
	// chosen: it says for which clients.
	chosen bool
	// bare: it is an entry that says nothing of the path.
	bare bool
}

// matches are the conditions under which the rule applies at its place; none: it does not.
func (t *translator) matches(r rule) []namedMatch {
	if len(r.spec.GetMatch()) == 0 {
		return []namedMatch{{match: ir.Match{Path: ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}}}}
	}
	var out []namedMatch
	for j, m := range r.spec.GetMatch() {
		if j == maxMatches {
			t.found.fail(r.from, "S002", r.field+".match", fmt.Sprintf("there are %d match entries; those after the first %d are left out", len(r.spec.GetMatch()), maxMatches),
				"divide it among several rules")
			break
		}
		if !t.applies(r, m) {
			continue
		}
		if match, ok := t.match(r.from, fmt.Sprintf("%s.match[%d]", r.field, j), m); ok {
			placed := m.GetPort() != 0 || len(m.GetGateways())+len(m.GetSourceLabels()) > 0 || m.GetSourceNamespace() != ""
			out = append(out, namedMatch{
				name: m.GetName(), match: match, stats: m.GetStatPrefix(), placed: placed, bare: m.GetUri() == nil,
				chosen: choosesClients(m.GetGateways(), m.GetSourceNamespace(), m.GetSourceLabels()),
			})
		}
	}
	return out
}

func (t *translator) routesOf(r rule, matches []namedMatch) []ir.Route {
	catchAll := false
	for _, m := range matches {
		catchAll = catchAll || (m.match.CatchAll() && !m.chosen)
	}
	base, variants, ok := t.action(r, catchAll)
	if !ok {
		return nil
	}
	var out []ir.Route
	for _, m := range matches {
		route := base
		route.Match, route.StatPrefix = m.match, m.stats
		route.Name = r.spec.GetName()
		if m.name != "" {
			route.Name += "." + m.name
		}
		out = append(out, varied(route, variants)...)
		if r.place.ends(m) {
			break
		}
	}
	return out
}

// checkRule reports a rule that contradicts itself; false: it is dropped.
func (t *translator) checkRule(r rule) bool {
	s := r.spec
	forwards, rewrites, faults := len(s.GetRoute()) > 0, s.GetRewrite() != nil, s.GetFault() != nil
	conflict := ""
	switch {
	case s.GetRedirect() != nil && (forwards || faults || rewrites || s.GetDirectResponse() != nil):
		conflict = "redirect stands beside route, fault, rewrite or directResponse"
	case s.GetDirectResponse() != nil && (forwards || faults || rewrites):
		conflict = "directResponse stands beside route, fault or rewrite"
	case s.GetMirror() != nil && len(s.GetMirrors()) > 0:
		conflict = "mirror stands beside mirrors"
	case len(authorities(s.GetRewrite().GetAuthority(), s.GetHeaders())) > 1:
		conflict = "the authority is set to several values"
	case !forwards && s.GetRedirect() == nil && s.GetDirectResponse() == nil:
		conflict = "the rule says neither route nor redirect nor directResponse"
	}
	if conflict != "" {
		t.found.fail(r.from, "S026", r.field, conflict, "keep one of them; until then the rule is left out")
		return false
	}
	return t.checkDestinations(r) && t.checkWeights(r)
}

// checkDestinations reports destinations that say nothing, or two things; false: the rule is dropped.
func (t *translator) checkDestinations(r rule) bool {
	for j, d := range r.spec.GetRoute() {
		at := fmt.Sprintf("%s.route[%d]", r.field, j)
		switch {
		case d.GetDestination().GetHost() == "":
			t.found.fail(r.from, "S002", at+".destination.host", "the destination has no host", "name one; until then the rule is left out")
			return false
		case d.GetDestination().GetPort().GetNumber() > maxPort:
			t.found.fail(r.from, "S002", at+".destination.port.number", fmt.Sprintf("%d is no port", d.GetDestination().GetPort().GetNumber()),
				"give a number up to 65535; until then the rule is left out")
			return false
		case len(authorities("", d.GetHeaders())) > 1:
			t.found.fail(r.from, "S026", at+".headers", "the authority is set to several values", "keep one of them; until then the rule is left out")
			return false
		}
	}
	return true
}

// checkWeights reports weights that divide nothing; false: the rule is dropped.
func (t *translator) checkWeights(r rule) bool {
	weights := make([]int64, 0, len(r.spec.GetRoute()))
	for _, d := range r.spec.GetRoute() {
		weights = append(weights, int64(d.GetWeight()))
	}
	return t.found.checkShares(r.from, r.field, weights)
}

// destination is one target of a rule, its names resolved.
type destination struct {
	host      string
	subset    string
	port      int
	weight    int64
	headers   ir.HeaderOps
	authority string
	fixed     bool // an arm that a preview shows: no split divides it
}

func (d destination) cluster() string { return ir.ClusterName(d.port, d.subset, d.host) }

// destinations resolves the targets of a rule. A single one has weight 1 whatever is written.
func (t *translator) destinations(r rule) []destination {
	list := r.spec.GetRoute()
	out := make([]destination, 0, len(list))
	for j, d := range list {
		at := fmt.Sprintf("%s.route[%d]", r.field, j)
		to := t.resolve(r, at+".destination", d.GetDestination())
		to.weight = int64(d.GetWeight())
		if len(list) == 1 {
			to.weight = 1
		}
		to.headers, to.authority = t.headerOps(r.from, at+".headers", d.GetHeaders())
		out = append(out, to)
	}
	return out
}

// resolve finds host and port of a destination. What does not exist keeps its name: the proxy answers 503, as written.
func (t *translator) resolve(r rule, at string, d *networking.Destination) destination {
	out := destination{host: ResolveHost(d.GetHost(), r.from.Namespace, t.suffix()), subset: d.GetSubset(), port: int(d.GetPort().GetNumber())}
	s, known := t.service(out.host)
	if out.port == 0 {
		out.port = t.portOf(r, at, s)
	}
	switch {
	case !known:
		t.unknownHost(r, at, out.host)
	case !hasPort(s, out.port):
		t.found.fail(r.from, "S013", at+".port", fmt.Sprintf("%s has no port %d", out.host, out.port), "name a port of the service")
	case out.subset != "":
		if _, ok := t.policy(out.host).subset(out.subset); !ok {
			t.found.fail(r.from, "S010", at+".subset", fmt.Sprintf("no DestinationRule defines subset %q of %s", out.subset, out.host),
				"define it, or correct the name; until then its requests are answered 503")
		}
	}
	return out
}

func (t *translator) unknownHost(r rule, at, host string) {
	if t.known(host) {
		t.found.warn(r.from, "S017", at+".host", fmt.Sprintf("%s is not exported to namespace %s", host, t.class.Namespace),
			"export the service to it; until then its requests are answered 503")
		return
	}
	t.found.warn(r.from, "S011", at+".host", fmt.Sprintf("no service has the host %s", host),
		"create it, or correct the name; until then its requests are answered 503")
}

func hasPort(s registry.Service, port int) bool {
	_, ok := s.Port(port)
	return ok
}

// portOf is the service's only port, else the listener's.
func (t *translator) portOf(r rule, at string, s registry.Service) int {
	if len(s.Ports) == 1 {
		return s.Ports[0].Number
	}
	if len(s.Ports) > 1 {
		t.found.warn(r.from, "S014", at+".port", fmt.Sprintf("%s has several ports; %d, that of the listener, is taken", s.Host, r.place.port),
			"name the port")
	}
	return r.place.port
}
