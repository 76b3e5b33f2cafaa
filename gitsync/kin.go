package gitsync

import (
	"slices"
	"strings"
)

// kin knows the objects of one plan by what relates them, so that the family of a Rollout is found without looking at
// every object again.
type kin struct {
	domain     string
	namespaces map[string]*neighbours
	families   map[ID][]Object // found so far
}

// neighbours are the objects of one namespace.
type neighbours struct {
	byID      map[ID][]Object
	routing   map[string][]Object // by the full host that they route
	named     map[string][]Object // by the Rollout that they are annotated with
	templates map[string][]Object // MetricTemplates, by name
	endpoints map[label][]Object  // what makes endpoints, by each of their labels
	scalers   map[target][]Object // autoscalers
	budgets   map[label][]Object  // disruption budgets, by one label of their selector
}

type (
	label  struct{ key, value string }
	target struct{ kind, name string }
)

func kinOf(objects []Object, domain string) kin {
	k := kin{domain: domain, namespaces: map[string]*neighbours{}, families: map[ID][]Object{}}
	for _, o := range objects {
		n := k.namespaces[o.ID.Namespace]
		if n == nil {
			n = &neighbours{byID: map[ID][]Object{}, routing: map[string][]Object{}, named: map[string][]Object{}, templates: map[string][]Object{},
				endpoints: map[label][]Object{}, scalers: map[target][]Object{}, budgets: map[label][]Object{}}
			k.namespaces[o.ID.Namespace] = n
		}
		n.add(o, domain)
	}
	return k
}

func (n *neighbours) add(o Object, domain string) {
	n.byID[o.ID] = append(n.byID[o.ID], o)
	for _, host := range routed(o, domain) {
		n.routing[host] = append(n.routing[host], o)
	}
	if names := Annotation(o.Content, AnnotationRollout); names != "" {
		for name := range strings.SplitSeq(names, ",") {
			name = strings.TrimSpace(name)
			n.named[name] = append(n.named[name], o)
		}
	}
	for key, value := range workloadLabels(o) {
		n.endpoints[label{key, value}] = append(n.endpoints[label{key, value}], o)
	}
	switch o.ID.GroupKind() {
	case kindMetricTemplate:
		n.templates[o.ID.Name] = append(n.templates[o.ID.Name], o)
	case kindHPA:
		at := target{text(o.Content, "spec", "scaleTargetRef", "kind"), text(o.Content, "spec", "scaleTargetRef", "name")}
		n.scalers[at] = append(n.scalers[at], o)
	case kindPDB:
		for key, value := range labelsOf(o.Content, "spec", "selector", "matchLabels") {
			n.budgets[label{key, value}] = append(n.budgets[label{key, value}], o)
			break // one of them is enough to find it by
		}
	}
}

// family gives the objects that belong to a Rollout, itself among them, sorted: its routing objects, its workloads and
// what their pod templates name, autoscalers and budgets, metric templates, and what is annotated with its name.
func (k kin) family(rollout Object) []Object {
	known, ok := k.families[rollout.ID]
	if !ok {
		known = k.find(rollout)
		k.families[rollout.ID] = known
	}
	return known
}

func (k kin) find(rollout Object) []Object {
	n := k.namespaces[rollout.ID.Namespace]
	if n == nil {
		return []Object{rollout}
	}
	member := map[ID]bool{}
	join := func(objects []Object) {
		for _, o := range objects {
			member[o.ID] = true
		}
	}
	host := Resolve(text(rollout.Content, "spec", "host"), rollout.ID.Namespace, k.domain)
	join(n.routing[host])
	join(n.named[rollout.ID.Name])
	for _, name := range metricNames(rollout) {
		join(n.templates[name])
	}
	for _, o := range n.routing[host] {
		for _, selector := range podSelectors(o) {
			for _, w := range n.selected(selector) {
				member[w.ID] = true
				for _, id := range templateNames(w) {
					join(n.byID[id])
				}
			}
		}
	}
	n.attend(member, join)
	delete(member, rollout.ID)
	out := []Object{rollout}
	for id := range member {
		out = append(out, n.byID[id]...)
	}
	slices.SortFunc(out, func(a, b Object) int { return CompareID(a.ID, b.ID) })
	return out
}

// routes gives what routes a host for the Rollouts of a namespace.
func (k kin) routes(namespace, host string) []Object {
	if n := k.namespaces[namespace]; n != nil {
		return n.routing[host]
	}
	return nil
}

// attend lets the autoscalers and budgets of the workloads among the members join.
func (n *neighbours) attend(member map[ID]bool, join func([]Object)) {
	var workloads []Object
	for id := range member {
		for _, o := range n.byID[id] {
			if podTemplate(o) != nil {
				workloads = append(workloads, o)
			}
		}
	}
	for _, w := range workloads {
		join(n.scalers[target{w.ID.Kind, w.ID.Name}])
		for key, value := range workloadLabels(w) {
			for _, budget := range n.budgets[label{key, value}] {
				if attends(budget, w) {
					join([]Object{budget})
				}
			}
		}
	}
}

// selected gives what makes endpoints with all labels of a selector.
func (n *neighbours) selected(selector map[string]string) []Object {
	var fewest []Object
	first := true
	for key, value := range selector {
		if found := n.endpoints[label{key, value}]; first || len(found) < len(fewest) {
			fewest, first = found, false
		}
	}
	var out []Object
	for _, o := range fewest {
		if selects(selector, workloadLabels(o)) {
			out = append(out, o)
		}
	}
	return out
}
