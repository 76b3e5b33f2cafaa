package istio

import (
	"github.com/sluice-dev/sluice/xds/ir"
)

// tcpSite is a server of a gateway whose connections are forwarded, not taken apart into requests.
type tcpSite struct {
	server   server
	listener string    // the name of its listener, for the uses of splits
	port     int       // the server's, by which names are made
	bound    []binding // the VirtualServices that are bound to it and share a host with it, in order
}

func (p gates) tcpSite(o *opening, s server) tcpSite {
	out := tcpSite{server: s, listener: o.listener(), port: int(s.spec.GetPort().GetNumber()), bound: p.boundTo(s)}
	for _, b := range out.bound {
		rules := len(b.vs.Spec.GetTcp())
		if s.kind == passesTLS {
			rules = len(b.vs.Spec.GetTls())
		}
		if rules > 0 {
			p.reached[b.vs.ref()+" "+s.gateway.key()] = true
		}
	}
	return out
}

// sniChains are the chains of a server that passes TLS through: one for each match of a tls rule, with the names that
// it matches. Names that the listener already has are taken away afterwards.
func (p gates) sniChains(at tcpSite) []ir.Chain {
	for _, b := range at.bound {
		reportOtherProtocols(p.found, b.vs.virtualService)
	}
	return nil
}

// tcpForward is what the tcp rules do with connections to a server, after the end of TLS where the server ends it; nil:
// no rule applies, and the server has no chain.
func (p gates) tcpForward(at tcpSite) (*ir.TCPProxy, []ir.Origin) {
	for _, b := range at.bound {
		reportOtherProtocols(p.found, b.vs.virtualService)
	}
	return nil, nil
}
