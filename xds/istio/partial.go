package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

// assumedAddress stands for endpoints that are taken on trust; it is reserved for documentation and never dialled.
const assumedAddress = "192.0.2.1"

// Assume adds, for every host that rules, splits or the caller name and no service has, a service with one endpoint in
// each subset, on the ports named and on port, and trusts that missing Secrets exist. It is for files that hold only a
// part of the mesh.
func Assume(in Input, port int, hosts ...string) Input {
	return AssumeSpeaking(in, port, registry.HTTP, hosts...)
}

// AssumeSpeaking is Assume for a caller whose hosts speak a certain protocol on port.
func AssumeSpeaking(in Input, port int, protocol registry.Protocol, hosts ...string) Input {
	in.TrustSecrets = true
	x := newIndex(in, nil)
	known := map[string]bool{}
	for _, s := range x.services {
		known[s.shape.Host] = true
	}
	a := assumption{x: x, ports: map[string]map[int]registry.Protocol{}, namespaces: map[string]string{}, port: port}
	for _, h := range hosts {
		a.add(strings.ToLower(h), 0, protocol, "default")
	}
	for _, vs := range x.virtuals {
		for _, r := range vs.rules {
			for _, d := range targets(r.spec) {
				a.add(ResolveHost(d.GetHost(), r.from.Namespace, in.suffix()), int(d.GetPort().GetNumber()), registry.HTTP, r.from.Namespace)
			}
		}
		a.addConnected(vs, tcpRules(vs), registry.TCP)
		a.addConnected(vs, tlsRules(vs), registry.TLS)
	}
	for _, s := range x.splits {
		if a.ports[s.host] == nil {
			a.add(s.host, 0, registry.HTTP, s.meta.Namespace)
		}
	}
	services := slices.Clone(in.Registry.Services)
	for _, host := range sortedKeys(a.ports) {
		if !known[host] && host != "" {
			services = append(services, a.service(host))
		}
	}
	slices.SortStableFunc(services, func(p, q registry.Service) int { return cmp.Compare(p.Host, q.Host) })
	in.Registry = registry.Snapshot{Services: services}
	return in
}

func targets(r *networking.HTTPRoute) []*networking.Destination {
	var out []*networking.Destination
	for _, d := range r.GetRoute() {
		out = append(out, d.GetDestination())
	}
	if r.GetMirror() != nil {
		out = append(out, r.GetMirror())
	}
	for _, m := range r.GetMirrors() {
		out = append(out, m.GetDestination())
	}
	return out
}

// assumption collects the hosts that are taken on trust.
type assumption struct {
	x          *index
	ports      map[string]map[int]registry.Protocol
	namespaces map[string]string
	port       int
}

func (a assumption) add(host string, port int, protocol registry.Protocol, namespace string) {
	if a.ports[host] == nil {
		a.ports[host] = map[int]registry.Protocol{}
		a.namespaces[host] = namespace
		if name, ok := strings.CutSuffix(host, ".svc."+a.x.in.suffix()); ok {
			if _, ns, ok := strings.Cut(name, "."); ok {
				a.namespaces[host] = ns
			}
		}
	}
	if _, said := a.ports[host][cmp.Or(port, a.port)]; !said {
		a.ports[host][cmp.Or(port, a.port)] = protocol
	}
}

// addConnected adds the hosts that tcp or tls rules send to.
func (a assumption) addConnected(vs *virtual, rules []connectionRule, protocol registry.Protocol) {
	for _, r := range rules {
		for _, d := range r.route {
			a.add(ResolveHost(d.GetDestination().GetHost(), vs.Namespace, a.x.in.suffix()), int(d.GetDestination().GetPort().GetNumber()), protocol, vs.Namespace)
		}
	}
}

func (a assumption) service(host string) registry.Service {
	s := registry.Service{
		Host: host, Namespace: a.namespaces[host],
		Origin:    registry.Origin{Kind: "Service", Namespace: a.namespaces[host], Name: host},
		Endpoints: []registry.Endpoint{{Address: assumedAddress, Ready: true}},
	}
	for _, n := range slices.Sorted(maps.Keys(a.ports[host])) {
		s.Ports = append(s.Ports, registry.Port{Name: fmt.Sprintf("port-%d", n), Number: n, Protocol: a.ports[host][n]})
	}
	for _, dr := range a.x.rules {
		if !covers(ResolveHost(dr.Spec.GetHost(), dr.Namespace, a.x.in.suffix()), host) {
			continue
		}
		for _, sub := range dr.Spec.GetSubsets() {
			s.Endpoints = append(s.Endpoints, registry.Endpoint{Address: assumedAddress, Labels: sub.GetLabels(), Ready: true})
		}
	}
	return s
}
