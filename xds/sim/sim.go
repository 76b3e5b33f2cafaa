// Package sim answers where a request goes, and with which probability, from Envoy resources alone.
//
// It follows Envoy's own rules: listener by port, virtual host by domain, the first route that matches, clusters by
// weight. It sends nothing and knows nothing of the objects that the resources were made from. `sluice route` and
// preflight checks call it:
//
//	res := sim.Route(resources, sim.Request{Port: 80, Method: "GET", Host: "shop.example", Path: "/"})
package sim

import (
	"net/netip"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// Request is what a client sends.
type Request struct {
	Port    int  // of the listener
	TLS     bool // no listener that Sluice builds accepts it
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
	DirectResponse    Outcome = "directResponse"
	TLSRequired       Outcome = "tlsRequired"       // 301
	NoHealthyUpstream Outcome = "noHealthyUpstream" // 503, whatever cluster is chosen
)

// world is the resources, unpacked where needed.
type world struct{ res envoy.Resources }

// Route follows a request through the resources.
func Route(res envoy.Resources, req Request) Result {
	w := world{res}
	out := newResult()
	name, table, ok := w.listener(req)
	if !ok {
		out.Outcome = NoListener
		return out
	}
	out.Listener = name
	host := virtualHost(table, req.Host)
	if host == nil {
		out.Outcome, out.Status = NoRoute, 404
		return out
	}
	out.VirtualHost = host.GetName()
	if host.GetRequireTls() != routev3.VirtualHost_NONE && !req.TLS {
		out.Outcome, out.Status = TLSRequired, 301
		out.Redirect.V = &Redirect{Scheme: "https", Host: bareHost(req.Host), Path: pathOf(req.Path), Status: 301, Location: "https://" + req.Host + req.Path}
		return out
	}
	for _, r := range host.GetRoutes() {
		if matches(r.GetMatch(), req) {
			out.RouteName = r.GetName()
			w.follow(&out, r, req)
			return out
		}
	}
	out.Outcome, out.Status = NoRoute, 404
	return out
}

// listener finds the listener of the request's port that accepts it, and its table; a table that is missing is empty.
func (w world) listener(req Request) (string, *routev3.RouteConfiguration, bool) {
	for _, r := range w.res.Listeners {
		var l listenerv3.Listener
		if !unpack(r, &l) || int(l.GetAddress().GetSocketAddress().GetPortValue()) != req.Port || req.TLS {
			continue
		}
		for _, chain := range l.GetFilterChains() {
			for _, f := range chain.GetFilters() {
				var m hcmv3.HttpConnectionManager
				if f.GetTypedConfig().UnmarshalTo(&m) == nil {
					return l.GetName(), w.table(m.GetRds().GetRouteConfigName()), true
				}
			}
		}
	}
	return "", nil, false
}

func (w world) table(name string) *routev3.RouteConfiguration {
	var t routev3.RouteConfiguration
	for _, r := range w.res.Routes {
		if r.Name == name && unpack(r, &t) {
			break
		}
	}
	return &t
}

func (w world) cluster(name string) (*clusterv3.Cluster, bool) {
	for _, r := range w.res.Clusters {
		var c clusterv3.Cluster
		if r.Name == name && unpack(r, &c) {
			return &c, true
		}
	}
	return nil, false
}

// ready reports whether a cluster has an endpoint to send to.
func (w world) ready(c *clusterv3.Cluster) bool {
	assignment := c.GetLoadAssignment()
	if c.GetType() == clusterv3.Cluster_EDS {
		for _, r := range w.res.Endpoints {
			var e endpointv3.ClusterLoadAssignment
			if r.Name == c.GetEdsClusterConfig().GetServiceName() && unpack(r, &e) {
				assignment = &e
				break
			}
		}
	}
	for _, l := range assignment.GetEndpoints() {
		if len(l.GetLbEndpoints()) > 0 {
			return true
		}
	}
	return false
}

func unpack(r envoy.Resource, into proto.Message) bool {
	return proto.Unmarshal(r.Any.GetValue(), into) == nil
}

// virtualHost finds the host's virtual host: exact domain, longest suffix wildcard, longest prefix wildcard, "*".
func virtualHost(table *routev3.RouteConfiguration, host string) *routev3.VirtualHost {
	host = strings.ToLower(host)
	if table.GetIgnorePortInHostMatching() {
		host = bareHost(host)
	}
	var best *routev3.VirtualHost
	rank := -1
	const suffix, prefix, exact = 2 << 16, 1 << 16, 3 << 16
	for _, h := range table.GetVirtualHosts() {
		for _, d := range h.GetDomains() {
			d = strings.ToLower(d)
			score := -1
			switch {
			case d == host:
				score = exact
			case d == "*":
				score = 0
			case strings.HasPrefix(d, "*") && len(host) > len(d)-1 && strings.HasSuffix(host, d[1:]):
				score = suffix + len(d)
			case strings.HasSuffix(d, "*") && len(host) > len(d)-1 && strings.HasPrefix(host, d[:len(d)-1]):
				score = prefix + len(d)
			}
			if score > rank {
				best, rank = h, score
			}
		}
	}
	return best
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

func pathOf(target string) string {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		return target[:i]
	}
	return target
}
