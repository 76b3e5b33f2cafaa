// Package kube reads Kubernetes Services, EndpointSlices and pod labels into a registry.Snapshot.
//
// It decides which endpoints count and what protocol a port speaks. It calls no API server: xds/controller hands it
// the objects of its caches, the command line those of files.
package kube

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/xds/registry"
)

// exportTo is the annotation that limits which namespaces see a Service.
const exportTo = "networking.istio.io/exportTo"

// Input is what a Snapshot is made of. The order of the slices does not matter; the objects are not changed.
type Input struct {
	Services     []*corev1.Service
	Slices       []*discoveryv1.EndpointSlice
	PodLabels    func(namespace, name string) map[string]string // nil: endpoints have no labels
	NodeLabels   func(name string) map[string]string            // nil: nobody knows the region of a node
	Pods         []*corev1.Pod                                  // that ServiceEntries may select
	DomainSuffix string                                         // empty: "cluster.local"
}

// Snapshot reads all services, sorted by host.
func Snapshot(in Input) registry.Snapshot {
	slicesOf := map[string][]*discoveryv1.EndpointSlice{}
	for _, s := range in.Slices {
		owner := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
		slicesOf[owner] = append(slicesOf[owner], s)
	}
	var out registry.Snapshot
	for _, svc := range in.Services {
		out.Services = append(out.Services, service(svc, slicesOf[svc.Namespace+"/"+svc.Name], in))
	}
	slices.SortStableFunc(out.Services, func(a, b registry.Service) int { return cmp.Compare(a.Host, b.Host) })
	out.Workloads = workloads(in)
	return out
}

// Host is the name by which a Service is known in the mesh.
func Host(namespace, name, suffix string) string {
	return strings.ToLower(name + "." + namespace + ".svc." + cmp.Or(suffix, "cluster.local"))
}

func service(svc *corev1.Service, from []*discoveryv1.EndpointSlice, in Input) registry.Service {
	s := registry.Service{
		Host:      Host(svc.Namespace, svc.Name, in.DomainSuffix),
		Namespace: svc.Namespace,
		Origin: registry.Origin{
			Kind: "Service", Namespace: svc.Namespace, Name: svc.Name, UID: string(svc.UID), Created: svc.CreationTimestamp.Time,
		},
	}
	for _, ip := range svc.Spec.ClusterIPs {
		if ip != "" && ip != corev1.ClusterIPNone {
			s.VIPs = append(s.VIPs, ip)
		}
	}
	if ip := svc.Spec.ClusterIP; len(s.VIPs) == 0 && ip != "" && ip != corev1.ClusterIPNone {
		s.VIPs = []string{ip}
	}
	for word := range strings.SplitSeq(svc.Annotations[exportTo], ",") {
		if word = strings.TrimSpace(word); word != "" {
			s.ExportTo = append(s.ExportTo, word)
		}
	}
	for _, p := range svc.Spec.Ports {
		if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP { // proxies forward nothing else
			s.Ports = append(s.Ports, port(p))
		}
	}
	slices.SortFunc(s.Ports, func(a, b registry.Port) int { return cmp.Compare(a.Number, b.Number) })
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		s.External, s.Resolution = true, registry.DNS
		s.Endpoints = []registry.Endpoint{{Address: strings.ToLower(svc.Spec.ExternalName), Ready: true}}
		return s
	}
	s.Selector = svc.Spec.Selector
	s.Ignored = ignored(svc, from)
	s.Endpoints = endpoints(svc, from, in)
	for i := range s.Ports {
		s.Ports[i].Target = target(s.Ports[i], s.Endpoints)
	}
	return s
}

// target is the number behind the name of a port: the least that an endpoint has for it.
func target(p registry.Port, endpoints []registry.Endpoint) int {
	if p.TargetName == "" {
		return p.Target
	}
	for _, e := range endpoints {
		if n, ok := e.Ports[p.Name]; ok && (p.Target == 0 || n < p.Target) {
			p.Target = n
		}
	}
	return p.Target
}

// port is a port of a Service. Its number at endpoints is for those that no slice tells.
func port(p corev1.ServicePort) registry.Port {
	spoken, raw := protocol(p)
	return registry.Port{
		Name: p.Name, Number: int(p.Port), Protocol: spoken, Raw: raw, Target: p.TargetPort.IntValue(), TargetName: nameOf(p.TargetPort),
	}
}

func nameOf(target intstr.IntOrString) string {
	if target.Type == intstr.String {
		return target.StrVal
	}
	return ""
}

// ignored are the fields of a Service that proxies do not honour.
func ignored(svc *corev1.Service, from []*discoveryv1.EndpointSlice) []registry.Ignored {
	var out []registry.Ignored
	if svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal {
		out = append(out, registry.Ignored{Field: "spec.internalTrafficPolicy", What: "internalTrafficPolicy Local"})
	}
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		out = append(out, registry.Ignored{Field: "spec.sessionAffinity", What: "sessionAffinity ClientIP (a DestinationRule has consistentHash)"})
	}
	if svc.Spec.TrafficDistribution != nil {
		out = append(out, registry.Ignored{Field: "spec.trafficDistribution", What: "trafficDistribution (a DestinationRule has localityLbSetting)"})
	}
	if slices.ContainsFunc(from, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == discoveryv1.AddressTypeFQDN }) {
		out = append(out, registry.Ignored{Field: "spec", What: "an EndpointSlice of address type FQDN"})
	}
	return out
}

// protocol is what is spoken on a port, and whether the port says that it is TCP.
func protocol(p corev1.ServicePort) (spoken registry.Protocol, raw bool) {
	if p.AppProtocol != nil {
		name := strings.TrimPrefix(strings.ToLower(*p.AppProtocol), "kubernetes.io/")
		return appProtocol(name), registry.Raw(name)
	}
	prefix, _, _ := strings.Cut(strings.ToLower(p.Name), "-")
	if strings.HasPrefix(strings.ToLower(p.Name), "grpc-web") {
		prefix = "grpc-web"
	}
	return registry.ParseProtocol(prefix), registry.Raw(prefix)
}

// appProtocol reads the names that Kubernetes gives protocols, and those of ports.
func appProtocol(name string) registry.Protocol {
	switch name {
	case "h2c":
		return registry.HTTP2
	case "ws":
		return registry.HTTP
	case "wss":
		return registry.TLS
	default:
		return registry.ParseProtocol(name)
	}
}
