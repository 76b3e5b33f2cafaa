package istio

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// server is one server of a Gateway that applies to the class.
type server struct {
	gateway gateway
	spec    *networking.Server
	field   string
	kind    serverKind
}

// serverKind is what a server does with connections.
type serverKind int

const (
	servesHTTP serverKind = iota // it takes requests apart, by http rules
	endsHTTPS                    // it ends TLS and takes requests apart, by http rules
	endsTLS                      // it ends TLS and forwards what is inside, by tcp rules
	passesTLS                    // it forwards by the SNI, by tls rules
	passesTCP                    // it forwards, by tcp rules
)

// secure reports whether connections begin with TLS.
func (k serverKind) secure() bool { return k == endsHTTPS || k == endsTLS || k == passesTLS }

// port is the server's own, by which names are made.
func (s server) port() int { return int(s.spec.GetPort().GetNumber()) }

// opening is one address and port that gateways of the class open, with all servers on it. They are all of one kind,
// or all secure.
type opening struct {
	bind    string
	port    int
	servers []server
}

func (o *opening) listener() string { return o.bind + "_" + strconv.Itoa(o.port) }

// gatewayListeners makes a listener for each port of the Gateways whose selector the class meets.
func (p *planner) gatewayListeners() {
	gates{p, map[string]bool{}}.listeners()
}

// gates plans what gateways open.
type gates struct {
	*planner
	reached map[string]bool // "VirtualService Gateway": they share a host
}

func (p gates) listeners() {
	for _, o := range p.openings() {
		l := &ir.Listener{Name: o.listener(), Address: o.bind, Port: o.port, Chains: p.chains(o)}
		for _, c := range l.Chains {
			l.Origins = append(l.Origins, c.Origins...)
		}
		if len(l.Chains) > 0 {
			p.out.Listeners = append(p.out.Listeners, l)
		}
	}
	p.reportUnreached()
}

// chains are those of all servers of an opening. None: nothing of it can be served now.
func (p gates) chains(o *opening) []ir.Chain {
	if first := o.servers[0]; first.kind == servesHTTP {
		at := place{port: first.port()}
		at.table = "http." + strconv.Itoa(at.port) + bindSuffix(first)
		table := p.gatewayTable(at, o.servers)
		p.addTable(table)
		return []ir.Chain{{Table: at.table, Origins: table.Origins}}
	}
	var out []ir.Chain
	names := serverNames{found: p.found, by: map[string]server{}}
	for _, s := range o.servers {
		switch s.kind {
		case endsHTTPS, endsTLS:
			out = append(out, p.endingChain(o, s, names)...)
		case passesTLS:
			out = append(out, names.left(s, p.forwardingChains(p.tcpSite(o, s)))...)
		case passesTCP:
			out = append(out, p.forwardingChains(p.tcpSite(o, s))...)
		case servesHTTP: // never beside others
		}
	}
	return out
}

// addTable adds a table, once: a server may be opened on several ports.
func (p gates) addTable(table *ir.RouteTable) {
	if !slices.ContainsFunc(p.out.Tables, func(have *ir.RouteTable) bool { return have.Name == table.Name }) {
		p.out.Tables = append(p.out.Tables, table)
	}
}

// bindSuffix is what the address of a server adds to the names of its tables.
func bindSuffix(s server) string {
	if s.spec.GetBind() == "" {
		return ""
	}
	return "." + s.spec.GetBind()
}

func (p gates) openings() []*opening {
	var out []*opening
	tables := map[string]server{}
	for _, g := range p.gateways {
		if !contains(p.labels, g.Spec.GetSelector()) {
			continue
		}
		for i, spec := range g.Spec.GetServers() {
			s := server{gateway: g, spec: spec, field: fmt.Sprintf("spec.servers[%d]", i)}
			if !p.checkServer(&s) {
				continue
			}
			var at []*opening
			for _, port := range p.opened(s) {
				o := openingAt(&out, cmp.Or(spec.GetBind(), "0.0.0.0"), port)
				if p.fits(o, s) {
					at = append(at, o)
				}
			}
			if len(at) > 0 && p.ownTable(tables, s) {
				for _, o := range at {
					o.servers = append(o.servers, s)
				}
			}
		}
	}
	return slices.DeleteFunc(out, func(o *opening) bool { return len(o.servers) == 0 })
}

// opened are the ports that proxies open for a server.
func (p gates) opened(s server) []int {
	services := make([]*registry.Service, 0, len(p.services))
	for _, one := range p.services {
		services = append(services, one.shape)
	}
	return slices.DeleteFunc(opened(services, p.class, s.port()), func(port int) bool {
		closed := p.class.Unprivileged && port < 1024
		if closed {
			p.found.warn(s.gateway.Meta, "S033", s.field+".port.number", fmt.Sprintf("these proxies may not open port %d", port),
				"use a port of 1024 or more, or a Service that leads to one")
		}
		return closed
	})
}

// openingAt is the one of an address and port.
func openingAt(all *[]*opening, bind string, port int) *opening {
	i := slices.IndexFunc(*all, func(o *opening) bool { return o.bind == bind && o.port == port })
	if i < 0 {
		i = len(*all)
		*all = append(*all, &opening{bind: bind, port: port})
	}
	return (*all)[i]
}

// fits reports whether a server may stand beside those of an opening; false: it is left out.
func (p gates) fits(o *opening, s server) bool {
	if len(o.servers) == 0 {
		return true
	}
	first := o.servers[0]
	if first.kind.secure() && s.kind.secure() || first.kind == servesHTTP && s.kind == servesHTTP && first.spec.GetPort().GetNumber() == s.spec.GetPort().GetNumber() {
		return true
	}
	p.found.fail(s.gateway.Meta, "S030", s.field+".port", fmt.Sprintf("protocol %s of port %d cannot share %s:%d with protocol %s of port %d, as in %s of %s",
		s.spec.GetPort().GetProtocol(), s.port(), o.bind, o.port, first.spec.GetPort().GetProtocol(), first.port(), first.field, first.gateway.ref()),
		"give one of the two another port; until then this server is left out")
	if first.gateway.ref() != s.gateway.ref() {
		p.found.byName(first.gateway.Meta, s.gateway.Meta)
	}
	return false
}

// ownTable reports whether the table of a server that ends HTTPS has a name of its own; false: the server is left out.
func (p gates) ownTable(taken map[string]server, s server) bool {
	if s.kind != endsHTTPS {
		return true
	}
	first, twice := taken[s.table()]
	if !twice {
		taken[s.table()] = s
		return true
	}
	p.found.fail(s.gateway.Meta, "S035", s.field+".port.name", fmt.Sprintf("port %d of %s already has the name %q", s.spec.GetPort().GetNumber(), first.field, s.spec.GetPort().GetName()),
		"give each server's port a name of its own; until then this server is left out")
	return false
}

// table is the name of the table of a server that ends HTTPS.
func (s server) table() string {
	p := s.spec.GetPort()
	return fmt.Sprintf("https.%d.%s.%s.%s%s", p.GetNumber(), p.GetName(), s.gateway.Name, s.gateway.Namespace, bindSuffix(s))
}

// checkServer decides what a server does and reports what is not built or not possible; false: the server is left out.
func (p gates) checkServer(s *server) bool {
	port := s.spec.GetPort()
	switch {
	case port.GetNumber() == 0 || port.GetNumber() > 65535:
		p.found.fail(s.gateway.Meta, "S002", s.field+".port.number", fmt.Sprintf("%d is no port", port.GetNumber()), "give a number from 1 to 65535; until then the server is left out")
		return false
	case strings.HasPrefix(s.spec.GetBind(), "unix:"):
		p.found.selection(s.gateway.Meta, s.field+".bind", "a Unix socket")
		return false
	case s.spec.GetBind() != "" && !isAddress(s.spec.GetBind()):
		p.found.fail(s.gateway.Meta, "S002", s.field+".bind", fmt.Sprintf("%q is no IP address", s.spec.GetBind()), "give an address of the proxy; until then the server is left out")
		return false
	case !known(port.GetProtocol()):
		p.found.fail(s.gateway.Meta, "S002", s.field+".port.protocol", fmt.Sprintf("%q is no protocol", port.GetProtocol()), "use HTTP, HTTP2, GRPC, HTTPS, TLS or TCP; until then the server is left out")
		return false
	}
	if s.spec.GetDefaultEndpoint() != "" {
		p.found.policy(s.gateway.Meta, s.field+".defaultEndpoint", "defaultEndpoint")
	}
	switch registry.ParseProtocol(port.GetProtocol()) {
	case registry.HTTP, registry.HTTP2, registry.GRPC:
		s.kind = servesHTTP
		p.reportUnused(*s, "TLS on a server of protocol HTTP")
		return true
	case registry.TLS:
		return p.checkSecure(s)
	default:
		s.kind = passesTCP
		p.reportUnused(*s, "TLS on a server of protocol "+port.GetProtocol())
		return true
	}
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// reportUnreached names VirtualServices that are bound to a Gateway of the class and share no host with it.
func (p gates) reportUnreached() {
	for _, g := range p.gateways {
		if !contains(p.labels, g.Spec.GetSelector()) {
			continue
		}
		name := g.key()
		for _, vs := range p.virtuals {
			if slices.Contains(vs.gateways, name) && !p.reached[vs.ref()+" "+name] {
				p.found.warn(vs.Meta, "S024", "spec.hosts", fmt.Sprintf("Gateway %s serves none of its hosts by its rules", name), "add the host to a server of the Gateway, or correct it")
			}
		}
	}
}
