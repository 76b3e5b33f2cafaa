package sim

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// table is a route table whose virtual hosts are found by their domains, which are in lower case.
type table struct {
	ignorePort bool
	exact      map[string]*routev3.VirtualHost
	suffixes   []wildcard // "*.example", the longest first
	prefixes   []wildcard // "example.*", likewise
	any        *routev3.VirtualHost
}

type wildcard struct {
	part string // without the star
	host *routev3.VirtualHost
}

func (p *Proxy) tableOf(t *routev3.RouteConfiguration) *table {
	out := &table{ignorePort: t.GetIgnorePortInHostMatching(), exact: map[string]*routev3.VirtualHost{}}
	for _, h := range t.GetVirtualHosts() {
		for _, d := range h.GetDomains() {
			out.add(strings.ToLower(d), h)
		}
		for _, r := range h.GetRoutes() {
			p.compileAll(r.GetMatch())
			if re := r.GetRoute().GetRegexRewrite().GetPattern().GetRegex(); re != "" {
				compile(p.parts, re, re)
			}
		}
	}
	longest := func(a, b wildcard) int { return cmp.Compare(len(b.part), len(a.part)) }
	slices.SortStableFunc(out.suffixes, longest)
	slices.SortStableFunc(out.prefixes, longest)
	return out
}

func (t *table) add(domain string, h *routev3.VirtualHost) {
	switch {
	case domain == "*":
		t.any = h
	case strings.HasPrefix(domain, "*"):
		t.suffixes = append(t.suffixes, wildcard{domain[1:], h})
	case strings.HasSuffix(domain, "*"):
		t.prefixes = append(t.prefixes, wildcard{domain[:len(domain)-1], h})
	default:
		t.exact[domain] = h
	}
}

func (p *Proxy) compileAll(m *routev3.RouteMatch) {
	texts := []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: m.GetSafeRegex()}}}
	for _, h := range m.GetHeaders() {
		texts = append(texts, h.GetStringMatch())
	}
	for _, q := range m.GetQueryParameters() {
		texts = append(texts, q.GetStringMatch())
	}
	for _, s := range texts {
		if re := s.GetSafeRegex(); re != nil {
			compile(p.patterns, re.GetRegex(), "^(?:"+re.GetRegex()+")$")
		}
	}
}

// host finds the virtual host of a Host header: exact domain, longest suffix wildcard, longest prefix wildcard, "*".
func (t *table) host(name string) *routev3.VirtualHost {
	name = strings.ToLower(name)
	if t.ignorePort {
		name = bareHost(name)
	}
	if h := t.exact[name]; h != nil {
		return h
	}
	for _, w := range t.suffixes {
		if len(name) > len(w.part) && strings.HasSuffix(name, w.part) {
			return w.host
		}
	}
	for _, w := range t.prefixes {
		if len(name) > len(w.part) && strings.HasPrefix(name, w.part) {
			return w.host
		}
	}
	return t.any
}

// bareHost is a Host header without its port.
func bareHost(host string) string {
	at := strings.LastIndexByte(host, ':')
	if at < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	if _, err := netip.ParseAddr(host); err == nil { // an IPv6 address without brackets
		return host
	}
	return host[:at]
}
