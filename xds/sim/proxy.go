package sim

import (
	"regexp"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// Proxy answers for a proxy that runs a set of resources. They are unpacked once, so that a question costs
// microseconds. A Proxy never changes and may be asked by several goroutines at once.
type Proxy struct {
	listeners map[int][]listener // by port, in the order of their names
	captures  *listener          // gets every connection and hands it over; nil: clients dial the listeners
	tables    map[string]*table
	clusters  map[string]cluster
	patterns  map[string]*regexp.Regexp // what the routes compare whole texts with
	parts     map[string]*regexp.Regexp // what the routes replace in paths
}

// cluster is what of a cluster matters to an answer.
type cluster struct {
	lb             string
	maxConnections int
	ready          bool // an endpoint is there to send to
	original       bool // connections go where the client meant them to go, if that is known
}

// New unpacks the resources.
func New(res envoy.Resources) *Proxy {
	p := &Proxy{
		listeners: map[int][]listener{}, tables: map[string]*table{}, clusters: map[string]cluster{},
		patterns: map[string]*regexp.Regexp{}, parts: map[string]*regexp.Regexp{},
	}
	ready := map[string]bool{}
	for _, r := range res.Endpoints {
		var e endpointv3.ClusterLoadAssignment
		ready[r.Name] = unpack(r, &e) && serves(&e)
	}
	for _, r := range res.Clusters {
		var c clusterv3.Cluster
		if unpack(r, &c) {
			p.clusters[r.Name] = clusterOf(&c, ready)
		}
	}
	for _, r := range res.Routes {
		var t routev3.RouteConfiguration
		if unpack(r, &t) {
			p.tables[r.Name] = p.tableOf(&t)
		}
	}
	for _, r := range res.Listeners {
		var l listenerv3.Listener
		if unpack(r, &l) {
			port := int(l.GetAddress().GetSocketAddress().GetPortValue())
			one := p.listenerOf(&l)
			p.listeners[port] = append(p.listeners[port], one)
			if one.hands {
				p.captures = &one
			}
		}
	}
	return p
}

func unpack(r envoy.Resource, into proto.Message) bool {
	return proto.Unmarshal(r.Any.GetValue(), into) == nil
}

func clusterOf(c *clusterv3.Cluster, ready map[string]bool) cluster {
	out := cluster{lb: c.GetLbPolicy().String(), maxConnections: maxConnections(c), ready: serves(c.GetLoadAssignment()),
		original: c.GetType() == clusterv3.Cluster_ORIGINAL_DST}
	if c.GetType() == clusterv3.Cluster_EDS {
		name := c.GetEdsClusterConfig().GetServiceName()
		if name == "" {
			name = c.GetName()
		}
		out.ready = ready[name]
	}
	return out
}

// serves reports whether there is an endpoint at all: xds/istio writes down only those that are ready.
func serves(e *endpointv3.ClusterLoadAssignment) bool {
	for _, l := range e.GetEndpoints() {
		if len(l.GetLbEndpoints()) > 0 {
			return true
		}
	}
	return false
}

// compile keeps a pattern. One that does not compile matches nothing.
func compile(into map[string]*regexp.Regexp, pattern, whole string) {
	if _, done := into[pattern]; done {
		return
	}
	re, err := regexp.Compile(whole)
	if err != nil {
		re = nil
	}
	into[pattern] = re
}

func (p *Proxy) matchRegex(pattern, text string) bool {
	re := p.patterns[pattern]
	return re != nil && re.MatchString(text)
}
