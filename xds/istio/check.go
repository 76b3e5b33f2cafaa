package istio

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Check gives what is wrong with one object on its own, whatever else there is in the mesh: what must not be applied
// from Git, because the part of the object that owns it would have no effect. An object of another kind has no Problem.
func Check(from map[string]any) []problem.Problem {
	apiVersion, _ := from["apiVersion"].(string)
	kind, _ := from["kind"].(string)
	if !Handles(apiVersion, kind) {
		return nil
	}
	o := Decode(from)
	found := &findings{}
	found.add(o.Problems...)
	if o.Spec != nil {
		found.add(checkAlone(o)...)
	}
	var out []problem.Problem
	for _, p := range found.sorted() {
		if p.Severity == problem.Error && p.Object == o.ref() && onItsOwn(p.Code) {
			out = append(out, p)
		}
	}
	return out
}

// onItsOwn reports whether a code is about an object itself: not about what it names, nor about what is not supported here.
func onItsOwn(code string) bool {
	return slices.Contains([]string{"S001", "S002", "S025", "S026", "S027", "S028", "S030", "S031", "S032", "S035", "S041", "S052"}, code)
}

// checkAlone compiles an object in a mesh where there is nothing else.
func checkAlone(o Object) []problem.Problem {
	class := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: o.Namespace}
	in := Input{Objects: []Object{o}}
	switch spec := o.Spec.(type) {
	case *networking.Gateway:
		class.Kind, class.Labels = ir.KindGateway, FormatLabels(spec.GetSelector())
	case *networking.DestinationRule:
		class.Labels = FormatLabels(spec.GetWorkloadSelector().GetMatchLabels())
		host := strings.Replace(ResolveHost(spec.GetHost(), o.Namespace, in.suffix()), "*", "alone", 1)
		in.Objects = []Object{{Meta: o.Meta, Spec: exported(spec)}}
		in.Registry.Services = []registry.Service{{Host: host, Namespace: o.Namespace, Ports: portsOf(spec), Origin: registry.Origin{Kind: "Service", Namespace: o.Namespace, Name: host}}}
	case *networking.WorkloadEntry:
		marked, entry := selecting(o.Namespace, spec)
		in.Objects = []Object{{Meta: o.Meta, Spec: marked}, entry}
	case *networking.Sidecar:
		class.Labels = FormatLabels(spec.GetWorkloadSelector().GetLabels())
	}
	p := newPlanner(class)
	p.plan(newIndex(in, nil))
	found := &findings{}
	found.add(p.all...)
	if spec, ok := o.Spec.(*networking.VirtualService); ok {
		t := &translator{mesh: p, class: class, labels: p.labels, found: found, unit: &unit{}}
		t.checkRules(typed[*networking.VirtualService]{o.Meta, spec})
	}
	return found.list
}

// exported is a rule as its own namespace sees it.
func exported(dr *networking.DestinationRule) *networking.DestinationRule {
	out := proto.CloneOf(dr)
	out.ExportTo = nil
	return out
}

// selecting is a WorkloadEntry with a label, and a ServiceEntry that selects it by that.
func selecting(namespace string, w *networking.WorkloadEntry) (*networking.WorkloadEntry, Object) {
	marked := proto.CloneOf(w)
	marked.Labels = map[string]string{"alone": "yes"}
	entry := &networking.ServiceEntry{
		Hosts: []string{"alone.invalid"}, Resolution: networking.ServiceEntry_DNS, WorkloadSelector: &networking.WorkloadSelector{Labels: marked.GetLabels()},
	}
	if strings.HasPrefix(w.GetAddress(), "unix:") {
		entry.Resolution = networking.ServiceEntry_STATIC
	}
	for i, name := range sortedKeys(w.GetPorts()) {
		entry.Ports = append(entry.Ports, &networking.ServicePort{Number: uint32(i + 1), Name: name, Protocol: "HTTP"})
	}
	return marked, Object{Meta: Meta{Kind: kindServiceEntry, Namespace: namespace, Name: "alone"}, Spec: entry}
}

// portsOf are ports under which each entry for a port counts once, and the rest of the policy, too.
func portsOf(dr *networking.DestinationRule) []registry.Port {
	numbers := map[int]bool{1: true}
	for _, tp := range append([]*networking.TrafficPolicy{dr.GetTrafficPolicy()}, policies(dr.GetSubsets())...) {
		for _, p := range tp.GetPortLevelSettings() {
			if n := p.GetPort().GetNumber(); n > 0 && n <= maxPort {
				numbers[int(n)] = true
			}
		}
	}
	var out []registry.Port
	for n := range numbers {
		out = append(out, registry.Port{Name: fmt.Sprintf("http-%d", n), Number: n, Protocol: registry.HTTP})
	}
	slices.SortFunc(out, func(a, b registry.Port) int { return a.Number - b.Number })
	return out
}

func policies(subsets []*networking.Subset) []*networking.TrafficPolicy {
	var out []*networking.TrafficPolicy
	for _, s := range subsets {
		out = append(out, s.GetTrafficPolicy())
	}
	return out
}

// checkRules reads every part of every http rule, wherever it applies.
func (t *translator) checkRules(vs typed[*networking.VirtualService]) {
	for _, one := range t.mesh.ownRules(vs) {
		r := rule{httpRule: one, root: vs.Meta}
		if one.spec.GetDelegate() != nil {
			continue
		}
		for j, m := range one.spec.GetMatch() {
			t.match(one.from, fmt.Sprintf("%s.match[%d]", one.field, j), m)
		}
		if t.checkRule(r) {
			t.action(r, false)
		}
	}
	alone := &virtual{virtualService: virtualService{typed: vs}}
	for _, r := range slices.Concat(tcpRules(alone), tlsRules(alone)) {
		t.checkConnections(r)
		for _, m := range r.entries {
			t.compared(r, m, site{})
		}
	}
}
