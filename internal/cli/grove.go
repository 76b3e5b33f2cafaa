package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// maxEndpoints is how many endpoints of a version a tree shows.
const maxEndpoints = 20

// grove is what a rollout's traffic hangs on, as the cluster has it.
type grove struct {
	rollout  *v1alpha1.Rollout
	domain   string
	services []unstructured.Unstructured // VirtualServices
	rules    []unstructured.Unstructured // DestinationRules
	entries  []unstructured.Unstructured // ServiceEntries
	slices   []unstructured.Unstructured // EndpointSlices
	pods     map[string]unstructured.Unstructured
}

// read lists the objects of the rollout's namespace. Kinds that the cluster lacks, or that may not be read, are none.
func (g *grove) read(ctx context.Context, c *cluster) error {
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		return err
	}
	mesh := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	slices := schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}
	var pods []unstructured.Unstructured
	for _, kind := range []struct {
		of   schema.GroupVersionResource
		into *[]unstructured.Unstructured
	}{
		{mesh.WithResource("virtualservices"), &g.services}, {mesh.WithResource("destinationrules"), &g.rules},
		{mesh.WithResource("serviceentries"), &g.entries}, {slices.WithResource("endpointslices"), &g.slices},
		{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, &pods},
	} {
		list, err := client.Resource(kind.of).Namespace(g.rollout.Namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		case err != nil:
			return failed("listing "+kind.of.Resource, err)
		default:
			*kind.into = list.Items
		}
	}
	g.pods = map[string]unstructured.Unstructured{}
	for _, p := range pods {
		g.pods[p.GetName()] = p
	}
	return nil
}

// isHost reports whether a name, as an object of the namespace writes it, is the rollout's host.
func (g *grove) isHost(name string) bool {
	ns := g.rollout.Namespace
	full := func(n string) string {
		switch {
		case strings.HasSuffix(n, ".svc."+g.domain) || strings.Count(n, ".") > 1 && !strings.HasSuffix(n, ".svc"):
			return n
		case strings.HasSuffix(n, ".svc"):
			return n + "." + g.domain
		case strings.Contains(n, "."):
			return n
		}
		return n + "." + ns + ".svc." + g.domain
	}
	return full(name) == full(g.rollout.Spec.Host)
}

// routes are the routes of VirtualServices that send to the host.
func (g *grove) routes() []view.TreeNode {
	out := []view.TreeNode{}
	for _, vs := range g.services {
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
func (g *grove) destinations(rule map[string]any) (subsets []string, takes bool) {
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
func (g *grove) route(name string, subsets []string) view.TreeNode {
	st := g.rollout.Status
	node := leaf(view.TreeRoute, name, "")
	if st == nil {
		return node
	}
	divided := slices.ContainsFunc(subsets, func(s string) bool { return s == "" || s == st.Stable.Name || slices.Contains(st.Managed, s) })
	if only := g.rollout.Spec.Routes; len(only) > 0 && !slices.ContainsFunc(only, func(r string) bool { return strings.HasSuffix(name, "/"+r) }) {
		divided = false
	}
	if !divided {
		node.State = "left alone: to " + strings.Join(subsets, ", ")
		return node
	}
	for _, share := range g.shares() {
		weight := share.weight
		child := leaf(view.TreeSubset, share.name, share.role)
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

func (g *grove) shares() []portion {
	st := g.rollout.Status
	if st == nil || st.Stable.Name == "" {
		return nil
	}
	if st.Canary == nil {
		return []portion{{st.Stable.Name, "stable", 100}}
	}
	return []portion{{st.Stable.Name, "stable", 100 - st.Weight}, {st.Canary.Name, "canary", st.Weight}}
}

// host is the host with its versions and their endpoints.
func (g *grove) host() view.TreeNode {
	node := leaf(view.TreeHost, g.rollout.Spec.Host, "")
	shares := g.shares()
	for _, rule := range g.rules {
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

func (g *grove) subset(name string, selector labels.Selector, shares []portion) view.TreeNode {
	node := leaf(view.TreeSubset, name, "takes no part")
	if i := slices.IndexFunc(shares, func(s portion) bool { return s.name == name }); i >= 0 {
		weight := shares[i].weight
		node.State, node.Weight = shares[i].role, &weight
	}
	node.Children = append(node.Children, g.endpoints(selector)...)
	if len(node.Children) == 0 {
		node.State += "  no endpoint"
	}
	if more := len(node.Children) - maxEndpoints; more > 0 {
		node.Children = append(node.Children[:maxEndpoints], leaf(view.TreeEndpoint, "...", fmt.Sprintf("and %d more", more)))
	}
	return node
}

// endpoints are those of the host with these labels, by name.
func (g *grove) endpoints(selector labels.Selector) []view.TreeNode {
	var out []view.TreeNode
	for _, slice := range g.slices {
		if !g.isHost(slice.GetLabels()["kubernetes.io/service-name"]) {
			continue
		}
		list, _, _ := unstructured.NestedSlice(slice.Object, "endpoints")
		for _, item := range list {
			if one, ok := item.(map[string]any); ok {
				out = append(out, g.sliceEndpoint(one, selector)...)
			}
		}
	}
	for _, entry := range g.entries {
		hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
		if !slices.ContainsFunc(hosts, g.isHost) {
			continue
		}
		list, _, _ := unstructured.NestedSlice(entry.Object, "spec", "endpoints")
		for _, item := range list {
			one, ok := item.(map[string]any)
			if !ok {
				continue
			}
			marks, _, _ := unstructured.NestedStringMap(one, "labels")
			if address, _ := one["address"].(string); selector.Matches(labels.Set(marks)) {
				out = append(out, leaf(view.TreeEndpoint, address, "of a ServiceEntry"))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b view.TreeNode) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// sliceEndpoint is an endpoint of an EndpointSlice, if its pod has these labels.
func (g *grove) sliceEndpoint(one map[string]any, selector labels.Selector) []view.TreeNode {
	name, _, _ := unstructured.NestedString(one, "targetRef", "name")
	pod, known := g.pods[name]
	if !known || !selector.Matches(labels.Set(pod.GetLabels())) {
		return nil
	}
	addresses, _, _ := unstructured.NestedStringSlice(one, "addresses")
	state := "ready"
	if ready, given, _ := unstructured.NestedBool(one, "conditions", "ready"); given && !ready {
		state = "not ready"
	}
	return []view.TreeNode{leaf(view.TreeEndpoint, strings.TrimSpace(name+" "+strings.Join(addresses, ",")), state)}
}
