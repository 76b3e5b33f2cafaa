package sim

import (
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// forwarding is where a chain sends connections, byte by byte.
type forwarding struct {
	shares   []share
	bySource bool // endpoints are chosen by the client's address
}

// share is one cluster and its weight.
type share struct {
	cluster string
	weight  uint64
}

func forwardingOf(p *tcpproxyv3.TcpProxy) *forwarding {
	out := &forwarding{}
	for _, h := range p.GetHashPolicy() {
		out.bySource = out.bySource || h.GetSourceIp() != nil
	}
	for _, c := range p.GetWeightedClusters().GetClusters() {
		out.shares = append(out.shares, share{c.GetName(), uint64(c.GetWeight())})
	}
	if p.GetWeightedClusters() == nil {
		out.shares = []share{{p.GetCluster(), 1}}
	}
	return out
}

// connect fills in where a connection goes that its chain forwards. The proxy itself never answers, it closes.
func (p *Proxy) connect(out *Result, c chain) {
	out.Outcome, out.RouteName = Routed, c.name
	if !p.spread(out, c.forwards.shares) {
		out.Outcome = NoHealthyUpstream
	}
	if c.forwards.bySource {
		out.Hash = append(out.Hash, Hash{SourceIP: true})
	}
}

// spread lists where something may go by weight; false: none of it can be served.
func (p *Proxy) spread(out *Result, shares []share) bool {
	total := uint64(0)
	for _, s := range shares {
		total += s.weight
	}
	alive := false
	for _, s := range shares {
		if s.weight == 0 {
			continue
		}
		d := Destination{Cluster: s.cluster, Probability: float64(s.weight) / float64(total)}
		d.Port, d.Subset, d.Host, _ = ir.ParseClusterName(s.cluster)
		if c, ok := p.clusters[s.cluster]; ok {
			d.LB, d.MaxConnections = c.lb, c.maxConnections
			alive = alive || c.ready || (c.original && p.captures != nil)
		}
		out.Destinations = append(out.Destinations, d)
	}
	return alive
}
