package istio

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// foremost is the service that counts of several with one host that the class sees: that of the namespace of the first
// VirtualService in force that sends to it, else of the class's own namespace, else one of Kubernetes, else the first. A
// service of Kubernetes gives way to the class's own namespace only: whoever may write objects elsewhere must not take over
// its host for everybody.
func (p *planner) foremost(seen []*service) *service {
	if len(seen) == 1 {
		return seen[0]
	}
	senders := p.senders(seen[0].shape.Host)
	kubernetes := slices.ContainsFunc(seen, (*service).kubernetes)
	sender := func(s *service) int {
		at := slices.Index(senders, s.shape.Namespace)
		if at < 0 || kubernetes && !s.kubernetes() && s.shape.Namespace != p.class.Namespace {
			return len(senders)
		}
		return at
	}
	slices.SortStableFunc(seen, func(a, b *service) int {
		return cmp.Or(
			cmp.Compare(sender(a), sender(b)),
			cmp.Compare(rank(a.shape.Namespace == p.class.Namespace), rank(b.shape.Namespace == p.class.Namespace)),
			cmp.Compare(rank(a.kubernetes()), rank(b.kubernetes())),
			registry.CompareCreated(a.shape.Origin.Created, b.shape.Origin.Created))
	})
	for _, other := range seen[1:] {
		o := other.shape.Origin
		p.found.warn(Meta{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, "S050", "spec.hosts",
			fmt.Sprintf("host %s is defined in several namespaces; for clients in %s that of %s counts", other.shape.Host, p.class.Namespace, seen[0].shape.Namespace),
			"limit exportTo, or remove one of them")
	}
	return seen[0]
}

// kubernetes reports whether it is a Service of Kubernetes, whose host no other namespace can have by rights.
func (s *service) kubernetes() bool { return s.shape.Origin.Kind == "Service" }

// senders are the namespaces of the VirtualServices in force for the class that send to a host, in their order.
func (p *planner) senders(host string) []string {
	var out []string
	for _, w := range p.written[host] {
		if namespace := w.vs.Namespace; !slices.Contains(out, namespace) && p.inForce(w.vs) {
			out = append(out, namespace)
		}
	}
	return out
}

// inForce reports whether a VirtualService may say anything to proxies of the class.
func (p *planner) inForce(vs *virtual) bool {
	if !registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, p.class.Namespace) {
		return false
	}
	if p.class.Kind != ir.KindGateway {
		return slices.Contains(vs.gateways, mesh)
	}
	return slices.ContainsFunc(p.gateways, func(g gateway) bool {
		return slices.Contains(vs.gateways, g.Namespace+"/"+g.Name) && contains(p.labels, g.Spec.GetSelector())
	})
}
