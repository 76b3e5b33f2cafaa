package gitsync

// object makes a namespaced object of bookinfo.
func object(group, kind, name string, spec map[string]any) Object {
	content := map[string]any{"kind": kind, "metadata": map[string]any{"name": name, "namespace": "bookinfo"}}
	for k, v := range spec {
		content[k] = v
	}
	o := Object{ID: ID{group, kind, "bookinfo", name}, Version: "v1", Path: kind + "-" + name + ".yaml", Line: 1, Content: content}
	content["apiVersion"] = o.APIVersion()
	return o
}

func rolloutObject(host, subset string) Object {
	return object("sluice.dev", "Rollout", host, map[string]any{"spec": map[string]any{"host": host, "subset": subset}})
}

func deployment(name, version, config, secret string) Object {
	ref := func(kind, name string) map[string]any { return map[string]any{kind: map[string]any{"name": name}} }
	return object("apps", "Deployment", name, map[string]any{"spec": map[string]any{
		"replicas": int64(1),
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "reviews", "version": version}},
			"spec": map[string]any{"image": "img:1", "containers": []any{map[string]any{
				"envFrom": []any{ref("configMapRef", config), ref("secretRef", secret)}}}},
		}}})
}

// shop is a Rollout with two versions of a workload and an object that is nobody's.
func shop() []Object {
	subset := func(v string) map[string]any {
		return map[string]any{"name": v, "labels": map[string]any{"version": v}}
	}
	config := func(name string) Object {
		return object("", "ConfigMap", name, map[string]any{"data": map[string]any{"a": "1"}})
	}
	return []Object{
		rolloutObject("reviews", "v2"),
		object("networking.istio.io", "DestinationRule", "reviews", map[string]any{"spec": map[string]any{
			"host": "reviews", "subsets": []any{subset("v1"), subset("v2")}}}),
		object("networking.istio.io", "VirtualService", "front", map[string]any{"spec": map[string]any{
			"hosts": []any{"shop.example.com"},
			"http":  []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "reviews"}}}}}}}),
		object("", "Service", "reviews", map[string]any{"spec": map[string]any{"selector": map[string]any{"app": "reviews"}}}),
		deployment("reviews-v1", "v1", "cfg-v1", "key-v1"),
		deployment("reviews-v2", "v2", "cfg-v2", "key-v2"),
		config("cfg-v1"), config("cfg-v2"), config("other"),
		object("", "Secret", "key-v2", map[string]any{"data": map[string]any{"a": "eQ=="}}),
		object("autoscaling", "HorizontalPodAutoscaler", "scale-v1", map[string]any{"spec": map[string]any{
			"scaleTargetRef": map[string]any{"kind": "Deployment", "name": "reviews-v1"}}}),
	}
}

func find(objects []Object, kind string) Object {
	for _, o := range objects {
		if o.ID.Kind == kind {
			return o
		}
	}
	return Object{}
}

// set changes one value of the object with that name.
func set(o Object, name string, v any, keys ...string) {
	if o.ID.Name != name {
		return
	}
	at := o.Content
	for _, k := range keys[:len(keys)-1] {
		next, ok := at[k].(map[string]any)
		if !ok {
			return
		}
		at = next
	}
	at[keys[len(keys)-1]] = v
}

var bookinfo = Owner{Namespace: "bookinfo", Name: "shop"}

// alive gives objects as they stand after being applied by owner.
func alive(owner Owner, objects ...Object) map[ID]Live {
	set := Plan(Input{Owner: owner, Commit: Commit{ID: "c0"}, Domain: "cluster.local", Want: objects})
	out := map[ID]Live{}
	for _, it := range set.Items {
		out[it.Object.ID] = Live{UID: "uid-" + it.Object.ID.Name, ResourceVersion: "1", Object: it.Object}
	}
	return out
}

// created gives the inventory of objects that we made.
func created(live map[ID]Live) Inventory {
	var out []Entry
	for id, l := range live {
		out = append(out, Entry{ID: id, Version: "v1", UID: l.UID, Origin: Created})
	}
	return NewInventory(out...)
}
