package kube

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/sluice-dev/sluice/xds/registry"
)

// The labels that say where a node is, and the one by which a pod says it itself.
const (
	labelRegion      = "topology.kubernetes.io/region"
	labelZone        = "topology.kubernetes.io/zone"
	labelSubZone     = "topology.istio.io/subzone"
	labelPodLocality = "istio-locality"
)

// endpoints joins the slices of a service. An address that stands in several slices (it moves between them) counts
// once, and as ready when any of them says so. Of a service with two families of addresses the first one counts, since
// the same pods stand in both.
func endpoints(svc *corev1.Service, from []*discoveryv1.EndpointSlice, in Input) []registry.Endpoint {
	byFamily := map[discoveryv1.AddressType]map[string]registry.Endpoint{
		discoveryv1.AddressTypeIPv4: {}, discoveryv1.AddressTypeIPv6: {},
	}
	for _, slice := range from {
		byAddress := byFamily[slice.AddressType]
		if byAddress == nil {
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
	first, second := families(svc)
	chosen := byFamily[first]
	if len(chosen) == 0 {
		chosen = byFamily[second]
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b registry.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
}

// families are the kinds of addresses of a service, the preferred one first.
func families(svc *corev1.Service) (first, second discoveryv1.AddressType) {
	six := false
	switch ip, err := netip.ParseAddr(svc.Spec.ClusterIP); {
	case len(svc.Spec.IPFamilies) > 0:
		six = svc.Spec.IPFamilies[0] == corev1.IPv6Protocol
	case err == nil:
		six = ip.Is6()
	}
	if six {
		return discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
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
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && in.PodLabels != nil {
		out.Labels = in.PodLabels(cmp.Or(e.TargetRef.Namespace, slice.Namespace), e.TargetRef.Name)
	}
	if e.NodeName != nil {
		out.Node = *e.NodeName
	}
	zone := ""
	if e.Zone != nil {
		zone = *e.Zone
	}
	out.Locality = locality(zone, out, in)
	return out
}

// PlaceLabels are those of a node's labels that say where it is; nil: none does.
func PlaceLabels(labels map[string]string) map[string]string {
	var out map[string]string
	for _, key := range []string{labelRegion, labelZone, labelSubZone} {
		if v, ok := labels[key]; ok {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = v
		}
	}
	return out
}

// locality is where an endpoint runs: as its pod says, else its slice, else its node.
func locality(zone string, e registry.Endpoint, in Input) registry.Locality {
	if own := e.Labels[labelPodLocality]; own != "" {
		parts := strings.SplitN(own+"..", ".", 4)
		return registry.Locality{Region: parts[0], Zone: parts[1], SubZone: parts[2]}
	}
	var node map[string]string
	if in.NodeLabels != nil && e.Node != "" {
		node = in.NodeLabels(e.Node)
	}
	return registry.Locality{Region: node[labelRegion], Zone: cmp.Or(zone, node[labelZone]), SubZone: node[labelSubZone]}
}

func joined(a, b registry.Endpoint) registry.Endpoint {
	if a.Address == "" {
		return b
	}
	b.Ready = a.Ready || b.Ready
	if len(b.Labels) == 0 {
		b.Labels = a.Labels
	}
	b.Node = max(a.Node, b.Node)
	b.Locality = registry.Locality{
		Region: max(a.Locality.Region, b.Locality.Region), Zone: max(a.Locality.Zone, b.Locality.Zone), SubZone: max(a.Locality.SubZone, b.Locality.SubZone),
	}
	for name, n := range a.Ports {
		if have, ok := b.Ports[name]; !ok || n < have {
			b.Ports[name] = n
		}
	}
	return b
}

// workloads are the pods that have an address and have not ended.
func workloads(in Input) []registry.Workload {
	var out []registry.Workload
	for _, pod := range in.Pods {
		if pod.Status.PodIP == "" || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		e := registry.Endpoint{Address: pod.Status.PodIP, Ports: map[string]int{}, Labels: pod.Labels, Node: pod.Spec.NodeName, Ready: ready(pod)}
		for _, c := range pod.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name != "" {
					e.Ports[p.Name] = int(p.ContainerPort)
				}
			}
		}
		e.Locality = locality("", e, in)
		out = append(out, registry.Workload{Namespace: pod.Namespace, Name: pod.Name, Endpoint: e})
	}
	slices.SortFunc(out, func(a, b registry.Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// ready reports whether a pod is ready. One without any condition is not of a cluster, and taken as written.
func ready(pod *corev1.Pod) bool {
	return len(pod.Status.Conditions) == 0 || slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
