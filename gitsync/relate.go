package gitsync

import (
	"slices"
	"strings"
)

// Kinds that relations look at, by group and kind.
const (
	kindRollout         = "Rollout.sluice.dev"
	kindMetricTemplate  = "MetricTemplate.sluice.dev"
	kindDestinationRule = "DestinationRule.networking.istio.io"
	kindServiceEntry    = "ServiceEntry.networking.istio.io"
	kindWorkloadEntry   = "WorkloadEntry.networking.istio.io"
	kindVirtualService  = "VirtualService.networking.istio.io"
	kindService         = "Service"
	kindHPA             = "HorizontalPodAutoscaler.autoscaling"
	kindPDB             = "PodDisruptionBudget.policy"
)

// family gives the members of objects that belong to rollout: its routing objects, its workloads and what their
// pod templates name, autoscalers and budgets, metric templates, and what is annotated with its name.
func family(rollout Object, objects []Object, domain string) []Object {
	ns := rollout.ID.Namespace
	host := Resolve(text(rollout.Content, "spec", "host"), ns, domain)
	var local []Object
	for _, o := range objects {
		if o.ID.Namespace == ns && o.ID != rollout.ID {
			local = append(local, o)
		}
	}
	member := map[ID]bool{rollout.ID: true}
	var selectors []map[string]string
	for _, o := range local {
		if routes(o, host, domain) {
			member[o.ID] = true
			selectors = append(selectors, podSelectors(o)...)
		}
		if named(rollout, o) {
			member[o.ID] = true
		}
	}
	needs := map[ID]bool{}
	for _, o := range local {
		if !slices.ContainsFunc(selectors, func(s map[string]string) bool { return selects(s, workloadLabels(o)) }) {
			continue
		}
		member[o.ID] = true
		for _, id := range templateNames(o) {
			needs[id] = true
		}
	}
	var workloads []Object
	for _, o := range local {
		if needs[o.ID] {
			member[o.ID] = true
		}
		if member[o.ID] && podTemplate(o) != nil {
			workloads = append(workloads, o)
		}
	}
	out := []Object{rollout}
	for _, o := range local {
		if member[o.ID] || slices.ContainsFunc(workloads, func(w Object) bool { return attends(o, w) }) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Object) int { return CompareID(a.ID, b.ID) })
	return out
}

// routes reports whether o is a Service, ServiceEntry, DestinationRule or VirtualService of host.
func routes(o Object, host, domain string) bool {
	ns := o.ID.Namespace
	is := func(h any) bool {
		s, ok := h.(string)
		return ok && s != "" && Resolve(s, ns, domain) == host
	}
	switch o.ID.GroupKind() {
	case kindService:
		return o.ID.Name+"."+ns+".svc."+domain == host
	case kindDestinationRule:
		return is(value(o.Content, "spec", "host"))
	case kindServiceEntry:
		return slices.ContainsFunc(list(o.Content, "spec", "hosts"), is)
	case kindVirtualService:
		return slices.ContainsFunc(list(o.Content, "spec", "hosts"), is) || slices.ContainsFunc(destinations(o), is)
	}
	return false
}

// destinations gives every destination host of a VirtualService: http, tcp and tls routes and mirrors.
func destinations(o Object) []any {
	var hosts []any
	for _, protocol := range []string{"http", "tcp", "tls"} {
		each(list(o.Content, "spec", protocol), func(rule map[string]any) {
			each(list(rule, "route"), func(r map[string]any) { hosts = append(hosts, value(r, "destination", "host")) })
			each(list(rule, "mirrors"), func(r map[string]any) { hosts = append(hosts, value(r, "destination", "host")) })
			hosts = append(hosts, value(rule, "mirror", "host"))
		})
	}
	return hosts
}

// podSelectors gives the label selectors by which o finds its endpoints.
func podSelectors(o Object) []map[string]string {
	switch o.ID.GroupKind() {
	case kindService:
		return []map[string]string{labelsOf(o.Content, "spec", "selector")}
	case kindServiceEntry:
		return []map[string]string{labelsOf(o.Content, "spec", "workloadSelector", "labels")}
	}
	return nil
}

// workloadLabels gives the labels of the endpoints that o makes, or nil.
func workloadLabels(o Object) map[string]string {
	if o.ID.GroupKind() == kindWorkloadEntry {
		return labelsOf(o.Content, "spec", "labels")
	}
	if t := podTemplate(o); t != nil {
		return labelsOf(t, "metadata", "labels")
	}
	return nil
}

// named reports whether the Rollout names o as a metric template, or o's annotation names the Rollout.
func named(rollout, o Object) bool {
	for _, name := range strings.Split(Annotation(o.Content, AnnotationRollout), ",") {
		if strings.TrimSpace(name) == rollout.ID.Name {
			return true
		}
	}
	if o.ID.GroupKind() != kindMetricTemplate {
		return false
	}
	found := false
	each(list(rollout.Content, "spec", "analysis", "metrics"), func(m map[string]any) {
		found = found || text(m, "templateRef", "name") == o.ID.Name || text(m, "template") == o.ID.Name
	})
	return found
}

// templateNames gives the ConfigMaps, Secrets, ServiceAccounts and claims that a workload's pod template names.
func templateNames(o Object) []ID {
	spec := mapping(podTemplate(o), "spec")
	if spec == nil {
		return nil
	}
	var out []ID
	add := func(kind, name string) {
		if name != "" {
			out = append(out, ID{Kind: kind, Namespace: o.ID.Namespace, Name: name})
		}
	}
	add("ServiceAccount", text(spec, "serviceAccountName"))
	each(list(spec, "imagePullSecrets"), func(s map[string]any) { add("Secret", text(s, "name")) })
	each(list(spec, "volumes"), func(v map[string]any) {
		add("ConfigMap", text(v, "configMap", "name"))
		add("Secret", text(v, "secret", "secretName"))
		add("PersistentVolumeClaim", text(v, "persistentVolumeClaim", "claimName"))
		each(list(v, "projected", "sources"), func(s map[string]any) {
			add("ConfigMap", text(s, "configMap", "name"))
			add("Secret", text(s, "secret", "name"))
		})
	})
	for _, group := range []string{"containers", "initContainers"} {
		each(list(spec, group), func(c map[string]any) {
			each(list(c, "envFrom"), func(e map[string]any) {
				add("ConfigMap", text(e, "configMapRef", "name"))
				add("Secret", text(e, "secretRef", "name"))
			})
			each(list(c, "env"), func(e map[string]any) {
				add("ConfigMap", text(e, "valueFrom", "configMapKeyRef", "name"))
				add("Secret", text(e, "valueFrom", "secretKeyRef", "name"))
			})
		})
	}
	return out
}

// attends reports whether o is an autoscaler or a disruption budget of workload w.
func attends(o, w Object) bool {
	switch o.ID.GroupKind() {
	case kindHPA:
		return text(o.Content, "spec", "scaleTargetRef", "kind") == w.ID.Kind && text(o.Content, "spec", "scaleTargetRef", "name") == w.ID.Name
	case kindPDB:
		return selects(labelsOf(o.Content, "spec", "selector", "matchLabels"), workloadLabels(w))
	}
	return false
}

// subsetEntry gives the entry of a DestinationRule's subsets with that name, or nil.
func subsetEntry(o Object, name string) map[string]any {
	var found map[string]any
	each(list(o.Content, "spec", "subsets"), func(s map[string]any) {
		if found == nil && text(s, "name") == name {
			found = s
		}
	})
	return found
}
