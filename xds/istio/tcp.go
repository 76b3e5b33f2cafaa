package istio

import (
	"fmt"

	"github.com/sluice-dev/sluice/xds/ir"
)

// forwarding is where a rule sends connections, with the splits laid over its destinations.
func (t *translator) forwarding(r connectionRule, at site) *ir.TCPProxy {
	as := rule{httpRule: httpRule{field: r.field, from: r.vs.Meta}, root: r.vs.Meta, place: at.place}
	written := make([]destination, 0, len(r.route))
	for j, d := range r.route {
		to := t.resolve(as, fmt.Sprintf("%s.route[%d].destination", r.field, j), d.GetDestination())
		to.weight = int64(d.GetWeight())
		if len(r.route) == 1 {
			to.weight = 1
		}
		written = append(written, to)
	}
	site := ruleSite{catchAll: r.catchAll(), listener: at.listener, at: r.vs.Meta, field: r.field}
	laid, taken := t.overlay(site, t.shown(site, written))
	return t.proxyTo(laid, len(taken) > 0 || len(written) > 1)
}

// proxyTo forwards to destinations whose weight is above 0, under the settings of the first that has any.
func (t *translator) proxyTo(ds []destination, weighted bool) *ir.TCPProxy {
	out := &ir.TCPProxy{Weighted: weighted}
	for _, d := range ds {
		if d.weight == 0 {
			continue
		}
		out.Destinations = append(out.Destinations, ir.Destination{Cluster: d.cluster(), Weight: uint32(d.weight)})
		t.connectionSettings(out, d)
	}
	return out
}

// connectionSettings applies what DestinationRules say about connections to a destination.
func (t *translator) connectionSettings(out *ir.TCPProxy, d destination) {
	p := t.policy(d.host)
	sub, _ := p.subset(d.subset)
	layers := p.layers(sub, d.port)
	if pool, ok := blockOf(layers, "connectionPool", trafficPolicy.GetConnectionPool); ok && out.IdleTimeout == nil {
		out.IdleTimeout = idleTimeout(t, pool, "tcp.idleTimeout", pool.value.GetTcp().GetIdleTimeout())
	}
	hash := t.hash(d.cluster())
	if hash == nil {
		return
	}
	if hash.SourceIP {
		out.Hash = true
		return
	}
	for _, l := range layers {
		if l.policy.GetLoadBalancer() != nil {
			t.found.policy(l.at, l.field+".loadBalancer.consistentHash", fmt.Sprintf("a hash of requests, for connections to port %d of %s,", d.port, d.host))
			break
		}
	}
}
