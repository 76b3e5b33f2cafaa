package istio

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

// maxWeight bounds the weight of an endpoint, so that proxies can add them up.
const maxWeight = 65535

// workloads are what selectors choose from, by namespace.
type workloads struct {
	entries map[string][]workloadEntry
	pods    map[string][]registry.Workload
}

func newWorkloads(entries []workloadEntry, pods []registry.Workload) workloads {
	out := workloads{entries: map[string][]workloadEntry{}, pods: map[string][]registry.Workload{}}
	for _, e := range entries {
		out.entries[e.Namespace] = append(out.entries[e.Namespace], e)
	}
	for _, p := range pods {
		out.pods[p.Namespace] = append(out.pods[p.Namespace], p)
	}
	for _, list := range out.pods {
		slices.SortFunc(list, func(a, b registry.Workload) int { return cmp.Compare(a.Name, b.Name) })
	}
	return out
}

// labelsOf are the labels of an entry: those of its spec, and those of its metadata that the spec does not have.
func labelsOf(w workloadEntry) map[string]string {
	if len(w.Labels) == 0 {
		return w.Spec.GetLabels()
	}
	out := maps.Clone(w.Labels)
	maps.Copy(out, w.Spec.GetLabels())
	return out
}

// endpointReader makes the endpoints of one service, each address and port once.
type endpointReader struct {
	found      *findings
	resolution registry.Resolution
	ports      []registry.Port
	seen       map[string]bool
	out        []registry.Endpoint
}

func (x *index) reader(r registry.Resolution, ports []registry.Port) *endpointReader {
	return &endpointReader{found: x.found, resolution: r, ports: ports, seen: map[string]bool{}}
}

// sorted are all that were read.
func (r *endpointReader) sorted() []registry.Endpoint {
	slices.SortStableFunc(r.out, func(a, b registry.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	return r.out
}

func (x *index) entryEndpoints(se serviceEntry, backing workloads, resolution registry.Resolution) []registry.Endpoint {
	if resolution == registry.Original {
		return nil // resolution has said so
	}
	var ports []registry.Port
	for _, p := range se.Spec.GetPorts() {
		ports = append(ports, registry.Port{Name: p.GetName(), Number: int(p.GetNumber()), Target: int(p.GetTargetPort())})
	}
	r := x.reader(resolution, ports)
	for i, w := range se.Spec.GetEndpoints() {
		at := fmt.Sprintf("spec.endpoints[%d]", i)
		if i > 0 && resolution == registry.DNSFirst {
			x.found.fail(se.Meta, "S052", at, "with resolution DNS_ROUND_ROBIN there is one endpoint", "remove the others, or use resolution DNS; until then this one is left out")
			continue
		}
		for _, name := range sortedKeys(w.GetPorts()) {
			if !slices.ContainsFunc(ports, func(p registry.Port) bool { return p.Name == name }) {
				x.found.fail(se.Meta, "S002", fmt.Sprintf("%s.ports[%q]", at, name), fmt.Sprintf("the entry has no port %q", name), "correct the name; until then it has no effect")
			}
		}
		r.add(se.Meta, at, w, w.GetLabels())
	}
	selector := se.Spec.GetWorkloadSelector()
	switch {
	case selector == nil:
		if len(se.Spec.GetEndpoints()) == 0 && resolution == registry.Static {
			x.found.fail(se.Meta, "S002", "spec.endpoints", "resolution STATIC needs endpoints or a workloadSelector", "give one of them; until then requests are answered 503")
		}
	case len(se.Spec.GetEndpoints()) > 0:
		x.found.fail(se.Meta, "S002", "spec.workloadSelector", "workloadSelector stands beside endpoints", "keep one of them; until then the endpoints hold")
	case len(selector.GetLabels()) == 0:
		x.found.fail(se.Meta, "S002", "spec.workloadSelector.labels", "a selector without labels selects nothing", "give labels")
	default:
		r.selected(backing, se.Namespace, selector.GetLabels())
	}
	return r.sorted()
}

// selected adds the WorkloadEntries and pods of a namespace that have the labels.
func (r *endpointReader) selected(backing workloads, namespace string, selector map[string]string) {
	for _, w := range backing.entries[namespace] {
		if labels := labelsOf(w); contains(labels, selector) {
			r.add(w.Meta, "spec", w.Spec, labels)
		}
	}
	for _, p := range backing.pods[namespace] {
		if !contains(p.Endpoint.Labels, selector) {
			continue
		}
		e := p.Endpoint
		e.Ports = map[string]int{}
		for _, port := range r.ports {
			e.Ports[port.Name] = cmp.Or(port.Target, port.Number)
		}
		r.keep(e)
	}
}

// add makes an endpoint of a WorkloadEntry, or of what stands in its place.
func (r *endpointReader) add(m Meta, field string, w *networking.WorkloadEntry, labels map[string]string) {
	e := registry.Endpoint{
		Address: strings.ToLower(w.GetAddress()), Weight: w.GetWeight(), Ready: true, Ports: map[string]int{}, Labels: labels,
		Locality: parseLocality(w.GetLocality()), Network: w.GetNetwork(),
	}
	path, socket := strings.CutPrefix(w.GetAddress(), "unix://")
	if socket {
		e.Address = path
	}
	if !r.usable(e.Address, socket) {
		r.found.fail(m, "S052", field+".address", fmt.Sprintf("address %q is not usable with resolution %s", w.GetAddress(), r.resolutionName()),
			"give an IP address, or a name with resolution DNS; until then this endpoint is left out")
		return
	}
	if w.GetWeight() > maxWeight {
		r.found.fail(m, "S002", field+".weight", fmt.Sprintf("the weight %d is above %d", w.GetWeight(), maxWeight), fmt.Sprintf("give less; until then it is %d", maxWeight))
		e.Weight = maxWeight
	}
	r.portsOf(m, field, w, e.Ports)
	if len(r.ports) > 0 && len(e.Ports) == 0 {
		r.found.warn(m, "S013", field+".ports", fmt.Sprintf("a Service that selects it asks for its port %q, which it does not name", r.ports[0].TargetName),
			"add the port, or give the Service a targetPort with a number")
		return
	}
	r.reportEffectless(m, field, w)
	if !r.keep(e) {
		r.found.fail(m, "S052", field+".address", fmt.Sprintf("address %q stands twice", w.GetAddress()), "remove one of the two; until then the first counts")
	}
}

// keep takes an endpoint; false: its address and ports were taken before.
func (r *endpointReader) keep(e registry.Endpoint) bool {
	key := fmt.Sprint(e.Address, e.Ports)
	if r.seen[key] {
		return false
	}
	r.seen[key] = true
	r.out = append(r.out, e)
	return true
}

func (r *endpointReader) resolutionName() string {
	switch r.resolution {
	case registry.DNS:
		return "DNS"
	case registry.DNSFirst:
		return "DNS_ROUND_ROBIN"
	default:
		return "STATIC"
	}
}

// usable reports whether an endpoint can be reached at an address: a name needs DNS, a socket must not have it.
func (r *endpointReader) usable(address string, socket bool) bool {
	if socket {
		rooted := strings.HasPrefix(address, "/") && !strings.HasSuffix(address, "/") || strings.HasPrefix(address, "@") && len(address) > 1
		return rooted && len(address) <= maxSocketPath && r.resolution == registry.Static
	}
	if _, err := netip.ParseAddr(address); err == nil {
		return true
	}
	return r.resolution != registry.Static && !strings.Contains(address, "*") && pattern(address)
}

// maxSocketPath is the longest path that the kernel takes.
const maxSocketPath = 107

// portsOf says where each service port is served: as the entry says by the port's name, or by the name that workloads know it
// by, else on the target. A service port whose target has a name that the entry does not know is not served.
func (r *endpointReader) portsOf(m Meta, field string, w *networking.WorkloadEntry, into map[string]int) {
	for _, p := range r.ports {
		n, ok := w.GetPorts()[p.Name]
		if !ok && p.TargetName != "" {
			if n, ok = w.GetPorts()[p.TargetName]; !ok {
				continue
			}
		}
		if ok && (n == 0 || n > maxPort) {
			r.found.fail(m, "S002", fmt.Sprintf("%s.ports[%q]", field, p.Name), fmt.Sprintf("%d is no port", n), "give a number from 1 to 65535; until then it has no effect")
			ok = false
		}
		if !ok {
			n = uint32(cmp.Or(p.Target, p.Number))
		}
		into[p.Name] = int(n)
	}
}

func (r *endpointReader) reportEffectless(m Meta, field string, w *networking.WorkloadEntry) {
	if w.GetNetwork() != "" {
		r.found.info(m, "S080", field+".network", "the endpoint is dialled directly, whatever its network; only failoverPriority looks at it", "make its address reachable from all proxies")
	}
	if w.GetServiceAccount() != "" {
		r.found.info(m, "S080", field+".serviceAccount", "serviceAccount has no effect, since there is no automatic mutual TLS", "remove it, or leave it for other readers of this object")
	}
}

// withEntries adds to a Service of Kubernetes the WorkloadEntries of its namespace that its selector chooses: machines that
// serve beside pods. What is handed in is not changed.
func (x *index) withEntries(s registry.Service) registry.Service {
	if len(s.Selector) == 0 || s.Resolution != registry.Static || len(x.backing.entries[s.Namespace]) == 0 {
		return s
	}
	r := x.reader(registry.Static, s.Ports)
	r.selected(workloads{entries: x.backing.entries}, s.Namespace, s.Selector)
	if len(r.out) > 0 {
		s.Endpoints = slices.Concat(s.Endpoints, r.out)
		slices.SortStableFunc(s.Endpoints, func(a, b registry.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	}
	return s
}

// withAllEntries is withEntries of all services.
func (x *index) withAllEntries(in registry.Snapshot) registry.Snapshot {
	out := in
	out.Services = make([]registry.Service, 0, len(in.Services))
	for _, s := range in.Services {
		out.Services = append(out.Services, x.withEntries(s))
	}
	return out
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
