package istio

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// tcpSite is a server of a gateway whose connections are forwarded, not taken apart into requests.
type tcpSite struct {
	site
	server server
	bound  []*virtual // VirtualServices with rules for it that share a host with it, in order
}

func (p gates) tcpSite(o *opening, s server) tcpSite {
	out := tcpSite{server: s, site: site{
		place: place{port: s.port(), gateways: map[string]bool{s.gateway.key(): true}}, listener: o.listener(), hosts: []string{},
	}}
	for _, written := range s.spec.GetHosts() {
		_, host := serverHost(written, s.gateway.Namespace)
		out.hosts = append(out.hosts, host)
	}
	for _, other := range s.gateway.Spec.GetServers() {
		if other == s.spec || other.GetTls() == nil || other.GetTls().GetMode() != networking.ServerTLSSettings_PASSTHROUGH {
			continue
		}
		for _, written := range other.GetHosts() {
			_, host := serverHost(written, s.gateway.Namespace)
			out.beside = append(out.beside, host)
		}
	}
	for _, b := range p.boundTo(s) {
		rules := len(b.vs.Spec.GetTcp())
		if s.kind == passesTLS {
			rules = len(b.vs.Spec.GetTls())
		}
		if rules > 0 {
			p.reached[b.vs.ref()+" "+s.gateway.key()] = true
			out.bound = append(out.bound, b.vs)
		}
	}
	return out
}

// forwardingChains are the chains of a server that forwards: by tls rules where it passes TLS through, one for each
// match, else by tcp rules. None: no rule applies. Names that the listener already has are taken away afterwards.
func (p gates) forwardingChains(at tcpSite) []ir.Chain {
	inputs := []any{at.port, at.server.kind, strings.Join(at.hosts, " "), strings.Join(at.beside, " ")}
	for _, vs := range at.bound {
		inputs = append(inputs, vs)
	}
	k := key{kind: chainsUnit, table: at.listener, name: at.server.gateway.key() + " " + at.server.field}
	return made(p.planner, k, inputs, func(t *translator) []ir.Chain {
		if at.server.kind == passesTLS {
			return t.tlsChains(at.bound, at.site)
		}
		chains, _ := t.tcpChains(at.bound, at.site)
		return chains
	})
}
