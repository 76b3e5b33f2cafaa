package grove

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/view"
)

// port is a port of the host: where an endpoint serves it unless the endpoint says otherwise.
type port struct {
	name   string
	number int64
}

// endpoints are those of the host with these labels, by name.
func (g Grove) endpoints(selector labels.Selector) []view.TreeNode {
	var out []view.TreeNode
	for _, slice := range g.Slices {
		if !g.isHost(slice.GetLabels()["kubernetes.io/service-name"]) {
			continue
		}
		ports := portsOf(slice, "ports")
		for _, one := range objectsAt(slice.Object, "endpoints") {
			out = append(out, g.sliceEndpoint(one, ports, selector)...)
		}
	}
	for _, entry := range g.Entries {
		hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
		if !slices.ContainsFunc(hosts, g.isHost) {
			continue
		}
		out = append(out, g.entryEndpoints(entry, selector)...)
	}
	slices.SortStableFunc(out, func(a, b view.TreeNode) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// entryEndpoints are those that a ServiceEntry lists, or else selects among WorkloadEntries and pods.
func (g Grove) entryEndpoints(entry unstructured.Unstructured, selector labels.Selector) []view.TreeNode {
	var out []view.TreeNode
	ports := portsOf(entry, "spec", "ports")
	listed := objectsAt(entry.Object, "spec", "endpoints")
	for _, one := range listed {
		marks, _, _ := unstructured.NestedStringMap(one, "labels")
		if selector.Matches(labels.Set(marks)) {
			out = append(out, workload(one, ports, "of a ServiceEntry"))
		}
	}
	chosen, _, _ := unstructured.NestedStringMap(entry.Object, "spec", "workloadSelector", "labels")
	if len(listed) > 0 || len(chosen) == 0 {
		return out
	}
	member := labels.SelectorFromSet(chosen)
	for _, other := range g.Others {
		spec, _, _ := unstructured.NestedMap(other.Object, "spec")
		marks := labels.Set(maps.Clone(other.GetLabels()))
		if marks == nil {
			marks = labels.Set{}
		}
		own, _, _ := unstructured.NestedStringMap(spec, "labels")
		maps.Copy(marks, own)
		if member.Matches(marks) && selector.Matches(marks) {
			out = append(out, workload(spec, ports, "of WorkloadEntry "+other.GetName()))
		}
	}
	for _, pod := range g.Pods {
		marks := labels.Set(pod.GetLabels())
		address, _, _ := unstructured.NestedString(pod.Object, "status", "podIP")
		if address != "" && member.Matches(marks) && selector.Matches(marks) {
			out = append(out, view.Leaf(view.TreeEndpoint, pod.GetName()+" "+at(address, ports), "of a ServiceEntry"))
		}
	}
	return out
}

// workload is an endpoint as a WorkloadEntry, or a ServiceEntry that lists it, writes one: its own ports go before those of the host.
func workload(one map[string]any, ports []port, state string) view.TreeNode {
	address, _ := one["address"].(string)
	own, _, _ := unstructured.NestedMap(one, "ports")
	served := slices.Clone(ports)
	for i, p := range served {
		if number, ok := own[p.name].(int64); ok {
			served[i].number = number
		}
	}
	return view.Leaf(view.TreeEndpoint, at(address, served), state)
}

// sliceEndpoint is an endpoint of an EndpointSlice, if its pod has these labels.
func (g Grove) sliceEndpoint(one map[string]any, ports []port, selector labels.Selector) []view.TreeNode {
	name, _, _ := unstructured.NestedString(one, "targetRef", "name")
	i := slices.IndexFunc(g.Pods, func(p unstructured.Unstructured) bool { return p.GetName() == name })
	if i < 0 || !selector.Matches(labels.Set(g.Pods[i].GetLabels())) {
		return nil
	}
	addresses, _, _ := unstructured.NestedStringSlice(one, "addresses")
	for i, address := range addresses {
		addresses[i] = at(address, ports)
	}
	state := "ready"
	if ready, given, _ := unstructured.NestedBool(one, "conditions", "ready"); given && !ready {
		state = "not ready"
	}
	return []view.TreeNode{view.Leaf(view.TreeEndpoint, strings.TrimSpace(name+" "+strings.Join(addresses, " ")), state)}
}

// portsOf are the ports that an object lists, as far as they have a number: the one that is served, or that of the service.
func portsOf(object unstructured.Unstructured, path ...string) []port {
	var out []port
	for _, one := range objectsAt(object.Object, path...) {
		p := port{}
		p.name, _ = one["name"].(string)
		for _, field := range []string{"targetPort", "number", "port"} {
			number, _ := one[field].(int64)
			p.number = cmp.Or(p.number, number)
		}
		out = append(out, p)
	}
	return out
}

// at is an address with its port; of several ports each is named. A socket has none.
func at(address string, ports []port) string {
	ports = slices.DeleteFunc(slices.Clone(ports), func(p port) bool { return p.number == 0 })
	switch {
	case len(ports) == 0 || strings.HasPrefix(address, "unix://"):
		return address
	}
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	if len(ports) == 1 {
		return address + ":" + strconv.FormatInt(ports[0].number, 10)
	}
	named := make([]string, 0, len(ports))
	for _, p := range ports {
		named = append(named, strings.TrimPrefix(fmt.Sprintf("%s=%d", p.name, p.number), "="))
	}
	return address + ":" + strings.Join(named, ",")
}

// objectsAt are the objects of a list in an object.
func objectsAt(object map[string]any, path ...string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(object, path...)
	var out []map[string]any
	for _, item := range list {
		if one, ok := item.(map[string]any); ok {
			out = append(out, one)
		}
	}
	return out
}
