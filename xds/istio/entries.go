package istio

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

// readServiceEntries makes services of ServiceEntries and the WorkloadEntries they select.
func (x *index) readServiceEntries(entries []serviceEntry, workloads []workloadEntry) registry.Snapshot {
	var out registry.Snapshot
	for _, se := range entries {
		resolution, ok := x.resolution(se)
		if !ok {
			continue
		}
		endpoints := x.entryEndpoints(se, workloads, resolution)
		for i, host := range se.Spec.GetHosts() {
			s := registry.Service{
				Host: ResolveHost(host, se.Namespace, x.in.suffix()), Namespace: se.Namespace, Resolution: resolution,
				External: se.Spec.GetLocation() == networking.ServiceEntry_MESH_EXTERNAL, ExportTo: se.Spec.GetExportTo(), Names: se.Spec.GetSubjectAltNames(),
				VIPs: se.Spec.GetAddresses(), Ports: entryPorts(se), Endpoints: endpoints,
				Origin: registry.Origin{Kind: se.Kind, Namespace: se.Namespace, Name: se.Name, UID: se.UID, Created: se.Created},
			}
			if resolution != registry.Static && len(endpoints) == 0 {
				if strings.Contains(s.Host, "*") {
					x.found.fail(se.Meta, "S002", fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("%s cannot be looked up in DNS", s.Host),
						"give endpoints, or a host without a wildcard")
					continue
				}
				s.Endpoints = []registry.Endpoint{{Address: s.Host, Ready: true}}
			}
			out.Services = append(out.Services, s)
		}
	}
	return out
}

func (x *index) resolution(se serviceEntry) (registry.Resolution, bool) {
	switch r := se.Spec.GetResolution(); r {
	case networking.ServiceEntry_STATIC:
		return registry.Static, true
	case networking.ServiceEntry_DNS:
		return registry.DNS, true
	case networking.ServiceEntry_DNS_ROUND_ROBIN:
		return registry.DNSFirst, true
	default:
		x.found.selection(se.Meta, "spec.resolution", "resolution "+r.String())
		return 0, false
	}
}

func entryPorts(se serviceEntry) []registry.Port {
	var out []registry.Port
	for _, p := range se.Spec.GetPorts() {
		out = append(out, registry.Port{Name: p.GetName(), Number: int(p.GetNumber()), Protocol: registry.ParseProtocol(p.GetProtocol())})
	}
	slices.SortFunc(out, func(a, b registry.Port) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

func (x *index) entryEndpoints(se serviceEntry, workloads []workloadEntry, r registry.Resolution) []registry.Endpoint {
	var out []registry.Endpoint
	seen := map[string]bool{}
	add := func(m Meta, field string, w *networking.WorkloadEntry, labels map[string]string) {
		e := entryEndpoint(se, w)
		e.Labels = labels
		key := fmt.Sprint(e.Address, e.Ports)
		if _, err := netip.ParseAddr(e.Address); e.Address == "" || seen[key] || (r == registry.Static && err != nil) {
			x.found.fail(m, "S052", field, fmt.Sprintf("address %q is not usable with resolution %s, or stands twice", w.GetAddress(), se.Spec.GetResolution()),
				"give each endpoint an IP address of its own, or use resolution DNS")
			return
		}
		seen[key] = true
		out = append(out, e)
	}
	for i, w := range se.Spec.GetEndpoints() {
		add(se.Meta, fmt.Sprintf("spec.endpoints[%d].address", i), w, w.GetLabels())
	}
	if selector := se.Spec.GetWorkloadSelector().GetLabels(); len(selector) > 0 {
		for _, w := range workloads {
			if w.Namespace == se.Namespace && contains(labelsOf(w), selector) {
				add(w.Meta, "spec.address", w.Spec, labelsOf(w))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b registry.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	return out
}

// labelsOf are the labels of the entry's spec; an entry without any has those of its metadata.
func labelsOf(w workloadEntry) map[string]string {
	if len(w.Spec.GetLabels()) > 0 {
		return w.Spec.GetLabels()
	}
	return w.Labels
}

func entryEndpoint(se serviceEntry, w *networking.WorkloadEntry) registry.Endpoint {
	e := registry.Endpoint{
		Address: strings.ToLower(w.GetAddress()), Weight: w.GetWeight(), Ready: true, Ports: map[string]int{},
	}
	parts := strings.SplitN(w.GetLocality()+"//", "/", 4)
	e.Locality = registry.Locality{Region: parts[0], Zone: parts[1], SubZone: parts[2]}
	for _, p := range se.Spec.GetPorts() {
		n, ok := w.GetPorts()[p.GetName()]
		switch {
		case ok:
		case p.GetTargetPort() != 0:
			n = p.GetTargetPort()
		default:
			n = p.GetNumber()
		}
		e.Ports[p.GetName()] = int(n)
	}
	return e
}

// contains reports whether labels hold everything that selector asks for.
func contains(labels, selector map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
