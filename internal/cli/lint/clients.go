package lint

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/istio"
)

// clients are the namespaces whose clients are looked at: of those in which rules hold for clients, every one that sees
// something else than the others, and the first of the rest. Where nothing says that clients there are any, all
// namespaces count.
func clients(in istio.Input) []string {
	ruled := map[string]bool{}
	all := map[string]bool{}
	gateways := false
	for _, obj := range in.Objects {
		all[obj.Namespace] = true
		switch spec := obj.Spec.(type) {
		case *networking.Gateway:
			gateways = true
		case *networking.VirtualService:
			if len(spec.GetGateways()) == 0 || slices.Contains(spec.GetGateways(), "mesh") {
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
	return slices.DeleteFunc(sorted(ruled), func(namespace string) bool {
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
	if in.DomainSuffix == "" {
		return "cluster.local"
	}
	return in.DomainSuffix
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
