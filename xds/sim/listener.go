package sim

import (
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// listener is a listener with its filter chains.
type listener struct {
	name     string
	address  string
	handed   bool // it binds nothing: connections are handed to it
	hands    bool // it hands each connection to the listener of the address that the client meant
	chains   []chain
	fallback *chain // for what no other chain takes
}

// chain is a filter chain that speaks HTTP, or that forwards.
type chain struct {
	name string
	condition
	secure    bool // it ends TLS
	table     *table
	forwards  *forwarding // nil: it speaks HTTP
	trusts    bool        // the client's X-Forwarded-Proto counts
	normalize bool        // paths are cleaned before routes are looked at
}

// condition is what a chain asks of a connection.
type condition struct {
	port      int            // 0: any
	prefixes  []netip.Prefix // none: any
	names     []string       // server names, in lower case; none: any
	transport string         // "tls", "raw_buffer" or empty for any
}

func (p *Proxy) listenerOf(l *listenerv3.Listener) listener {
	out := listener{
		name: l.GetName(), address: l.GetAddress().GetSocketAddress().GetAddress(),
		handed: l.GetBindToPort() != nil && !l.GetBindToPort().GetValue(), hands: l.GetUseOriginalDst().GetValue(),
	}
	for _, c := range l.GetFilterChains() {
		out.chains = append(out.chains, p.chainOf(c))
	}
	if c := l.GetDefaultFilterChain(); c != nil {
		one := p.chainOf(c)
		out.fallback = &one
	}
	return out
}

func (p *Proxy) chainOf(c *listenerv3.FilterChain) chain {
	m := c.GetFilterChainMatch()
	out := chain{
		name: c.GetName(), secure: c.GetTransportSocket() != nil,
		condition: condition{port: int(m.GetDestinationPort().GetValue()), transport: m.GetTransportProtocol()},
	}
	for _, n := range m.GetServerNames() {
		out.names = append(out.names, strings.ToLower(n))
	}
	for _, r := range m.GetPrefixRanges() {
		if a, err := netip.ParseAddr(r.GetAddressPrefix()); err == nil {
			out.prefixes = append(out.prefixes, netip.PrefixFrom(a, int(r.GetPrefixLen().GetValue())).Masked())
		}
	}
	for _, f := range c.GetFilters() {
		var http hcmv3.HttpConnectionManager
		var tcp tcpproxyv3.TcpProxy
		switch {
		case f.GetTypedConfig().UnmarshalTo(&http) == nil:
			out.table, out.trusts, out.normalize = p.tables[http.GetRds().GetRouteConfigName()], !http.GetUseRemoteAddress().GetValue(), http.GetNormalizePath().GetValue()
		case f.GetTypedConfig().UnmarshalTo(&tcp) == nil:
			out.forwards = forwardingOf(&tcp)
		}
	}
	return out
}

// accept finds the listener and the chain that take a connection.
func (p *Proxy) accept(req Request) (string, chain, bool) {
	for _, l := range p.listening(req) {
		if c, ok := l.chain(req); ok {
			return l.name, c, true
		}
	}
	return "", chain{}, false
}

// listening are the listeners that a connection may get to. Where one of them hands connections over, it is the listener
// of the very address and port that the client meant, else the one of the port, else the one that hands over.
func (p *Proxy) listening(req Request) []listener {
	meant := func(l listener) bool { return sameAddress(l.address, req.Address) }
	here := p.listeners[req.Port]
	if p.captures == nil {
		bound := slices.DeleteFunc(slices.Clone(here), func(l listener) bool { return l.handed })
		if req.Address != "" && slices.ContainsFunc(bound, meant) {
			return slices.DeleteFunc(bound, func(l listener) bool { return !meant(l) })
		}
		return bound
	}
	for _, fits := range []func(listener) bool{meant, func(l listener) bool { return anyAddress(l.address) }} {
		if i := slices.IndexFunc(here, fits); i >= 0 {
			return here[i : i+1]
		}
	}
	return []listener{*p.captures}
}

func anyAddress(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.IsUnspecified()
}

func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// chain chooses as Envoy does, one condition after the other, without going back: by the port, by the longest address
// block, by the server name (the exact one, then the longest "*." suffix, then chains without names), by the transport.
// Whoever is chosen so must also speak what the client speaks.
func (l listener) chain(req Request) (chain, bool) {
	left := slices.Clone(l.chains)
	for _, score := range []func(condition) int{
		func(c condition) int { return c.byPort(req.Port) },
		func(c condition) int { return c.byAddress(l.reached(req)) },
		func(c condition) int { return c.byName(req) },
		func(c condition) int { return c.byTransport(req) },
	} {
		best := refused
		for _, c := range left {
			best = max(best, score(c.condition))
		}
		left = slices.DeleteFunc(left, func(c chain) bool { return best == refused || score(c.condition) != best })
	}
	chosen := l.fallback
	if len(left) > 0 {
		chosen = &left[0]
	}
	if chosen == nil {
		return chain{}, false
	}
	return *chosen, chosen.speaks(req)
}

// speaks reports whether a chain understands what the client says.
func (c chain) speaks(req Request) bool {
	if c.forwards != nil {
		return req.TLS || !c.secure
	}
	return c.table != nil && !req.Raw && c.secure == req.TLS
}

// reached is the address at which a connection arrives, as far as it is known.
func (l listener) reached(req Request) netip.Addr {
	text := req.Address
	if text == "" && !anyAddress(l.address) {
		text = l.address
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

// refused is the score of a condition that does not hold; any other is higher the more specific the condition is.
const refused = -1

func (c condition) byPort(port int) int {
	switch c.port {
	case port:
		return 1
	case 0:
		return 0
	default:
		return refused
	}
}

func (c condition) byAddress(a netip.Addr) int {
	best := refused
	if len(c.prefixes) == 0 {
		best = 0
	}
	for _, p := range c.prefixes {
		if p.Contains(a) {
			best = max(best, 1+p.Bits())
		}
	}
	return best
}

func (c condition) byName(req Request) int {
	asked := serverNames(req)
	for i, name := range asked {
		if name == "" && len(c.names) == 0 || name != "" && slices.Contains(c.names, name) {
			return len(asked) - i
		}
	}
	return refused
}

func (c condition) byTransport(req Request) int {
	own := "raw_buffer"
	if req.TLS {
		own = "tls"
	}
	switch c.transport {
	case own:
		return 1
	case "":
		return 0
	default:
		return refused
	}
}

// serverNames are the names of chains that a connection may go to, the most specific first; empty is a chain without.
func serverNames(req Request) []string {
	var out []string
	if name := strings.ToLower(req.SNI); req.TLS && name != "" {
		out = append(out, name)
		for at := strings.IndexByte(name, '.'); at >= 0; {
			out = append(out, "*"+name[at:])
			next := strings.IndexByte(name[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	return append(out, "")
}
