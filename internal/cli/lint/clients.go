package lint

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// clients are the clients that are looked at. Of the namespaces in which rules hold for clients it is every one that sees
// something else than the others, and the first of the rest; where nothing says that there are clients, all namespaces
// count. Workloads that some object selects by their labels are looked at besides.
func clients(in istio.Input) []ir.ProxyClass {
	namespaces := clientNamespaces(in)
	var out []ir.ProxyClass
	for _, n := range namespaces {
		out = append(out, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: n})
	}
	for _, obj := range in.Objects {
		for _, labels := range selected(obj) {
			class := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: obj.Namespace, Labels: istio.FormatLabels(labels)}
			if !slices.Contains(out, class) {
				out = append(out, class)
			}
		}
	}
	return out
}

// selected are the labels by which an object chooses clients.
func selected(obj istio.Object) []map[string]string {
	var out []map[string]string
	add := func(labels map[string]string) {
		if len(labels) > 0 {
			out = append(out, labels)
		}
	}
	switch spec := obj.Spec.(type) {
	case *networking.Sidecar:
		add(spec.GetWorkloadSelector().GetLabels())
	case *networking.DestinationRule:
		add(spec.GetWorkloadSelector().GetMatchLabels())
	case *networking.VirtualService:
		if !inMesh(spec) {
			return nil
		}
		for _, r := range spec.GetHttp() {
			for _, m := range r.GetMatch() {
				add(m.GetSourceLabels())
			}
		}
		for _, r := range spec.GetTcp() {
			for _, m := range r.GetMatch() {
				add(m.GetSourceLabels())
			}
		}
		for _, r := range spec.GetTls() {
			for _, m := range r.GetMatch() {
				add(m.GetSourceLabels())
			}
		}
	}
	return out
}

// inMesh reports whether the rules hold for clients, and not at gateways only.
func inMesh(vs *networking.VirtualService) bool {
	return len(vs.GetGateways()) == 0 || slices.Contains(vs.GetGateways(), "mesh")
}

func clientNamespaces(in istio.Input) []string {
	ruled := map[string]bool{}
	all := map[string]bool{}
	gateways := false
	for _, obj := range in.Objects {
		all[obj.Namespace] = true
		switch spec := obj.Spec.(type) {
		case *networking.Gateway:
			gateways = true
		case *networking.VirtualService:
			if inMesh(spec) {
				ruled[obj.Namespace] = true
			}
		case *networking.Sidecar:
			ruled[obj.Namespace] = true
		}
	}
	if len(ruled) == 0 && !gateways {
		ruled = all
		for _, s := range in.Registry.Services {
			ruled[s.Namespace] = true
		}
		for _, s := range in.Splits {
			namespace, _, _ := strings.Cut(s.Key, "/")
			ruled[namespace] = true
		}
	}
	v := views{in: in, own: map[string]bool{}, owners: map[string][]string{}}
	v.read()
	plain := false
	return slices.DeleteFunc(slices.Sorted(maps.Keys(ruled)), func(namespace string) bool {
		drop := plain && !v.own[namespace]
		plain = plain || !v.own[namespace]
		return drop
	})
}

// views finds the namespaces whose clients see a mesh of their own.
type views struct {
	in     istio.Input
	own    map[string]bool
	owners map[string][]string // namespaces by the host they provide
}

func (v *views) read() {
	for _, s := range v.in.Registry.Services {
		v.exported(s.Namespace, s.ExportTo)
		v.owners[s.Host] = append(v.owners[s.Host], s.Namespace)
	}
	var short []string
	for _, obj := range v.in.Objects {
		switch spec := obj.Spec.(type) {
		case *networking.Sidecar:
			v.own[obj.Namespace] = true
		case *networking.VirtualService:
			v.exported(obj.Namespace, spec.GetExportTo())
		case *networking.DestinationRule:
			v.exported(obj.Namespace, spec.GetExportTo())
			host := istio.ResolveHost(spec.GetHost(), obj.Namespace, suffixOf(v.in))
			if !strings.HasSuffix(host, "."+obj.Namespace+".svc."+suffixOf(v.in)) {
				v.own[obj.Namespace] = true // clients ask their own namespace first
			}
		case *networking.ServiceEntry:
			v.exported(obj.Namespace, spec.GetExportTo())
			for _, h := range spec.GetHosts() {
				v.owners[h] = append(v.owners[h], obj.Namespace)
				if !strings.Contains(h, ".") {
					short = append(short, h)
				}
			}
		}
	}
	for host, namespaces := range v.owners {
		name, _, _ := strings.Cut(host, ".")
		if len(namespaces) > 1 || slices.Contains(short, name) {
			for _, n := range namespaces {
				v.own[n] = true
			}
		}
	}
}

// exported notes who sees what not everybody sees.
func (v *views) exported(from string, to []string) {
	if len(to) == 0 || slices.Contains(to, "*") {
		return
	}
	v.own[from] = true
	for _, namespace := range to {
		v.own[namespace] = true
	}
}

func suffixOf(in istio.Input) string {
	return cmp.Or(in.DomainSuffix, "cluster.local")
}
