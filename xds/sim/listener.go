package sim

import (
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// listener is a listener with its filter chains.
type listener struct {
	name   string
	chains []chain
}

// chain is a filter chain that speaks HTTP.
type chain struct {
	names     []string // server names, in lower case; none: any
	transport string   // "tls", "raw_buffer" or empty for any
	secure    bool     // it ends TLS
	table     *table
	trusts    bool // the client's X-Forwarded-Proto counts
	normalize bool // paths are cleaned before routes are looked at
}

func (p *Proxy) listenerOf(l *listenerv3.Listener) listener {
	out := listener{name: l.GetName()}
	for _, c := range l.GetFilterChains() {
		one := chain{transport: c.GetFilterChainMatch().GetTransportProtocol(), secure: c.GetTransportSocket() != nil}
		for _, n := range c.GetFilterChainMatch().GetServerNames() {
			one.names = append(one.names, strings.ToLower(n))
		}
		for _, f := range c.GetFilters() {
			var m hcmv3.HttpConnectionManager
			if f.GetTypedConfig().UnmarshalTo(&m) == nil {
				one.table, one.trusts, one.normalize = p.tables[m.GetRds().GetRouteConfigName()], !m.GetUseRemoteAddress().GetValue(), m.GetNormalizePath().GetValue()
			}
		}
		out.chains = append(out.chains, one)
	}
	return out
}

// accept finds the listener and the chain that take a connection.
func (p *Proxy) accept(req Request) (string, chain, bool) {
	for _, l := range p.listeners[req.Port] {
		if c, ok := l.chain(req); ok {
			return l.name, c, true
		}
	}
	return "", chain{}, false
}

// chain chooses as Envoy does: by server name first, the exact one, then the longest "*." suffix, then chains without
// names; among those the ones of the connection's own transport before those of any. Whoever is chosen so must also
// speak what the client speaks.
func (l listener) chain(req Request) (chain, bool) {
	transport := "raw_buffer"
	if req.TLS {
		transport = "tls"
	}
	for _, name := range serverNames(req) {
		for _, want := range []string{transport, ""} {
			for _, c := range l.chains {
				if c.transport == want && c.named(name) {
					return c, c.table != nil && c.secure == req.TLS
				}
			}
		}
	}
	return chain{}, false
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

func (c chain) named(name string) bool {
	if name == "" {
		return len(c.names) == 0
	}
	for _, n := range c.names {
		if n == name {
			return true
		}
	}
	return false
}
