package istio

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Opened are the ports that gateway proxies of a class open for the port of a server: the targets of the Services in
// front of them, else the port itself.
func Opened(in Input, class ir.ProxyClass, port int) []int {
	var services []*registry.Service
	for i := range in.Registry.Services {
		services = append(services, &in.Registry.Services[i])
	}
	return opened(services, class, port)
}

// opened is Opened for services of a Kubernetes cluster and others.
func opened(services []*registry.Service, class ir.ProxyClass, port int) []int {
	labels := parseLabels(class.Labels)
	var out []int
	for _, s := range services {
		if s.Origin.Kind != "Service" || s.Namespace != class.Namespace || len(s.Selector) == 0 || !contains(labels, s.Selector) {
			continue
		}
		if p, ok := s.Port(port); ok && p.Target != 0 {
			out = append(out, p.Target)
		}
	}
	if len(out) == 0 {
		return []int{port}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// frontKeys are the labels that tell which Services are in front of gateway proxies, as far as that matters: of Services
// that lead to another port than a Gateway's server has, and whose selector shares a label with the Gateway's and
// contradicts none.
func frontKeys(keys map[string]bool, in Input) {
	for _, o := range in.Objects {
		g, ok := o.Spec.(*networking.Gateway)
		if !ok {
			continue
		}
		for i := range in.Registry.Services {
			if s := &in.Registry.Services[i]; s.Origin.Kind == "Service" && akin(s.Selector, g.GetSelector()) && moves(s, g) {
				selects(keys, s.Selector)
			}
		}
	}
}

// akin reports whether two selectors may well be about the same proxies.
func akin(a, b map[string]string) bool {
	shared := false
	for k, v := range a {
		other, ok := b[k]
		if ok && other != v {
			return false
		}
		shared = shared || ok
	}
	return shared
}

// moves reports whether a Service leads from the port of a server to another one.
func moves(s *registry.Service, g *networking.Gateway) bool {
	return slices.ContainsFunc(g.GetServers(), func(one *networking.Server) bool {
		p, ok := s.Port(int(one.GetPort().GetNumber()))
		return ok && p.Target != 0 && p.Target != p.Number
	})
}
