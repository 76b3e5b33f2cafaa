package istio

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// visibleServices picks, for each host that the class sees, the service that counts: the one in the class's
// namespace, else one of Kubernetes, else the first in order.
func (t *translator) visibleServices() []registry.Service {
	var out []registry.Service
	for i := 0; i < len(t.services); {
		j := i
		var seen []registry.Service
		for ; j < len(t.services) && t.services[j].Host == t.services[i].Host; j++ {
			if t.services[j].VisibleTo(t.class.Namespace) {
				seen = append(seen, t.services[j])
			}
		}
		i = j
		if len(seen) == 0 {
			continue
		}
		slices.SortStableFunc(seen, func(a, b registry.Service) int {
			return cmp.Or(
				cmp.Compare(rank(a.Namespace == t.class.Namespace), rank(b.Namespace == t.class.Namespace)),
				cmp.Compare(rank(a.Origin.Kind == "Service"), rank(b.Origin.Kind == "Service")),
				registry.CompareCreated(a.Origin.Created, b.Origin.Created))
		})
		for _, other := range seen[1:] {
			t.found.warn(Meta{Kind: other.Origin.Kind, Namespace: other.Origin.Namespace, Name: other.Origin.Name}, "S050", "spec.hosts",
				fmt.Sprintf("host %s is defined in several namespaces; for clients in %s that of %s counts", other.Host, t.class.Namespace, seen[0].Namespace),
				"limit exportTo, or remove one of them")
		}
		out = append(out, seen[0])
	}
	return out
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// readClusters makes one cluster per service port and subset, routed or not.
func (t *translator) readClusters() {
	for _, s := range t.visible {
		p := t.policyOf(t.class.Namespace, s)
		t.policies[s.Host] = p
		for _, port := range s.Ports {
			t.addCluster(s, port, p, subset{})
			for _, sub := range p.subsets {
				t.addCluster(s, port, p, sub)
			}
		}
	}
}

func (t *translator) addCluster(s registry.Service, port registry.Port, p policy, sub subset) {
	c := &ir.Cluster{
		Name: ir.ClusterName(port.Number, sub.name, s.Host), Host: s.Host, Subset: sub.name, Port: port.Number,
		HTTP2: port.Protocol == registry.HTTP2 || port.Protocol == registry.GRPC, Origins: t.clusterOrigins(s, p),
	}
	t.shape(c, p, sub)
	groups, ready := localities(s, port, sub.labels)
	if sub.name != "" && ready == 0 {
		t.found.warn(sub.at, "S018", sub.field, fmt.Sprintf("subset %q of %s has no ready endpoint", sub.name, s.Host),
			"start endpoints with its labels, or correct the labels")
	}
	switch {
	case s.Resolution == registry.Static:
		t.cfg.Endpoints = append(t.cfg.Endpoints, &ir.Endpoints{Cluster: c.Name, Localities: groups, Origins: c.Origins})
	case s.Resolution == registry.DNSFirst || t.class.Kind == ir.KindGRPC:
		c.Discovery, c.Targets = ir.DiscoveryLogicalDNS, first(groups)
	default:
		c.Discovery, c.Targets = ir.DiscoveryStrictDNS, groups
	}
	t.cfg.Clusters = append(t.cfg.Clusters, c)
	t.clusters[c.Name] = true
}

func (t *translator) clusterOrigins(s registry.Service, p policy) []ir.Origin {
	o := s.Origin
	return append([]ir.Origin{{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Field: "spec", UID: o.UID}}, p.origins...)
}

// first keeps the first endpoint only: a logical DNS cluster resolves one name.
func first(groups []ir.Locality) []ir.Locality {
	for _, g := range groups {
		g.Endpoints = g.Endpoints[:1]
		return []ir.Locality{g}
	}
	return nil
}

// localities groups the ready endpoints that have the labels, each address and port once.
func localities(s registry.Service, port registry.Port, labels map[string]string) ([]ir.Locality, int) {
	groups := map[registry.Locality][]ir.Endpoint{}
	seen := map[string]bool{}
	for _, e := range s.Endpoints {
		key := fmt.Sprintf("%s %d", e.Address, e.PortOf(port))
		if !e.Ready || !contains(e.Labels, labels) || seen[key] {
			continue
		}
		seen[key] = true
		groups[e.Locality] = append(groups[e.Locality], ir.Endpoint{Address: e.Address, Port: e.PortOf(port), Weight: max(1, e.Weight)})
	}
	out := make([]ir.Locality, 0, len(groups))
	for l, endpoints := range groups {
		slices.SortFunc(endpoints, func(a, b ir.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
		})
		out = append(out, ir.Locality{Region: l.Region, Zone: l.Zone, SubZone: l.SubZone, Endpoints: endpoints})
	}
	slices.SortFunc(out, func(a, b ir.Locality) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.SubZone, b.SubZone))
	})
	return out, len(seen)
}
