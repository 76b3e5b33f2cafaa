package gitsync

import (
	"fmt"
	"testing"
)

// streets gives Rollouts with all they need, each in a unit of twenty objects of its own.
func streets(units int) []Object {
	var out []Object
	for n := range units {
		host := fmt.Sprintf("s%d", n)
		add := func(group, kind, name string, spec map[string]any) {
			out = append(out, object(group, kind, name, spec))
		}
		out = append(out, rolloutObject(host, "v2"))
		subset := func(v string) map[string]any {
			return map[string]any{"name": v, "labels": map[string]any{"app": host, "version": v}}
		}
		add("networking.istio.io", "DestinationRule", host, map[string]any{"spec": map[string]any{"host": host, "subsets": []any{subset("v1"), subset("v2")}}})
		add("networking.istio.io", "VirtualService", host, map[string]any{"spec": map[string]any{"hosts": []any{host},
			"http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": host}}}}}}})
		add("", "Service", host, map[string]any{"spec": map[string]any{"selector": map[string]any{"app": host}}})
		for _, version := range []string{"v1", "v2"} {
			name := host + "-" + version
			var from []any
			for c := range 6 {
				config := fmt.Sprintf("%s-c%d", name, c)
				from = append(from, map[string]any{"configMapRef": map[string]any{"name": config}})
				add("", "ConfigMap", config, map[string]any{"data": map[string]any{"a": "1", "b": "2"}})
			}
			add("apps", "Deployment", name, map[string]any{"spec": map[string]any{"replicas": int64(1), "template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": host, "version": version}},
				"spec":     map[string]any{"containers": []any{map[string]any{"image": "img:1", "envFrom": from}}}}}})
			add("autoscaling", "HorizontalPodAutoscaler", name, map[string]any{"spec": map[string]any{
				"scaleTargetRef": map[string]any{"kind": "Deployment", "name": name}}})
		}
	}
	return out
}

// BenchmarkPlan plans objects that are all applied as they are, each Rollout at rest with its own nineteen objects.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{400, 4000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			want := streets(n / 20)
			in := Input{Owner: bookinfo, Commit: Commit{ID: "c1"}, Domain: "cluster.local", Want: want, Live: map[ID]Live{}, Applied: map[ID]string{}}
			for _, o := range want {
				in.Live[o.ID] = Live{UID: o.ID.Name, ResourceVersion: "1", Object: o}
				in.Applied[o.ID] = Hash(o)
				in.Have = append(in.Have, Entry{ID: o.ID, Version: o.Version, UID: o.ID.Name, Origin: Created})
				if o.ID.Kind == "Rollout" {
					in.Rollouts = append(in.Rollouts, View{ID: o.ID, Object: o, Stable: "v1", Rest: true})
				}
			}
			in.Have = NewInventory(in.Have...)
			set := Plan(in)
			if len(set.Items) != n || len(set.Units) != n/20 || len(set.Held) != 0 {
				b.Fatalf("%d items in %d units, %d held; want %d in %d: %v", len(set.Items), len(set.Units), len(set.Held), n, n/20, set.Problems)
			}
			for b.Loop() {
				Plan(in)
			}
		})
	}
}

// BenchmarkDigest is the digest of one unit of twenty objects.
func BenchmarkDigest(b *testing.B) {
	unit := streets(1)
	for b.Loop() {
		if _, err := Digest(unit[0], unit, "cluster.local"); err != nil {
			b.Fatal(err)
		}
	}
}
