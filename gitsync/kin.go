package gitsync

import (
	"slices"
	"strings"
)

// kin knows the objects of one plan by what relates them, so that the family of a Rollout is found without looking at
// every object again.
type kin struct {
	domain     string
	objects    []Object // sorted by ID; lists of them below hold places in this one
	namespaces map[string]*neighbours
	families   map[ID][]int32 // found so far, without the Rollout itself; sorted
}

// neighbours are the objects of one namespace.
type neighbours struct {
	objects   []Object           // of all namespaces
	byID      map[ID]int32       // the first of those with an ID, which stand together; of all namespaces
	routing   map[string][]int32 // by the full host that they route
	named     map[string][]int32 // by the Rollout that they are annotated with
	templates map[string][]int32 // MetricTemplates, by name
	endpoints map[label][]int32  // what makes endpoints, by each of their labels
	scalers   map[target][]int32 // autoscalers
	budgets   map[label][]int32  // disruption budgets, by one label of their selector
}

type (
	label  struct{ key, value string }
	target struct{ kind, name string }
)

func kinOf(objects []Object, domain string) kin {
	objects = inOrder(objects)
	k := kin{domain: domain, objects: objects, namespaces: map[string]*neighbours{}, families: map[ID][]int32{}}
	byID := make(map[ID]int32, len(objects))
	for at, o := range objects {
		n := k.namespaces[o.ID.Namespace]
		if n == nil {
			n = &neighbours{objects: objects, byID: byID, routing: map[string][]int32{}, named: map[string][]int32{}, templates: map[string][]int32{},
				endpoints: map[label][]int32{}, scalers: map[target][]int32{}, budgets: map[label][]int32{}}
			k.namespaces[o.ID.Namespace] = n
		}
		n.add(int32(at), domain)
	}
	return k
}

func (n *neighbours) add(at int32, domain string) {
	o := n.objects[at]
	if _, twice := n.byID[o.ID]; !twice {
		n.byID[o.ID] = at
	}
	for _, host := range routed(o, domain) {
		n.routing[host] = append(n.routing[host], at)
	}
	if names := Annotation(o.Content, AnnotationRollout); names != "" {
		for name := range strings.SplitSeq(names, ",") {
			name = strings.TrimSpace(name)
			n.named[name] = append(n.named[name], at)
		}
	}
	for key, value := range workloadLabels(o) {
		n.endpoints[label{key, value}] = append(n.endpoints[label{key, value}], at)
	}
	switch o.ID.GroupKind() {
	case kindMetricTemplate:
		n.templates[o.ID.Name] = append(n.templates[o.ID.Name], at)
	case kindHPA:
		of := target{text(o.Content, "spec", "scaleTargetRef", "kind"), text(o.Content, "spec", "scaleTargetRef", "name")}
		n.scalers[of] = append(n.scalers[of], at)
	case kindPDB:
		for key, value := range labelsOf(o.Content, "spec", "selector", "matchLabels") {
			n.budgets[label{key, value}] = append(n.budgets[label{key, value}], at)
			break // one of them is enough to find it by
		}
	}
}

// family gives the objects that belong to a Rollout, itself among them, sorted: its routing objects, its workloads and
// what their pod templates name, autoscalers and budgets, metric templates, and what is annotated with its name.
func (k kin) family(rollout Object) []Object {
	members := k.members(rollout)
	out := make([]Object, 0, len(members)+1)
	placed := false
	for _, at := range members {
		o := k.objects[at]
		if !placed && CompareID(rollout.ID, o.ID) < 0 {
			out, placed = append(out, rollout), true
		}
		out = append(out, o)
	}
	if !placed {
		out = append(out, rollout)
	}
	return out
}

// members gives the family of a Rollout but for itself.
func (k kin) members(rollout Object) []int32 {
	known, ok := k.families[rollout.ID]
	if !ok {
		known = k.find(rollout)
		k.families[rollout.ID] = known
	}
	return known
}

func (k kin) find(rollout Object) []int32 {
	n := k.namespaces[rollout.ID.Namespace]
	if n == nil {
		return nil
	}
	host := Resolve(text(rollout.Content, "spec", "host"), rollout.ID.Namespace, k.domain)
	routes := n.routing[host]
	found := slices.Concat(routes, n.named[rollout.ID.Name])
	for _, name := range metricNames(rollout) {
		found = append(found, n.templates[name]...)
	}
	for _, at := range routes {
		for _, selector := range podSelectors(k.objects[at]) {
			for _, w := range n.selected(selector) {
				found = append(found, w)
				for _, id := range templateNames(k.objects[w]) {
					found = n.append(found, id)
				}
			}
		}
	}
	found = sortedOnce(found)
	found = sortedOnce(n.attend(found))
	return slices.DeleteFunc(found, func(at int32) bool { return k.objects[at].ID == rollout.ID })
}

func sortedOnce(list []int32) []int32 {
	slices.Sort(list)
	return slices.Compact(list)
}

// append adds the objects with an ID.
func (n *neighbours) append(to []int32, id ID) []int32 {
	at, ok := n.byID[id]
	for ; ok && int(at) < len(n.objects) && n.objects[at].ID == id; at++ {
		to = append(to, at)
	}
	return to
}

// routes gives what routes a host for the Rollouts of a namespace.
func (k kin) routes(namespace, host string) []Object {
	n := k.namespaces[namespace]
	if n == nil {
		return nil
	}
	out := make([]Object, len(n.routing[host]))
	for i, at := range n.routing[host] {
		out[i] = k.objects[at]
	}
	return out
}

// attend adds the autoscalers and budgets of the workloads among the members.
func (n *neighbours) attend(members []int32) []int32 {
	for _, at := range members {
		w := n.objects[at]
		if podTemplate(w) == nil {
			continue
		}
		members = append(members, n.scalers[target{w.ID.Kind, w.ID.Name}]...)
		for key, value := range workloadLabels(w) {
			for _, budget := range n.budgets[label{key, value}] {
				if attends(n.objects[budget], w) {
					members = append(members, budget)
				}
			}
		}
	}
	return members
}

// selected gives what makes endpoints with all labels of a selector.
func (n *neighbours) selected(selector map[string]string) []int32 {
	var fewest []int32
	first := true
	for key, value := range selector {
		if found := n.endpoints[label{key, value}]; first || len(found) < len(fewest) {
			fewest, first = found, false
		}
	}
	var out []int32
	for _, at := range fewest {
		if selects(selector, workloadLabels(n.objects[at])) {
			out = append(out, at)
		}
	}
	return out
}
