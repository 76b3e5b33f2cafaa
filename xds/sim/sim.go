// Package sim answers where a request goes, and with which probability, from Envoy resources alone.
//
// It follows Envoy's own rules: listener by port or by the address that was dialled, filter chain, virtual host by
// domain, the first route that matches, clusters by weight; a chain that forwards connections has clusters by weight, too.
// It sends nothing and knows nothing of the objects that the resources were made from. `sluice route` and preflight
// checks call it:
//
//	proxy := sim.New(resources)
//	res := proxy.Route(sim.Request{Port: 80, Method: "GET", Host: "shop.example", Path: "/"})
package sim

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// Request is what a client sends.
type Request struct {
	Port    int // of the listener
	TLS     bool
	SNI     string // the server name that a TLS client asks for; empty: none
	Raw     bool   // a connection of any other protocol: nothing of what follows but Address counts
	Address string // the IP address that the client dials, where it is known
	Method  string
	Host    string // the Host header, with or without a port
	Path    string // with the query, if any
	Headers map[string][]string
}

// Outcome is what becomes of a request.
type Outcome string

// The outcomes.
const (
	Routed            Outcome = "route"
	NoRoute           Outcome = "noRoute"    // 404
	NoListener        Outcome = "noListener" // the connection fails
	Redirected        Outcome = "redirect"
	DirectResponse    Outcome = "directResponse"    // of a route; or 400, where the path is none
	TLSRequired       Outcome = "tlsRequired"       // 301
	NoHealthyUpstream Outcome = "noHealthyUpstream" // 503, whatever cluster is chosen
)

// Route follows a request through the resources. New is for those with several questions.
func Route(res envoy.Resources, req Request) Result { return New(res).Route(req) }

// Route follows a request.
func (p *Proxy) Route(req Request) Result {
	out := newResult()
	name, c, ok := p.accept(req)
	if !ok {
		out.Outcome = NoListener
		return out
	}
	out.Listener = name
	if c.forwards != nil {
		p.connect(&out, c)
		return out
	}
	if c.normalize {
		if req.Path, ok = cleaned(req.Path); !ok {
			out.Outcome, out.Status = DirectResponse, 400
			return out
		}
	}
	t := transaction{Proxy: p, Request: req, scheme: schemeOf(req, c)}
	host := c.table.host(req.Host)
	if host == nil {
		out.Outcome, out.Status = NoRoute, 404
		return out
	}
	out.VirtualHost = host.GetName()
	if host.GetRequireTls() != routev3.VirtualHost_NONE && t.scheme != "https" {
		out.Outcome, out.Status = TLSRequired, 301
		out.Redirect.V = &Redirect{Scheme: "https", Host: bareHost(req.Host), Path: pathOf(req.Path), Status: 301, Location: "https://" + req.Host + req.Path}
		return out
	}
	for _, r := range host.GetRoutes() {
		if t.matches(r.GetMatch()) {
			out.RouteName = r.GetName()
			t.follow(&out, r)
			return out
		}
	}
	out.Outcome, out.Status = NoRoute, 404
	return out
}

// transaction is a request on its way through a proxy.
type transaction struct {
	*Proxy
	Request
	scheme string
}

// schemeOf is what the connection speaks, or what a client says of it that is trusted to.
func schemeOf(req Request, c chain) string {
	if said := header(req, "x-forwarded-proto"); len(said) == 1 && c.trusts && (said[0] == "http" || said[0] == "https") {
		return said[0]
	}
	if req.TLS {
		return "https"
	}
	return "http"
}

func pathOf(target string) string {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		return target[:i]
	}
	return target
}
