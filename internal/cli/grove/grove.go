// Package grove finds what a Rollout's traffic hangs on, among the objects of its namespace: the routes that it divides, its
// versions with their shares, and their endpoints. `sluice tree` calls it with what it has read.
//
//	g := grove.Grove{Rollout: ro, Domain: "cluster.local", Routes: virtualServices, Rules: destinationRules}
//	nodes := append(g.RouteNodes(), g.Host())
package grove

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// maxEndpoints is how many endpoints of a version a tree shows.
const maxEndpoints = 20

// Grove is a Rollout with the objects of its namespace that traffic depends on.
type Grove struct {
	Rollout *v1alpha1.Rollout
	Domain  string                      // of the cluster's services
	Routes  []unstructured.Unstructured // VirtualServices
	Rules   []unstructured.Unstructured // DestinationRules
	Entries []unstructured.Unstructured // ServiceEntries
	Slices  []unstructured.Unstructured // EndpointSlices
	Pods    []unstructured.Unstructured
	Others  []unstructured.Unstructured // WorkloadEntries
}

// isHost reports whether a name, as an object of the namespace writes it, is the rollout's host.
func (g Grove) isHost(name string) bool {
	ns := g.Rollout.Namespace
	full := func(n string) string {
		switch {
		case strings.HasSuffix(n, ".svc."+g.Domain) || strings.Count(n, ".") > 1 && !strings.HasSuffix(n, ".svc"):
			return n
		case strings.HasSuffix(n, ".svc"):
			return n + "." + g.Domain
		case strings.Contains(n, "."):
			return n
		}
		return n + "." + ns + ".svc." + g.Domain
	}
	return full(name) == full(g.Rollout.Spec.Host)
}

// RouteNodes are the routes of VirtualServices that send to the host.
func (g Grove) RouteNodes() []view.TreeNode {
	out := []view.TreeNode{}
	for _, vs := range g.Routes {
		for _, protocol := range []string{"http", "tls", "tcp"} {
			rules, _, _ := unstructured.NestedSlice(vs.Object, "spec", protocol)
			for i, rule := range rules {
				one, ok := rule.(map[string]any)
				if !ok {
					continue
				}
				if subsets, takes := g.destinations(one); takes {
					name, _ := one["name"].(string)
					if name == "" {
						name = fmt.Sprintf("%s[%d]", protocol, i)
					}
					out = append(out, g.route(vs.GetName()+"/"+name, subsets))
				}
			}
		}
	}
	return out
}

// destinations are the subsets of the host that a rule names; the bare host is "".
func (g Grove) destinations(rule map[string]any) (subsets []string, takes bool) {
	list, _, _ := unstructured.NestedSlice(rule, "route")
	for _, item := range list {
		one, ok := item.(map[string]any)
		if !ok {
			continue
		}
		host, _, _ := unstructured.NestedString(one, "destination", "host")
		if subset, _, _ := unstructured.NestedString(one, "destination", "subset"); g.isHost(host) {
			subsets, takes = append(subsets, subset), true
		}
	}
	return subsets, takes
}

// route is a route with what becomes of its requests: those to the stable version and to the bare host are divided.
func (g Grove) route(name string, subsets []string) view.TreeNode {
	st := g.Rollout.Status
	node := view.Leaf(view.TreeRoute, name, "")
	if st == nil {
		return node
	}
	divided := slices.ContainsFunc(subsets, func(s string) bool { return s == "" || s == st.Stable.Name || slices.Contains(st.Managed, s) })
	if only := g.Rollout.Spec.Routes; len(only) > 0 && !slices.ContainsFunc(only, func(r string) bool { return strings.HasSuffix(name, "/"+r) }) {
		divided = false
	}
	if !divided {
		node.State = "left alone: to " + strings.Join(subsets, ", ")
		return node
	}
	for _, share := range g.shares() {
		weight := share.weight
		child := view.Leaf(view.TreeSubset, share.name, share.role)
		child.Weight = &weight
		node.Children = append(node.Children, child)
	}
	return node
}

// portion is a version with the part of the requests that the status asks for.
type portion struct {
	name   string
	role   string
	weight int32
}

func (g Grove) shares() []portion {
	st := g.Rollout.Status
	if st == nil || st.Stable.Name == "" {
		return nil
	}
	if st.Canary == nil {
		return []portion{{st.Stable.Name, "stable", 100}}
	}
	return []portion{{st.Stable.Name, "stable", 100 - st.Weight}, {st.Canary.Name, "canary", st.Weight}}
}

// Host is the host with its versions and their endpoints.
func (g Grove) Host() view.TreeNode {
	node := view.Leaf(view.TreeHost, g.Rollout.Spec.Host, "")
	shares := g.shares()
	for _, rule := range g.Rules {
		host, _, _ := unstructured.NestedString(rule.Object, "spec", "host")
		if !g.isHost(host) {
			continue
		}
		subsets, _, _ := unstructured.NestedSlice(rule.Object, "spec", "subsets")
		for _, item := range subsets {
			one, ok := item.(map[string]any)
			if !ok {
				continue
			}
			name, _ := one["name"].(string)
			marks, _, _ := unstructured.NestedStringMap(one, "labels")
			node.Children = append(node.Children, g.subset(name, labels.SelectorFromSet(marks), shares))
		}
	}
	if len(node.Children) == 0 {
		node.State = "no DestinationRule defines its subsets"
	}
	return node
}

func (g Grove) subset(name string, selector labels.Selector, shares []portion) view.TreeNode {
	node := view.Leaf(view.TreeSubset, name, "takes no part")
	if i := slices.IndexFunc(shares, func(s portion) bool { return s.name == name }); i >= 0 {
		weight := shares[i].weight
		node.State, node.Weight = shares[i].role, &weight
	}
	node.Children = append(node.Children, g.endpoints(selector)...)
	if len(node.Children) == 0 {
		node.State += "  no endpoint"
	}
	if more := len(node.Children) - maxEndpoints; more > 0 {
		node.Children = append(node.Children[:maxEndpoints], view.Leaf(view.TreeEndpoint, "...", fmt.Sprintf("and %d more", more)))
	}
	return node
}
