package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// defaultRoute is the name of the route of a service without VirtualService.
const defaultRoute = "default"

// owners say which VirtualService decides for a host inside the mesh.
type owners struct {
	exact map[string]virtualService
	wild  []wildOwner // most specific first
}

type wildOwner struct {
	host string
	vs   virtualService
}

// readOwners finds the VirtualServices for clients inside the mesh that the class may see. The first in order owns a host.
func (t *translator) readOwners() {
	t.owners.exact = map[string]virtualService{}
	for _, vs := range t.virtuals {
		if !slices.Contains(gatewayNames(vs.Spec.GetGateways(), vs.Namespace), mesh) || !registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, t.class.Namespace) {
			continue
		}
		for i, h := range vs.Spec.GetHosts() {
			if h == "*" {
				t.found.fail(vs.Meta, "S026", fmt.Sprintf("spec.hosts[%d]", i), "the host * cannot be routed inside the mesh", "name the hosts, or bind it to a gateway only")
				continue
			}
			h = ResolveHost(h, vs.Namespace, t.in.suffix())
			if first, taken := t.owners.exact[h]; taken {
				t.found.warn(vs.Meta, "S021", fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("%s is already routed by %s", h, first.ref()),
					"put the rules for one host into one VirtualService")
				t.byName(first.Meta, vs.Meta)
				continue
			}
			t.owners.exact[h] = vs
			if strings.HasPrefix(h, "*") {
				t.owners.wild = append(t.owners.wild, wildOwner{h, vs})
			}
		}
	}
	slices.SortFunc(t.owners.wild, func(a, b wildOwner) int { return compareSpecific(a.host, b.host) })
}

// ownerOf is the VirtualService whose host covers the given one most specifically.
func (t *translator) ownerOf(host string) (virtualService, bool) {
	if vs, ok := t.owners.exact[host]; ok {
		return vs, true
	}
	for _, o := range t.owners.wild {
		if covers(o.host, host) {
			return o.vs, true
		}
	}
	return virtualService{}, false
}

// meshRoutes are the routes of a service's port, from the VirtualService that owns it or by default.
func (t *translator) meshRoutes(s registry.Service, port int, table string) ([]ir.Route, []ir.Origin) {
	if vs, ok := t.ownerOf(s.Host); ok {
		return t.routes(vs, place{table: table, port: port, gateways: map[string]bool{mesh: true}}), []ir.Origin{vs.origin("spec")}
	}
	from := Meta{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name, UID: s.Origin.UID}
	bare := []destination{{host: s.Host, port: port, weight: 1}}
	laid, split := t.overlay(ruleSite{name: defaultRoute, catchAll: true, table: table, at: from, field: "spec"}, bare)
	f := &ir.Forward{Weighted: split, Retry: defaultRetry()}
	for _, d := range laid {
		f.Destinations = append(f.Destinations, ir.Destination{Cluster: d.cluster(), Weight: uint32(d.weight)})
	}
	t.hashBy(f, true)
	origins := []ir.Origin{from.origin("spec")}
	return []ir.Route{{Name: defaultRoute, Match: ir.Match{Path: ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}}, Forward: f, Origins: origins}}, origins
}

// sidecarListeners makes one listener and table per port on which some visible service speaks HTTP.
func (t *translator) sidecarListeners() {
	if t.class.Capture == ir.CaptureRedirect {
		t.found.selection(Meta{Kind: "ProxyClass", Namespace: t.class.Namespace, Name: t.class.Labels}, "capture", "capture by redirection")
		return
	}
	hosts := map[int][]*ir.VirtualHost{}
	for _, s := range t.visible {
		for _, p := range s.Ports {
			if t.http(s, p) {
				hosts[p.Number] = append(hosts[p.Number], t.sidecarHost(s, p.Number))
			}
		}
	}
	t.hostsWithoutService(hosts)
	for port, list := range hosts {
		number := strconv.Itoa(port)
		table := &ir.RouteTable{Name: number, VirtualHosts: t.distinct(list)}
		table.VirtualHosts = append(table.VirtualHosts, &ir.VirtualHost{
			Name: "block_all", Domains: []string{"*"},
			Routes: []ir.Route{{Name: "block_all", Match: ir.Match{Path: ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}}, Direct: &ir.Direct{Status: 502}}},
		})
		slices.SortFunc(table.VirtualHosts, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
		t.cfg.Tables = append(t.cfg.Tables, table)
		t.cfg.Listeners = append(t.cfg.Listeners, &ir.Listener{Name: "0.0.0.0_" + number, Address: "127.0.0.1", Port: port, Chains: []ir.Chain{{Table: number}}})
	}
}

func (t *translator) sidecarHost(s registry.Service, port int) *ir.VirtualHost {
	routes, origins := t.meshRoutes(s, port, strconv.Itoa(port))
	domains := t.domainsOf(s.Host, s.Namespace, s.VIPs)
	slices.Sort(domains)
	return &ir.VirtualHost{Name: s.Host + ":" + strconv.Itoa(port), Domains: domains, Routes: routes, Origins: origins}
}

// hostsWithoutService adds to port 80 the hosts of VirtualServices that no service has.
func (t *translator) hostsWithoutService(hosts map[int][]*ir.VirtualHost) {
	for _, h := range sortedKeys(t.owners.exact) {
		vs := t.owners.exact[h]
		if _, known := t.service(h); known || len(vs.rules) == 0 {
			continue
		}
		hosts[80] = append(hosts[80], &ir.VirtualHost{
			Name: h + ":80", Domains: t.domainsOf(h, vs.Namespace, nil), Origins: []ir.Origin{vs.origin("spec")},
			Routes: t.routes(vs, place{table: "80", port: 80, gateways: map[string]bool{mesh: true}}),
		})
	}
}

// distinct takes a domain away from all virtual hosts but the first by name: a proxy refuses the whole table otherwise.
func (t *translator) distinct(hosts []*ir.VirtualHost) []*ir.VirtualHost {
	slices.SortFunc(hosts, func(a, b *ir.VirtualHost) int { return compareSpecific(a.Name, b.Name) })
	taken := map[string]string{}
	var out []*ir.VirtualHost
	for _, h := range hosts {
		h.Domains = slices.DeleteFunc(slices.Clone(h.Domains), func(d string) bool {
			first, dup := taken[d]
			if dup && len(h.Origins) > 0 {
				o := h.Origins[0]
				t.found.fail(Meta{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, "S023", "spec.hosts", fmt.Sprintf("%s already stands for %s", d, first), "give the two hosts different names or addresses")
			}
			return dup
		})
		for _, d := range h.Domains {
			taken[d] = h.Name
		}
		if len(h.Domains) > 0 {
			out = append(out, h)
		}
	}
	return out
}

// grpcListeners makes, for each HTTP port of each visible service, what a gRPC client that dials it asks for.
func (t *translator) grpcListeners() {
	for _, s := range t.visible {
		for _, p := range s.Ports {
			if !t.http(s, p) || strings.HasPrefix(s.Host, "*") { // nobody dials a wildcard
				continue
			}
			table := ir.ClusterName(p.Number, "", s.Host)
			routes, origins := t.meshRoutes(s, p.Number, table)
			routes = append(routes, t.armsRoutes(table)...)
			var domains []string
			for _, d := range t.domainsOf(s.Host, s.Namespace, s.VIPs) {
				domains = append(domains, d, d+":"+strconv.Itoa(p.Number))
			}
			slices.Sort(domains)
			name := s.Host + ":" + strconv.Itoa(p.Number)
			t.cfg.Tables = append(t.cfg.Tables, &ir.RouteTable{
				Name: table, Origins: origins, VirtualHosts: []*ir.VirtualHost{{Name: name, Domains: domains, Routes: routes, Origins: origins}},
			})
			t.cfg.Listeners = append(t.cfg.Listeners, &ir.Listener{Name: name, Port: p.Number, Chains: []ir.Chain{{Table: table}}, Origins: origins})
		}
	}
}

// armsPath is a path that no gRPC method has: they all start with a slash.
const armsPath = "sluice:arms"

// armsRoutes name both arms of every split of a table in a route that matches nothing. A gRPC client knows only the
// clusters that some route names, and gRPC-Go fails calls in the instant between learning of a new cluster and
// having a balancer for it. So an arm is known before it gets traffic, and stays known at 0.
func (t *translator) armsRoutes(table string) []ir.Route {
	var out []ir.Route
	for i, s := range t.splits {
		if !t.uses[i][table] {
			continue
		}
		f := &ir.Forward{Weighted: true}
		for _, c := range t.cfg.Clusters {
			if c.Host == s.host && c.Subset != "" && (c.Subset == s.Stable || c.Subset == s.Canary) {
				f.Destinations = append(f.Destinations, ir.Destination{Cluster: c.Name, Weight: 1})
			}
		}
		if len(f.Destinations) > 0 {
			out = append(out, ir.Route{Name: "arms of " + s.Key, Match: ir.Match{Path: ir.PathMatch{Kind: ir.PathExact, Value: armsPath}}, Forward: f})
		}
	}
	return out
}
