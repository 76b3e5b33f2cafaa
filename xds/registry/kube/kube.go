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

	"github.com/sluice-dev/sluice/xds/registry"
)

// exportTo is the annotation that limits which namespaces see a Service.
const exportTo = "networking.istio.io/exportTo"

// Input is what a Snapshot is made of. The order of the slices does not matter; the objects are not changed.
type Input struct {
	Services     []*corev1.Service
	Slices       []*discoveryv1.EndpointSlice
	PodLabels    func(namespace, name string) map[string]string // nil: endpoints have no labels
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
		s.Ports = append(s.Ports, registry.Port{Name: p.Name, Number: int(p.Port), Protocol: protocol(p)})
	}
	slices.SortFunc(s.Ports, func(a, b registry.Port) int { return cmp.Compare(a.Number, b.Number) })
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		s.External, s.Resolution = true, registry.DNS
		s.Endpoints = []registry.Endpoint{{Address: strings.ToLower(svc.Spec.ExternalName), Ready: true}}
		return s
	}
	s.Endpoints = endpoints(svc, from, in)
	return s
}

// endpoints joins the slices of a service. An address that stands in several slices (it moves between them) counts
// once, and as ready when any of them says so.
func endpoints(svc *corev1.Service, from []*discoveryv1.EndpointSlice, in Input) []registry.Endpoint {
	byAddress := map[string]registry.Endpoint{}
	for _, slice := range from {
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Terminating != nil && *e.Conditions.Terminating && !svc.Spec.PublishNotReadyAddresses {
				continue
			}
			for _, address := range e.Addresses {
				one := endpoint(address, e, slice, in)
				one.Ready = one.Ready || svc.Spec.PublishNotReadyAddresses
				byAddress[address] = joined(byAddress[address], one)
			}
		}
	}
	out := make([]registry.Endpoint, 0, len(byAddress))
	for _, e := range byAddress {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b registry.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	return out
}

func endpoint(address string, e discoveryv1.Endpoint, slice *discoveryv1.EndpointSlice, in Input) registry.Endpoint {
	out := registry.Endpoint{Address: address, Ready: e.Conditions.Ready == nil || *e.Conditions.Ready, Ports: map[string]int{}}
	for _, p := range slice.Ports {
		if p.Port == nil {
			continue
		}
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		out.Ports[name] = int(*p.Port)
	}
	if e.Zone != nil {
		out.Locality.Zone = *e.Zone
	}
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && in.PodLabels != nil {
		out.Labels = in.PodLabels(cmp.Or(e.TargetRef.Namespace, slice.Namespace), e.TargetRef.Name)
	}
	return out
}

func joined(a, b registry.Endpoint) registry.Endpoint {
	if a.Address == "" {
		return b
	}
	b.Ready = a.Ready || b.Ready
	if len(b.Labels) == 0 {
		b.Labels = a.Labels
	}
	b.Locality.Zone = max(a.Locality.Zone, b.Locality.Zone)
	for name, n := range a.Ports {
		if have, ok := b.Ports[name]; !ok || n < have {
			b.Ports[name] = n
		}
	}
	return b
}

func protocol(p corev1.ServicePort) registry.Protocol {
	if p.AppProtocol != nil {
		return registry.ParseProtocol(strings.TrimPrefix(strings.ToLower(*p.AppProtocol), "kubernetes.io/"))
	}
	prefix, _, _ := strings.Cut(strings.ToLower(p.Name), "-")
	if strings.HasPrefix(strings.ToLower(p.Name), "grpc-web") {
		prefix = "grpc-web"
	}
	return registry.ParseProtocol(prefix)
}
