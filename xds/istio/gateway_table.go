package istio

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

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

// gatewayTable is the table of all given servers; they have one port.
func (p gates) gatewayTable(at place, servers []server) *ir.RouteTable {
	table := &ir.RouteTable{Name: at.table}
	domains := map[string]*domain{}
	for _, s := range servers {
		table.Origins = append(table.Origins, s.gateway.origin(s.field))
		p.bind(domains, s)
	}
	for _, name := range sortedKeys(domains) {
		table.VirtualHosts = append(table.VirtualHosts, p.gatewayHost(name, domains[name], at))
	}
	table.VirtualHosts = collapse(table.VirtualHosts)
	if len(table.VirtualHosts) == 0 {
		table.VirtualHosts = []*ir.VirtualHost{{Name: "blackhole:" + strconv.Itoa(at.port), Domains: []string{"*"}, Origins: table.Origins}}
	}
	return table
}

// bind adds the VirtualServices bound to a server to the domains they serve there.
func (p gates) bind(domains map[string]*domain, s server) {
	at := func(host string) *domain {
		d := domains[host]
		if d == nil {
			d = &domain{}
			domains[host] = d
		}
		return d
	}
	redirects := s.kind == servesHTTP && s.spec.GetTls().GetHttpsRedirect()
	for _, written := range s.spec.GetHosts() {
		if _, host := serverHost(written, s.gateway.Namespace); redirects {
			d := at(host)
			d.tls = true
			d.origins = append(d.origins, s.gateway.origin(s.field))
		}
	}
	for _, b := range p.boundTo(s) {
		p.reached[b.vs.ref()+" "+s.gateway.key()] = true
		for _, host := range b.hosts {
			d := at(host)
			d.tls = d.tls || redirects
			d.add(b.vs, s.gateway.key())
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

// binding is a VirtualService that is bound to a server and shares hosts with it.
type binding struct {
	vs    *virtual
	hosts []string // sorted; of each overlapping pair of hosts, of the server and of the VirtualService, the narrower
}

// boundTo are the VirtualServices bound to a server that share a host with it, in order.
func (p gates) boundTo(s server) []binding {
	var out []binding
	for _, vs := range p.virtuals {
		if !slices.Contains(vs.gateways, s.gateway.key()) || !registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, p.class.Namespace) {
			continue
		}
		b := binding{vs: vs}
		for _, written := range s.spec.GetHosts() {
			namespace, host := serverHost(written, s.gateway.Namespace)
			if namespace != "*" && namespace != vs.Namespace {
				continue
			}
			for _, h := range vs.hosts {
				if common, ok := narrower(host, h); ok {
					b.hosts = append(b.hosts, common)
				}
			}
		}
		if len(b.hosts) > 0 {
			b.hosts = sortedSet(b.hosts)
			out = append(out, b)
		}
	}
	return out
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
func (p gates) gatewayHost(name string, d *domain, at place) *ir.VirtualHost {
	inputs := []any{at.port, d.tls}
	for _, o := range d.origins {
		inputs = append(inputs, o)
	}
	for _, b := range d.virtuals {
		inputs = append(inputs, b.vs, strings.Join(b.gateways, " "))
	}
	return made(p.planner, key{kind: hostUnit, table: at.table, name: name}, inputs, func(t *translator) *ir.VirtualHost { return t.gatewayHost(name, d, at) })
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
	out.Routes = catchAllsLast(out.Routes)
	return out
}

// catchAllsLast moves the routes that match everything behind the others, each with its variants.
func catchAllsLast(routes []ir.Route) []ir.Route {
	var rest, last []ir.Route
	for from, i := 0, 0; i < len(routes); i++ {
		if routes[i].Variant {
			continue
		}
		if routes[i].Match.CatchAll() {
			last = append(last, routes[from:i+1]...)
		} else {
			rest = append(rest, routes[from:i+1]...)
		}
		from = i + 1
	}
	return append(rest, last...)
}

// collapse joins virtual hosts that answer alike into one with several domains, named after the most specific.
func collapse(hosts []*ir.VirtualHost) []*ir.VirtualHost {
	slices.SortFunc(hosts, func(a, b *ir.VirtualHost) int { return compareSpecific(a.Domains[0], b.Domains[0]) })
	out := make([]*ir.VirtualHost, 0, len(hosts))
	alike := map[likeness][]int{} // where in out to look for those that may answer alike
	joined := map[int]bool{}
	for _, h := range hosts {
		like := likenessOf(h)
		at := slices.IndexFunc(alike[like], func(i int) bool {
			return sameSlice(out[i].Routes, h.Routes) || reflect.DeepEqual(out[i].Routes, h.Routes)
		})
		if at < 0 {
			alike[like] = append(alike[like], len(out))
			out = append(out, h)
			continue
		}
		i := alike[like][at]
		if !joined[i] {
			one := *out[i] // a unit's own is never changed
			one.Domains = slices.Clone(one.Domains)
			out[i], joined[i] = &one, true
		}
		out[i].Domains = append(out[i].Domains, h.Domains...)
	}
	for i := range joined {
		slices.Sort(out[i].Domains)
	}
	slices.SortFunc(out, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// likeness is what virtual hosts that answer alike have in common, and few others do.
type likeness struct {
	tls    bool
	routes int
	first  ir.Origin // of the first route
}

func likenessOf(h *ir.VirtualHost) likeness {
	out := likeness{tls: h.RequireTLS, routes: len(h.Routes)}
	if len(h.Routes) > 0 && len(h.Routes[0].Origins) > 0 {
		out.first = h.Routes[0].Origins[0]
	}
	return out
}
