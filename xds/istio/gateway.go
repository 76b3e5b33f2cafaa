package istio

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// server is one HTTP server of a Gateway that applies to the class.
type server struct {
	gateway gateway
	spec    *networking.Server
	field   string
}

// opening is one address and port that gateways of the class open, with all servers on it.
type opening struct {
	bind    string
	port    int
	servers []server
}

// gatewayListeners makes a listener and a table for each port of the Gateways whose selector the class meets.
func (p *planner) gatewayListeners() {
	reached := map[string]bool{}
	for _, o := range p.openings() {
		table := p.gatewayTable(o, reached)
		bind := o.bind
		if bind == "" {
			bind = "0.0.0.0"
		}
		p.cfg.Tables = append(p.cfg.Tables, table)
		p.cfg.Listeners = append(p.cfg.Listeners, &ir.Listener{
			Name: bind + "_" + strconv.Itoa(o.port), Address: bind, Port: o.port, Chains: []ir.Chain{{Table: table.Name, Origins: table.Origins}}, Origins: table.Origins,
		})
	}
	p.reportUnreached(reached)
}

func (p *planner) openings() []*opening {
	var out []*opening
	for _, g := range p.gateways {
		if !contains(p.labels, g.Spec.GetSelector()) {
			continue
		}
		for i, s := range g.Spec.GetServers() {
			one := server{g, s, fmt.Sprintf("spec.servers[%d]", i)}
			if !p.checkServer(one) {
				continue
			}
			at := slices.IndexFunc(out, func(o *opening) bool { return o.bind == s.GetBind() && o.port == int(s.GetPort().GetNumber()) })
			if at < 0 {
				out = append(out, &opening{bind: s.GetBind(), port: int(s.GetPort().GetNumber())})
				at = len(out) - 1
			}
			out[at].servers = append(out[at].servers, one)
		}
	}
	return out
}

// checkServer reports what is not built or not possible; false: the server is left out.
func (p *planner) checkServer(s server) bool {
	port := s.spec.GetPort()
	switch {
	case port.GetNumber() == 0 || port.GetNumber() > 65535:
		p.found.fail(s.gateway.Meta, "S002", s.field+".port.number", fmt.Sprintf("%d is no port", port.GetNumber()), "give a number from 1 to 65535; until then the server is left out")
		return false
	case !registry.ParseProtocol(port.GetProtocol()).HTTP():
		p.found.selection(s.gateway.Meta, s.field+".port.protocol", "a server of protocol "+port.GetProtocol())
		return false
	case p.class.Unprivileged && port.GetNumber() < 1024:
		p.found.warn(s.gateway.Meta, "S033", s.field+".port.number", fmt.Sprintf("these proxies may not open port %d", port.GetNumber()), "use a port of 1024 or more")
		return false
	}
	if s.spec.GetTls() != nil && s.spec.GetTls().GetMode() != networking.ServerTLSSettings_PASSTHROUGH {
		p.found.policy(s.gateway.Meta, s.field+".tls.mode", "TLS on a server of protocol HTTP")
	}
	if s.spec.GetDefaultEndpoint() != "" {
		p.found.policy(s.gateway.Meta, s.field+".defaultEndpoint", "defaultEndpoint")
	}
	return true
}

// domain collects who serves one domain of a table.
type domain struct {
	tls      bool
	virtuals []bound // in order
	origins  []ir.Origin
}

// bound is a VirtualService with the gateways by which it serves a domain.
type bound struct {
	vs       *virtual
	gateways []string // sorted
}

func (p *planner) gatewayTable(o *opening, reached map[string]bool) *ir.RouteTable {
	table := &ir.RouteTable{Name: "http." + strconv.Itoa(o.port)}
	if o.bind != "" {
		table.Name += "." + o.bind
	}
	domains := map[string]*domain{}
	for _, s := range o.servers {
		table.Origins = append(table.Origins, s.gateway.origin(s.field))
		p.bind(domains, s, reached)
	}
	for _, name := range sortedKeys(domains) {
		table.VirtualHosts = append(table.VirtualHosts, p.gatewayHost(name, domains[name], place{table: table.Name, port: o.port}))
	}
	table.VirtualHosts = collapse(table.VirtualHosts)
	if len(table.VirtualHosts) == 0 {
		table.VirtualHosts = []*ir.VirtualHost{{Name: "blackhole:" + strconv.Itoa(o.port), Domains: []string{"*"}, Origins: table.Origins}}
	}
	return table
}

// bind adds the VirtualServices bound to a server to the domains they serve there.
func (p *planner) bind(domains map[string]*domain, s server, reached map[string]bool) {
	name := s.gateway.Namespace + "/" + s.gateway.Name
	at := func(host string) *domain {
		d := domains[host]
		if d == nil {
			d = &domain{}
			domains[host] = d
		}
		return d
	}
	for _, written := range s.spec.GetHosts() {
		namespace, host := serverHost(written, s.gateway.Namespace)
		if s.spec.GetTls().GetHttpsRedirect() {
			d := at(host)
			d.tls = true
			d.origins = append(d.origins, s.gateway.origin(s.field))
		}
		for _, vs := range p.virtuals {
			if !slices.Contains(vs.gateways, name) ||
				(namespace != "*" && namespace != vs.Namespace) || !registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, p.class.Namespace) {
				continue
			}
			for _, h := range vs.hosts {
				common, ok := narrower(host, h)
				if !ok {
					continue
				}
				reached[vs.ref()+" "+name] = true
				d := at(common)
				d.tls = d.tls || s.spec.GetTls().GetHttpsRedirect()
				d.add(vs, name)
			}
		}
	}
}

func (d *domain) add(vs *virtual, gateway string) {
	i, ok := slices.BinarySearchFunc(d.virtuals, vs.place, func(b bound, place int) int { return cmp.Compare(b.vs.place, place) })
	if !ok {
		d.virtuals = slices.Insert(d.virtuals, i, bound{vs: vs})
	}
	g := &d.virtuals[i].gateways
	if j, ok := slices.BinarySearch(*g, gateway); !ok {
		*g = slices.Insert(*g, j, gateway)
	}
}

// serverHost splits the host of a server into the namespace that may bind to it ("*": any) and the host.
func serverHost(written, own string) (namespace, host string) {
	namespace, host, found := strings.Cut(strings.ToLower(written), "/")
	switch {
	case !found:
		return "*", namespace
	case namespace == ".":
		return own, host
	default:
		return namespace, host
	}
}

// gatewayHost makes the virtual host of one domain at a place.
func (p *planner) gatewayHost(name string, d *domain, at place) *ir.VirtualHost {
	inputs := []any{at.port, d.tls}
	for _, o := range d.origins {
		inputs = append(inputs, o)
	}
	for _, b := range d.virtuals {
		inputs = append(inputs, b.vs, strings.Join(b.gateways, " "))
	}
	return made(p, key{kind: hostUnit, table: at.table, name: name}, inputs, func(t *translator) *ir.VirtualHost { return t.gatewayHost(name, d, at) })
}

func (t *translator) gatewayHost(name string, d *domain, at place) *ir.VirtualHost {
	out := &ir.VirtualHost{Name: name + ":" + strconv.Itoa(at.port), Domains: []string{name}, RequireTLS: d.tls, Origins: slices.Clone(d.origins)}
	for i, b := range d.virtuals {
		if i > 0 {
			before := d.virtuals[i-1].vs.Meta
			t.found.info(b.vs.Meta, "S022", "spec.hosts", fmt.Sprintf("its rules for %s come after those of %s", name, before.ref()),
				"set the annotation sluice.dev/order where the order matters")
			t.found.byName(before, b.vs.Meta)
		}
		out.Origins = append(out.Origins, b.vs.origin("spec"))
		at.gateways = map[string]bool{}
		for _, g := range b.gateways {
			at.gateways[g] = true
		}
		out.Routes = append(out.Routes, t.routes(b.vs.virtualService, at)...)
	}
	slices.SortStableFunc(out.Routes, func(a, b ir.Route) int { return rank(!a.Match.CatchAll()) - rank(!b.Match.CatchAll()) })
	return out
}

// collapse joins virtual hosts that answer alike into one with several domains, named after the most specific.
func collapse(hosts []*ir.VirtualHost) []*ir.VirtualHost {
	slices.SortFunc(hosts, func(a, b *ir.VirtualHost) int { return compareSpecific(a.Domains[0], b.Domains[0]) })
	var out []*ir.VirtualHost
	at := map[string]int{}
	for _, h := range hosts {
		key, err := json.Marshal(struct {
			Routes []ir.Route
			TLS    bool
		}{h.Routes, h.RequireTLS})
		if err != nil {
			panic("plain values always marshal: " + err.Error())
		}
		i, ok := at[string(key)]
		if !ok {
			at[string(key)] = len(out)
			out = append(out, h)
			continue
		}
		joined := *out[i] // a unit's own is never changed
		joined.Domains = slices.Concat(joined.Domains, h.Domains)
		slices.Sort(joined.Domains)
		out[i] = &joined
	}
	slices.SortFunc(out, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// reportUnreached names VirtualServices that are bound to a Gateway of the class and share no host with it.
func (p *planner) reportUnreached(reached map[string]bool) {
	for _, g := range p.gateways {
		if !contains(p.labels, g.Spec.GetSelector()) {
			continue
		}
		name := g.Namespace + "/" + g.Name
		for _, vs := range p.virtuals {
			if slices.Contains(vs.gateways, name) && !reached[vs.ref()+" "+name] {
				p.found.warn(vs.Meta, "S024", "spec.hosts", fmt.Sprintf("Gateway %s serves none of its hosts over HTTP", name), "add the host to a server of the Gateway, or correct it")
			}
		}
	}
}
