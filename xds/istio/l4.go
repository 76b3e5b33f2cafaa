package istio

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// connectionRule is a tcp or tls rule of a VirtualService.
type connectionRule struct {
	vs      *virtual
	field   string // spec.tcp[0]
	tls     bool
	entries []connectionMatch // none: every connection
	route   []*networking.RouteDestination
}

// connectionMatch is one match entry; all parts must hold.
type connectionMatch struct {
	field     string
	port      uint32
	gateways  []string
	namespace string
	labels    map[string]string
	subnets   []string
	names     []string // only of tls rules
	source    string
}

// tcpRules are the rules for connections that nothing is known of but their addresses.
func tcpRules(vs *virtual) []connectionRule {
	var out []connectionRule
	for i, spec := range vs.Spec.GetTcp() {
		r := connectionRule{vs: vs, field: fmt.Sprintf("spec.tcp[%d]", i), route: spec.GetRoute()}
		for j, m := range spec.GetMatch() {
			r.entries = append(r.entries, connectionMatch{
				field: fmt.Sprintf("%s.match[%d]", r.field, j), port: m.GetPort(), gateways: m.GetGateways(), namespace: m.GetSourceNamespace(),
				labels: m.GetSourceLabels(), subnets: m.GetDestinationSubnets(), source: m.GetSourceSubnet(),
			})
		}
		out = append(out, r)
	}
	return out
}

// tlsRules are the rules for connections by the server name that the client asks for.
func tlsRules(vs *virtual) []connectionRule {
	var out []connectionRule
	for i, spec := range vs.Spec.GetTls() {
		r := connectionRule{vs: vs, field: fmt.Sprintf("spec.tls[%d]", i), tls: true, route: spec.GetRoute()}
		for j, m := range spec.GetMatch() {
			r.entries = append(r.entries, connectionMatch{
				field: fmt.Sprintf("%s.match[%d]", r.field, j), port: m.GetPort(), gateways: m.GetGateways(), namespace: m.GetSourceNamespace(),
				labels: m.GetSourceLabels(), subnets: m.GetDestinationSubnets(), names: m.GetSniHosts(),
			})
		}
		out = append(out, r)
	}
	return out
}

// name is how the rule's chains are called.
func (r connectionRule) name() string {
	return r.vs.Namespace + "/" + r.vs.Name + " " + strings.TrimPrefix(r.field, "spec.")
}

// catchAll reports whether some entry, where it applies, lets every connection of every client through.
func (r connectionRule) catchAll() bool {
	return len(r.entries) == 0 && !r.tls || slices.ContainsFunc(r.entries, func(m connectionMatch) bool {
		return !m.choosesClients() && len(m.subnets) == 0 && m.source == "" && (len(m.names) == 0 || slices.Contains(m.names, "*"))
	})
}

// choosesClients reports whether an entry is for some clients only. Where it names gateways alone, what it says of clients
// does not count.
func (m connectionMatch) choosesClients() bool {
	return (len(m.gateways) == 0 || slices.Contains(m.gateways, mesh)) && (m.namespace != "" || len(m.labels) > 0)
}

// selects is what decides, before any connection is made, whether an entry applies. Empty: it does everywhere.
func (m connectionMatch) selects() string {
	if m.port == 0 && len(m.gateways) == 0 && m.namespace == "" && len(m.labels) == 0 {
		return ""
	}
	return fmt.Sprint(m.port, m.gateways, m.namespace, m.labels)
}

// site is where connection rules are put.
type site struct {
	place
	listener string
	prefixes []string // address blocks of the service, sorted; none: the listener only gets what is meant for it
	names    []string // by which connections to a TLS service are told from others; none: they need not be
	hosts    []string // of the Gateway's server: other names are not served; nil: all are
	beside   []string // of the Gateway's other servers that end no TLS: these serve what this one does not
}

// applied is a match entry that applies at a site.
type applied struct {
	connectionMatch
	match ir.ChainMatch
}

// applied are the entries that apply at a site and can be compared. None: the rule does not exist there.
func (t *translator) applied(r connectionRule, at site) []applied {
	if len(r.entries) == 0 && !r.tls {
		return []applied{{}}
	}
	var out []applied
	for j, m := range r.entries {
		if j == maxMatches {
			t.found.fail(r.vs.Meta, "S002", r.field+".match", fmt.Sprintf("there are %d match entries; those after the first %d are left out", len(r.entries), maxMatches), "divide it among several rules")
			break
		}
		if (m.port != 0 && int(m.port) != at.port) || !t.selected(r, m, at) {
			continue
		}
		if match, ok := t.compared(r, m, at); ok {
			out = append(out, applied{m, match})
		}
	}
	return out
}

// selected reports whether an entry is meant for the gateway or the client. Of a gateway nothing else is asked where
// gateways are named; of clients inside the mesh all parts must hold.
func (t *translator) selected(r connectionRule, m connectionMatch, at site) bool {
	if len(m.gateways) > 0 {
		named := slices.ContainsFunc(gatewayNames(m.gateways, r.vs.Namespace), func(n string) bool { return at.gateways[n] })
		if !named || !at.gateways[mesh] {
			return named
		}
	}
	return t.isSource(m.namespace, m.labels)
}

// compared is what a proxy compares; false: it cannot, and the entry is dropped, so that no rule matches more than is written.
func (t *translator) compared(r connectionRule, m connectionMatch, at site) (ir.ChainMatch, bool) {
	var out ir.ChainMatch
	if m.source != "" {
		t.found.selection(r.vs.Meta, m.field+".sourceSubnet", "a match on the client's address")
		return out, false
	}
	for k, text := range m.subnets {
		block, ok := addressBlock(text)
		if !ok {
			t.found.fail(r.vs.Meta, "S002", fmt.Sprintf("%s.destinationSubnets[%d]", m.field, k), fmt.Sprintf("%q is no address block", text),
				"write an IP address or a block such as 10.1.0.0/16; until then the match entry is left out")
			return out, false
		}
		out.Prefixes = append(out.Prefixes, block)
	}
	slices.Sort(out.Prefixes)
	out.Prefixes = slices.Compact(out.Prefixes)
	if !r.tls {
		return out, true
	}
	names, ok := t.serverNames(r, m, at)
	out.Transport, out.ServerNames = ir.TLSTransport, names
	return out, ok
}

// addressBlock reads an address or a block of them.
func addressBlock(text string) (string, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String(), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked().String(), err == nil
}

// serverNames are the names of an entry, sorted; none: all. false: the entry is dropped.
func (t *translator) serverNames(r connectionRule, m connectionMatch, at site) ([]string, bool) {
	if len(m.names) == 0 {
		t.found.fail(r.vs.Meta, "S002", m.field+".sniHosts", "the entry names no host", `name the hosts, or "*"; until then the match entry is left out`)
		return nil, false
	}
	var names []string
	for k, written := range m.names {
		name, field := strings.ToLower(written), fmt.Sprintf("%s.sniHosts[%d]", m.field, k)
		switch {
		case name != "*" && (!validHost(name) || strings.HasPrefix(name, "*") && !strings.HasPrefix(name, "*.")):
			t.found.fail(r.vs.Meta, "S002", field, fmt.Sprintf("%q is no server name", written), `write a DNS name, a wildcard only as the first label; until then the match entry is left out`)
			return nil, false
		case !r.vs.decidesFor(name):
			t.found.fail(r.vs.Meta, "S002", field, fmt.Sprintf("%q is none of the hosts of this VirtualService", written), "add it to spec.hosts; until then the match entry is left out")
			return nil, false
		}
		names = append(names, name)
	}
	names = t.servedNames(r, m, at, names)
	slices.Sort(names)
	if slices.Contains(names, "*") {
		return nil, true
	}
	return slices.Compact(names), len(names) > 0
}

// servedNames keeps what the Gateway's server serves, and reports an entry of which nothing is left.
func (t *translator) servedNames(r connectionRule, m connectionMatch, at site, names []string) []string {
	if at.hosts == nil {
		return names
	}
	var out []string
	for _, name := range names {
		for _, h := range at.hosts {
			if common, ok := narrower(h, name); ok {
				out = append(out, common)
			}
		}
	}
	if len(out) == 0 && !overlap(names, at.beside) {
		t.found.warn(r.vs.Meta, "S024", m.field+".sniHosts", fmt.Sprintf("the server of the Gateway serves none of %s", strings.Join(names, ", ")), "add the host to a server of the Gateway, or correct it")
	}
	return out
}

// overlap reports whether two lists of names have one in common.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool {
		return slices.ContainsFunc(b, func(other string) bool { _, ok := narrower(other, name); return ok })
	})
}

// decidesFor reports whether one of the hosts, as written or in full, covers a server name.
func (v *virtual) decidesFor(name string) bool {
	for _, h := range slices.Concat(v.hosts, v.Spec.GetHosts()) {
		if covers(strings.ToLower(h), name) {
			return true
		}
	}
	return false
}

// checkConnections reports a rule that leads nowhere; false: it is dropped.
func (t *translator) checkConnections(r connectionRule) bool {
	if len(r.route) == 0 {
		t.found.fail(r.vs.Meta, "S026", r.field, "the rule has no route", "say where connections go; until then the rule is left out")
		return false
	}
	if r.tls && len(r.entries) == 0 {
		t.found.fail(r.vs.Meta, "S002", r.field, "the rule matches no server name", `name sniHosts in a match; until then the rule is left out`)
		return false
	}
	weights := make([]int64, 0, len(r.route))
	for _, d := range r.route {
		weights = append(weights, int64(d.GetWeight()))
	}
	return t.found.checkShares(r.vs.Meta, r.field, weights)
}

// checkShares reports weights that divide nothing; false: the rule is dropped.
func (f *findings) checkShares(m Meta, field string, weights []int64) bool {
	total := int64(0)
	for j, w := range weights {
		if w < 0 {
			f.fail(m, "S025", fmt.Sprintf("%s.route[%d].weight", field, j), fmt.Sprintf("the weight %d is negative", w),
				"give a weight of 0 or more; until then the rule is left out")
			return false
		}
		total += w
	}
	if len(weights) > 1 && (total == 0 || total > math.MaxUint32) {
		f.fail(m, "S025", field+".route", fmt.Sprintf("the weights add up to %d", total),
			"give at least one destination a weight above 0; until then the rule is left out")
		return false
	}
	return true
}

// checkConnectionRules reports tcp and tls rules for clients inside the mesh that no port of any service uses.
func (x *index) checkConnectionRules() {
	for _, vs := range x.virtuals {
		if slices.Contains(vs.gateways, mesh) && len(vs.Spec.GetTcp())+len(vs.Spec.GetTls()) > 0 {
			x.checkConnectionHosts(vs)
		}
	}
}

func (x *index) checkConnectionHosts(vs *virtual) {
	plain, secure, found := false, false, 0
	for i, h := range vs.hosts {
		services := x.coveredBy(h)
		if len(services) == 0 && h != "*" {
			x.found.warn(vs.Meta, "S011", fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("no service has the host %s, so that its tcp and tls rules are for no port", h), "create it, or correct the name")
		}
		found += len(services)
		for _, s := range services {
			for _, port := range s.shape.Ports {
				switch {
				case port.Protocol == registry.TLS:
					secure = true
				case !x.http(*s.shape, port):
					plain = true
				}
			}
		}
	}
	if len(vs.Spec.GetTcp()) > 0 && !plain && found > 0 {
		x.found.warn(vs.Meta, "S020", "spec.tcp", "inside the mesh no connection reaches these rules, since no service with its hosts has a port whose connections are neither HTTP nor TLS", "correct hosts, or the protocol of the port")
	}
	if len(vs.Spec.GetTls()) > 0 && !secure && found > 0 {
		x.found.warn(vs.Meta, "S020", "spec.tls", "inside the mesh no connection reaches these rules, since no service with its hosts has a port of protocol TLS", "correct hosts, or the protocol of the port")
	}
}

// coveredBy are the services with a host of a pattern.
func (x *index) coveredBy(pattern string) []*service {
	if !strings.HasPrefix(pattern, "*") {
		return x.servicesOf(pattern)
	}
	return slices.DeleteFunc(slices.Clone(x.services), func(s *service) bool { return !covers(pattern, s.shape.Host) })
}
