package istio

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// visibleServices picks, for each host that the class sees, the service that counts.
func (p *planner) visibleServices() []*service {
	var out []*service
	sent := p.sentTo()
	for i := 0; i < len(p.services); {
		j := i
		var seen []*service
		for ; j < len(p.services) && p.services[j].shape.Host == p.services[i].shape.Host; j++ {
			if p.services[j].shape.VisibleTo(p.class.Namespace) {
				seen = append(seen, p.services[j])
			}
		}
		i = j
		seen = p.inSight(seen, sent)
		if len(seen) == 0 {
			continue
		}
		out = append(out, p.foremost(seen))
	}
	return out
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// makeClusters makes one cluster per service port and subset, routed or not.
func (p *planner) makeClusters() {
	for _, s := range p.visible {
		if p.class.Kind == ir.KindGRPC && !p.forwards(*s.shape) {
			continue
		}
		for _, port := range s.shape.Ports {
			p.makeCluster(*s.shape, port, "")
			for _, sub := range p.policies[s.shape.Host].subsets {
				p.makeCluster(*s.shape, port, sub.name)
			}
		}
	}
}

// madeCluster is what a unit makes of a cluster.
type madeCluster struct {
	cluster *ir.Cluster // nil: it cannot be had now
	hash    *ir.Hash    // nil: requests are spread evenly
}

func (p *planner) makeCluster(s registry.Service, port registry.Port, subset string) {
	name := ir.ClusterName(port.Number, subset, s.Host)
	one := made(p, key{kind: clusterUnit, name: name}, []any{s.Host, port, subset, p.podsDialled(s, port)}, func(t *translator) madeCluster {
		return t.cluster(s.Host, port, subset, p.podsDialled(s, port))
	})
	p.clusters[name] = one
	if one.cluster == nil {
		return
	}
	p.out.Clusters = append(p.out.Clusters, one.cluster)
	if one.cluster.Discovery == ir.DiscoveryOriginal {
		return
	}
	endpoints := made(p, key{kind: endpointsUnit, name: name}, []any{s.Host, port, subset}, func(t *translator) *ir.Endpoints {
		return t.endpointsOf(s.Host, port, subset)
	})
	if one.cluster.Discovery == ir.DiscoveryEDS {
		p.out.Endpoints = append(p.out.Endpoints, endpoints)
	}
}

// cluster makes the cluster of a subset on one port of a host, whose pods clients may dial themselves.
func (t *translator) cluster(host string, port registry.Port, name string, podsDialled bool) madeCluster {
	s, _ := t.service(host)
	p := t.policy(host)
	sub, _ := p.subset(name)
	c := &ir.Cluster{
		Name: ir.ClusterName(port.Number, name, host), Host: host, Subset: name, Port: port.Number,
		Wire: ir.Wire{HTTP2: port.Protocol == registry.HTTP2 || port.Protocol == registry.GRPC}, Origins: t.clusterOrigins(s, p),
	}
	hash := t.shape(c, p, sub)
	if !t.encrypt(c, p, sub, s) {
		return madeCluster{}
	}
	near := t.nearness(p.layers(sub, port.Number))
	c.Localities = near.weigh
	switch {
	case podsDialled || t.original(s, p.layers(sub, port.Number)):
		c.Discovery, hash = ir.DiscoveryOriginal, nil
	case s.Resolution == registry.Static:
	case s.Resolution == registry.DNSFirst || t.class.Kind == ir.KindGRPC:
		c.Discovery, c.Targets = ir.DiscoveryLogicalDNS, first(near.localities(t.endpoints(host), port, sub.labels))
	default:
		c.Discovery, c.Targets = ir.DiscoveryStrictDNS, near.localities(t.endpoints(host), port, sub.labels)
	}
	return madeCluster{c, hash}
}

// endpointsOf are those of a cluster; it reports a subset without any that is ready.
func (t *translator) endpointsOf(host string, port registry.Port, name string) *ir.Endpoints {
	s, _ := t.service(host)
	p := t.policy(host)
	sub, _ := p.subset(name)
	all := t.endpoints(host)
	if t.class.Kind == ir.KindGRPC && slices.ContainsFunc(all, func(e registry.Endpoint) bool { return socket(e.Address) }) {
		t.found.selection(Meta{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name}, "spec.endpoints", "an endpoint at a Unix socket in a gRPC client")
	}
	groups := t.nearness(p.layers(sub, port.Number)).localities(all, port, sub.labels)
	if name != "" && len(groups) == 0 {
		t.found.warn(sub.at, "S018", sub.field, fmt.Sprintf("subset %q of %s has no ready endpoint", name, host),
			"start endpoints with its labels, or correct the labels")
	}
	return &ir.Endpoints{Cluster: ir.ClusterName(port.Number, name, host), Localities: groups, Origins: t.clusterOrigins(s, p)}
}

func (t *translator) clusterOrigins(s registry.Service, p *policy) []ir.Origin {
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

// dial is where a connection goes.
type dial struct {
	address string
	port    int
}
