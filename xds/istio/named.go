package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// SecretName is a Secret that some object names.
type SecretName struct {
	Namespace string
	Name      string
}

// SecretNames are the Secrets that compiling for a class may look at, sorted: those that Gateways of the class name, and
// DestinationRules that it sees. No other Secret has to be read.
func SecretNames(in Input, class ir.ProxyClass) []SecretName {
	if class.Kind == ir.KindGRPC {
		return nil
	}
	out := map[SecretName]bool{}
	add := func(names ...string) {
		for _, n := range names {
			n = strings.TrimPrefix(n, secretPrefix)
			if n != "" {
				out[SecretName{class.Namespace, n}] = true
				out[SecretName{class.Namespace, strings.TrimSuffix(n, caSuffix) + caSuffix}] = true
			}
		}
	}
	labels := parseLabels(class.Labels)
	for _, o := range in.Objects {
		switch spec := o.Spec.(type) {
		case *networking.Gateway:
			if class.Kind != ir.KindGateway || !contains(labels, spec.GetSelector()) {
				continue
			}
			for _, s := range spec.GetServers() {
				add(s.GetTls().GetCredentialName(), s.GetTls().GetCaCertCredentialName())
				add(s.GetTls().GetCredentialNames()...)
			}
		case *networking.DestinationRule:
			selector := spec.GetWorkloadSelector()
			meant := selector != nil && o.Namespace == class.Namespace && contains(labels, selector.GetMatchLabels())
			if meant || selector == nil && class.Kind == ir.KindGateway && registry.Exported(spec.GetExportTo(), o.Namespace, class.Namespace) {
				for _, tp := range policiesOf(spec) {
					add(tp.GetTls().GetCredentialName())
				}
			}
		}
	}
	var list []SecretName
	for n := range out {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b SecretName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Unselected reports the Gateways that none of the classes meets. It is for those who know which proxies are connected.
func Unselected(in Input, classes []ir.ProxyClass) []problem.Problem {
	found := &findings{}
	for _, g := range pick[*networking.Gateway](in.Objects) {
		if !slices.ContainsFunc(classes, func(c ir.ProxyClass) bool {
			return c.Kind == ir.KindGateway && contains(parseLabels(c.Labels), g.Spec.GetSelector())
		}) {
			found.warn(g.Meta, "S034", "spec.selector", fmt.Sprintf("no gateway proxy with the labels %s is connected", FormatLabels(g.Spec.GetSelector())),
				"start such a proxy, or correct the selector")
		}
	}
	return found.sorted()
}
