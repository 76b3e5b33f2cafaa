package istio

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/xds/registry"
)

// client is who asks what DestinationRules say.
type client struct {
	namespace string
	labels    map[string]string
}

// lookupStep is a namespace where DestinationRules are looked for, and which of them count there.
type lookupStep struct {
	namespace string
	counts    func(*destinationRule) bool
}

// policyOf looks for DestinationRules in the client's namespace, then in the service's, then in the root namespace.
// Within a step the most specific host wins; several rules for that host in that namespace are merged in order.
func (x *index) policyOf(found *findings, c client, s registry.Service) *policy {
	for _, step := range x.lookupSteps(c, s) {
		in := x.byHost[step.namespace]
		for _, host := range append([]string{s.Host}, in.wild...) {
			if !covers(host, s.Host) {
				continue
			}
			if drs := forWorkload(in.exact[host], c, step.counts); len(drs) > 0 {
				return mergeRules(found, drs)
			}
		}
	}
	return &policy{}
}

// lookupSteps are where a client looks, in order. The rules of the root namespace are defaults, for its own proxies too: what
// a service's namespace says comes before them, unless they are for the root namespace alone.
func (x *index) lookupSteps(c client, s registry.Service) []lookupStep {
	root := x.in.rootNamespace()
	exported := func(dr *destinationRule) bool {
		return registry.Exported(dr.Spec.GetExportTo(), dr.Namespace, c.namespace) && (dr.Spec.GetWorkloadSelector() == nil || dr.Namespace == c.namespace)
	}
	first := lookupStep{c.namespace, exported}
	if c.namespace == root {
		first.counts = func(dr *destinationRule) bool { return exported(dr) && private(dr) }
	}
	return []lookupStep{first, {s.Namespace, exported}, {root, exported}}
}

// private reports whether a rule is for clients of its own namespace only.
func private(dr *destinationRule) bool {
	to := dr.Spec.GetExportTo()
	return dr.Spec.GetWorkloadSelector() != nil || (len(to) == 1 && (to[0] == "." || to[0] == dr.Namespace))
}

// forWorkload are the rules that count for a client: of those with a selector that it meets the first and those that
// select alike, else those for all workloads.
func forWorkload(drs []*destinationRule, c client, counts func(*destinationRule) bool) []*destinationRule {
	var all []*destinationRule
	for _, dr := range drs {
		if selector := dr.Spec.GetWorkloadSelector(); counts(dr) && selector != nil && contains(c.labels, selector.GetMatchLabels()) {
			return slices.DeleteFunc(slices.Clone(drs), func(other *destinationRule) bool {
				return !counts(other) || other.Spec.GetWorkloadSelector() == nil ||
					!maps.Equal(other.Spec.GetWorkloadSelector().GetMatchLabels(), selector.GetMatchLabels())
			})
		}
		if counts(dr) && dr.Spec.GetWorkloadSelector() == nil {
			all = append(all, dr)
		}
	}
	return all
}

// mergeRules joins rules for one host in order: a subset is defined by the first that names it, the traffic policy for
// all of them is that of the first that has one.
func mergeRules(found *findings, drs []*destinationRule) *policy {
	p := &policy{rules: drs}
	for _, dr := range drs {
		p.origins = append(p.origins, dr.origin("spec"))
		for i, s := range dr.Spec.GetSubsets() {
			at := fmt.Sprintf("spec.subsets[%d]", i)
			if !label(s.GetName()) {
				found.fail(dr.Meta, "S002", at+".name", fmt.Sprintf("%q is no name of a subset", s.GetName()),
					"use letters, digits, - and _, at most 63 of them; until then the subset is left out")
				continue
			}
			if first, ok := p.subset(s.GetName()); ok {
				found.fail(dr.Meta, "S041", at, fmt.Sprintf("subset %q of %s is already defined by %s", s.GetName(), dr.Spec.GetHost(), first.at.ref()),
					"rename or remove one of them")
				found.byName(first.at, dr.Meta)
				continue
			}
			p.subsets = append(p.subsets, subset{s.GetName(), s.GetLabels(), s.GetTrafficPolicy(), dr.Meta, at})
		}
		switch {
		case dr.Spec.GetTrafficPolicy() == nil:
		case p.top == nil:
			p.top, p.topAt = dr.Spec.GetTrafficPolicy(), dr.Meta
		default:
			found.warn(dr.Meta, "S042", "spec.trafficPolicy", fmt.Sprintf("the trafficPolicy of %s for the same host is used instead", p.topAt.ref()),
				"keep the trafficPolicy in one DestinationRule")
			found.byName(p.topAt, dr.Meta)
		}
	}
	return p
}

// label reports whether text may stand in the name of a cluster.
func label(text string) bool {
	return text != "" && len(text) <= 63 && !slices.ContainsFunc([]byte(text), func(b byte) bool {
		return (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.'
	})
}
