package sim

import (
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// Gap is a cluster that some requests or connections would go to in vain.
type Gap struct {
	Cluster string
	From    string // the route or filter chain that sends there, in words
	Missing bool   // there is no such cluster; else it has no endpoint to send to
}

// String says what is wrong.
func (g Gap) String() string {
	if g.Missing {
		return fmt.Sprintf("%s sends to %s, which does not exist", g.From, g.Cluster)
	}
	return fmt.Sprintf("%s sends to %s, which has no ready endpoint", g.From, g.Cluster)
}

// Gaps finds those of the clusters that get a share of something and answer nobody, each once, in the order of the routes.
func Gaps(res envoy.Resources, clusters []string) []Gap {
	p := New(res)
	var out []Gap
	note := func(from, name string) {
		if !slices.Contains(clusters, name) || slices.ContainsFunc(out, func(g Gap) bool { return g.Cluster == name }) {
			return
		}
		if c, ok := p.clusters[name]; !ok || (!c.ready && !c.original) {
			out = append(out, Gap{Cluster: name, From: from, Missing: !ok})
		}
	}
	for _, r := range res.Routes {
		var table routev3.RouteConfiguration
		if !unpack(r, &table) {
			continue
		}
		for _, h := range table.GetVirtualHosts() {
			for _, route := range h.GetRoutes() {
				for _, s := range sharesOf(route.GetRoute()) {
					note(fmt.Sprintf("route %q of %s", route.GetName(), h.GetName()), s.cluster)
				}
			}
		}
	}
	for _, r := range res.Listeners {
		for _, l := range p.named(r.Name) {
			for _, c := range l.chains {
				if c.forwards == nil {
					continue
				}
				for _, s := range c.forwards.shares {
					note(fmt.Sprintf("filter chain %q of %s", c.name, l.name), s.cluster)
				}
			}
		}
	}
	return out
}

// named are the listeners of a name.
func (p *Proxy) named(name string) []listener {
	var out []listener
	for _, list := range p.listeners {
		for _, l := range list {
			if l.name == name {
				out = append(out, l)
			}
		}
	}
	return out
}

// sharesOf are the clusters of an action with a weight above 0.
func sharesOf(a *routev3.RouteAction) []share {
	if weighted := a.GetWeightedClusters(); weighted != nil {
		var out []share
		for _, c := range weighted.GetClusters() {
			if w := c.GetWeight().GetValue(); w > 0 {
				out = append(out, share{c.GetName(), uint64(w)})
			}
		}
		return out
	}
	if a.GetCluster() == "" {
		return nil
	}
	return []share{{a.GetCluster(), 1}}
}
