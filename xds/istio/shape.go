package istio

import (
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// shape applies the traffic policy to a cluster, block by block, and gives what its requests are told apart by.
func (t *translator) shape(c *ir.Cluster, p *policy, s subset) *ir.Hash {
	layers := p.layers(s, c.Port)
	var hash *ir.Hash
	if b, ok := blockOf(layers, "loadBalancer", trafficPolicy.GetLoadBalancer); ok {
		hash = t.spread(c, b)
	}
	if b, ok := blockOf(layers, "connectionPool", trafficPolicy.GetConnectionPool); ok {
		t.pool(c, b)
	}
	if b, ok := blockOf(layers, "outlierDetection", trafficPolicy.GetOutlierDetection); ok {
		c.Outlier = t.outlier(b)
	}
	t.wholePolicy(c, p.topAt, "spec.trafficPolicy", p.top)
	t.wholePolicy(c, s.at, s.field+".trafficPolicy", s.policy)
	return hash
}

// wholePolicy applies what only a whole policy may say, and not the entry of a port.
func (t *translator) wholePolicy(c *ir.Cluster, at Meta, field string, tp *networking.TrafficPolicy) {
	if tp.GetTunnel() != nil {
		t.found.policy(at, field+".tunnel", "tunnel")
	}
	if tp.GetProxyProtocol() != nil {
		t.found.policy(at, field+".proxyProtocol", "proxyProtocol")
	}
	if b := tp.GetRetryBudget(); b != nil {
		t.retryBudget(c, block[*networking.TrafficPolicy_RetryBudget]{b, at, field + ".retryBudget"})
	}
}
