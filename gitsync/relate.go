package gitsync

import "slices"

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

// routes reports whether o is a Service, ServiceEntry, DestinationRule or VirtualService of host.
func routes(o Object, host, domain string) bool { return slices.Contains(routed(o, domain), host) }

// routed gives the full hosts that a Service, ServiceEntry, DestinationRule or VirtualService routes, each once.
func routed(o Object, domain string) []string {
	var hosts []any
	switch o.ID.GroupKind() {
	case kindService:
		return []string{o.ID.Name + "." + o.ID.Namespace + ".svc." + domain}
	case kindDestinationRule:
		hosts = []any{value(o.Content, "spec", "host")}
	case kindServiceEntry:
		hosts = list(o.Content, "spec", "hosts")
	case kindVirtualService:
		hosts = slices.Concat(list(o.Content, "spec", "hosts"), destinations(o))
	}
	var out []string
	for _, h := range hosts {
		if s, ok := h.(string); ok && s != "" {
			out = append(out, Resolve(s, o.ID.Namespace, domain))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
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

// metricNames gives the names of the metric templates that a Rollout uses.
func metricNames(rollout Object) []string {
	var out []string
	each(list(rollout.Content, "spec", "analysis", "metrics"), func(m map[string]any) {
		out = append(out, text(m, "templateRef", "name"), text(m, "template"))
	})
	return out
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
