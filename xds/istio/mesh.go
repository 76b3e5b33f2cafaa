package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// defaultRoute is the name of the route of a service without VirtualService.
const defaultRoute = "default"

// owners say which VirtualService decides for a host inside the mesh.
type owners struct {
	exact map[string]*virtual
	wild  []wildOwner // most specific first
}

type wildOwner struct {
	host string
	vs   *virtual
}

// readOwners finds the VirtualServices with http rules for clients inside the mesh that the class may see. The first in
// order owns a host.
func (p *planner) readOwners() {
	p.owners.exact = map[string]*virtual{}
	for _, vs := range p.virtuals {
		if !p.routedBy(vs) {
			continue
		}
		for i, h := range vs.hosts {
			if h == "*" {
				p.found.fail(vs.Meta, "S026", fmt.Sprintf("spec.hosts[%d]", i), "the host * cannot be routed inside the mesh", "name the hosts, or bind it to a gateway only")
				continue
			}
			if len(vs.rules) == 0 {
				continue // its other rules stand beside those of others
			}
			if first, taken := p.owners.exact[h]; taken {
				p.found.warn(vs.Meta, "S021", fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("%s is already routed by %s", h, first.ref()),
					"put the rules for one host into one VirtualService")
				p.found.byName(first.Meta, vs.Meta)
				continue
			}
			p.owners.exact[h] = vs
			if strings.HasPrefix(h, "*") {
				p.owners.wild = append(p.owners.wild, wildOwner{h, vs})
			}
		}
	}
	slices.SortFunc(p.owners.wild, func(a, b wildOwner) int { return compareSpecific(a.host, b.host) })
}

// of is the VirtualService whose host covers the given one most specifically; nil: none does.
func (o owners) of(host string) *virtual {
	if vs, ok := o.exact[host]; ok {
		return vs
	}
	for _, w := range o.wild {
		if covers(w.host, host) {
			return w.vs
		}
	}
	return nil
}

// meshRoutes are the routes of a service's port, from the VirtualService that owns it or by default.
func (t *translator) meshRoutes(s registry.Service, port int, table string) ([]ir.Route, []ir.Origin) {
	if vs := t.owner(s.Host); vs != nil {
		return t.routes(vs.virtualService, place{table: table, port: port, gateways: map[string]bool{mesh: true}}), []ir.Origin{vs.origin("spec")}
	}
	from := Meta{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name, UID: s.Origin.UID}
	bare := []destination{{host: s.Host, port: port, weight: 1}}
	site := ruleSite{name: defaultRoute, catchAll: true, table: table, at: from, field: "spec"}
	bare = t.shown(site, bare)
	laid, taken := t.overlay(site, bare)
	f := &ir.Forward{Weighted: len(taken) > 0, Retry: defaultRetry(), Destinations: sent(laid)}
	t.hashBy(f, true)
	origins := []ir.Origin{from.origin("spec")}
	route := ir.Route{Name: defaultRoute, Match: ir.Match{Path: ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}}, Forward: f, Origins: origins}
	return varied(route, t.extend(site, f, taken, bare)), origins
}

// sidecarListeners makes one listener and table per port on which some visible service speaks HTTP, and what forwards
// the connections of the other ports.
func (p *planner) sidecarListeners() {
	hosts := map[int][]claimant{}
	for _, s := range p.visible {
		for _, port := range s.shape.Ports {
			if p.http(*s.shape, port) && p.sidecar.listens(s.shape, port.Number) && p.forwards(*s.shape) {
				hosts[port.Number] = append(hosts[port.Number], claimant{p.sidecarHost(s.shape.Host, port.Number), s.shape.Origin.Created})
			}
		}
	}
	p.hostsWithoutService(hosts)
	for port, list := range hosts {
		number := strconv.Itoa(port)
		table := &ir.RouteTable{Name: number, VirtualHosts: p.distinct(list)}
		table.VirtualHosts = append(table.VirtualHosts, p.unknownHost())
		slices.SortFunc(table.VirtualHosts, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
		p.out.Tables = append(p.out.Tables, table)
		l := p.sidecarListener(anyAddress, port)
		l.Chains = []ir.Chain{{Table: number}}
		p.out.Listeners = append(p.out.Listeners, l)
	}
	p.connectionListeners()
	p.captureAll()
}

// sidecarHost makes the virtual host of a service on one port.
func (p *planner) sidecarHost(host string, port int) *ir.VirtualHost {
	table := strconv.Itoa(port)
	return made(p, key{kind: hostUnit, table: table, name: host}, []any{port, true}, func(t *translator) *ir.VirtualHost {
		s, _ := t.service(host)
		routes, origins := t.meshRoutes(s, port, table)
		domains := t.domainsOf(s.Host, s.VIPs)
		slices.Sort(domains)
		return &ir.VirtualHost{Name: host + ":" + table, Domains: domains, Routes: routes, Origins: origins}
	})
}

// hostsWithoutService adds to port 80 the hosts of VirtualServices that no service has.
func (p *planner) hostsWithoutService(hosts map[int][]claimant) {
	for _, h := range sortedKeys(p.owners.exact) {
		vs := p.owners.exact[h]
		if s := p.seen[h]; (s != nil && p.sidecar.sees(s.shape)) || len(vs.rules) == 0 || !p.sidecar.routes(vs, 80) {
			continue
		}
		host := made(p, key{kind: hostUnit, table: "80", name: h}, []any{vs, false}, func(t *translator) *ir.VirtualHost {
			return &ir.VirtualHost{
				Name: h + ":80", Domains: t.domainsOf(h, nil), Origins: []ir.Origin{vs.origin("spec")},
				Routes: t.routes(vs.virtualService, place{table: "80", port: 80, gateways: map[string]bool{mesh: true}}),
			}
		})
		hosts[80] = append(hosts[80], claimant{host, vs.Created})
	}
}

// claimant is a virtual host with the creation time of what it is made of.
type claimant struct {
	*ir.VirtualHost
	created time.Time
}

// distinct takes a domain away from all virtual hosts but the oldest, or else the first by name: a proxy refuses the whole
// table otherwise.
func (p *planner) distinct(hosts []claimant) []*ir.VirtualHost {
	slices.SortFunc(hosts, func(a, b claimant) int {
		return cmp.Or(registry.CompareCreated(a.created, b.created), compareSpecific(a.Name, b.Name))
	})
	taken := map[string]string{}
	var out []*ir.VirtualHost
	for _, one := range hosts {
		h := one.VirtualHost
		own := slices.DeleteFunc(slices.Clone(h.Domains), func(d string) bool {
			first, dup := taken[d]
			if dup && len(h.Origins) > 0 {
				o := h.Origins[0]
				p.found.fail(Meta{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, "S023", "spec.hosts", fmt.Sprintf("%s already stands for %s", d, first), "give the two hosts different names or addresses")
			}
			return dup
		})
		for _, d := range own {
			taken[d] = h.Name
		}
		if len(own) < len(h.Domains) {
			rest := *h // a unit's own is never changed
			rest.Domains = own
			h = &rest
		}
		if len(own) > 0 {
			out = append(out, h)
		}
	}
	return out
}

// grpcListeners makes, for each HTTP port of each visible service, what a gRPC client that dials it asks for.
func (p *planner) grpcListeners() {
	for _, s := range p.visible {
		for _, port := range s.shape.Ports {
			if !p.http(*s.shape, port) || !p.sidecar.listens(s.shape, port.Number) || s.shape.Resolution == registry.Original || strings.HasPrefix(s.shape.Host, "*") { // nobody dials a wildcard
				continue
			}
			table := p.grpcTable(s.shape.Host, port.Number)
			p.out.Tables = append(p.out.Tables, table)
			p.out.Listeners = append(p.out.Listeners, &ir.Listener{
				Name: s.shape.Host + ":" + strconv.Itoa(port.Number), Port: port.Number, Chains: []ir.Chain{{Table: table.Name}}, Origins: table.Origins,
			})
		}
	}
}

func (p *planner) grpcTable(host string, port int) *ir.RouteTable {
	name := ir.ClusterName(port, "", host)
	return made(p, key{kind: tableUnit, name: name}, []any{port}, func(t *translator) *ir.RouteTable {
		s, _ := t.service(host)
		routes, origins := t.meshRoutes(s, port, name)
		routes = append(routes, t.armsRoutes()...)
		var domains []string
		for _, d := range t.domainsOf(s.Host, s.VIPs) {
			domains = append(domains, d, d+":"+strconv.Itoa(port))
		}
		slices.Sort(domains)
		return &ir.RouteTable{Name: name, Origins: origins, VirtualHosts: []*ir.VirtualHost{
			{Name: host + ":" + strconv.Itoa(port), Domains: domains, Routes: routes, Origins: origins},
		}}
	})
}

// armsPath is a path that no gRPC method has: they all start with a slash.
const armsPath = "sluice:arms"

// armsRoutes name both arms of every split that the unit renders, in a route that matches nothing. A gRPC client knows
// only the clusters that some route names, and gRPC-Go fails calls in the instant between learning of a new cluster and
// having a balancer for it. So an arm is known before it gets traffic, and stays known at 0.
func (t *translator) armsRoutes() []ir.Route {
	var rendered []*split
	for _, u := range t.unit.uses {
		if !slices.Contains(rendered, u.split) {
			rendered = append(rendered, u.split)
		}
	}
	slices.SortFunc(rendered, func(a, b *split) int { return cmp.Compare(a.place, b.place) })
	var out []ir.Route
	for _, s := range rendered {
		f := &ir.Forward{Weighted: true}
		for _, name := range t.armsClusters(s) {
			f.Destinations = append(f.Destinations, ir.Destination{Cluster: name, Weight: 1})
		}
		if len(f.Destinations) > 0 {
			out = append(out, ir.Route{Name: "arms of " + s.Key, Match: ir.Match{Path: ir.PathMatch{Kind: ir.PathExact, Value: armsPath}}, Forward: f})
		}
	}
	return out
}

// armsClusters are the clusters of both arms, by port and in the order of the subsets.
func (t *translator) armsClusters(s *split) []string {
	svc, _ := t.service(s.host)
	var out []string
	for _, port := range svc.Ports {
		for _, sub := range t.policy(s.host).subsets {
			if sub.name != "" && (sub.name == s.Stable || sub.name == s.Canary) {
				out = append(out, ir.ClusterName(port.Number, sub.name, s.host))
			}
		}
	}
	return out
}
