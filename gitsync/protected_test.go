package gitsync

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// modelNeeds says in the plainest way which live objects a Rollout still needs: what routes the Rollout's host, the
// workloads of the versions that are needed, and what such a workload names or what attends to it. Where it is not known which
// versions these are, every workload of the host is needed.
func modelNeeds(v View, live map[ID]Live) map[ID]bool {
	var objects []Object
	for _, l := range live {
		objects = append(objects, l.Object)
	}
	slices.SortFunc(objects, func(a, b Object) int { return CompareID(a.ID, b.ID) })
	family := plainFamily(v.Object, objects, "cluster.local")
	host := Resolve(text(v.Object.Content, "spec", "host"), v.ID.Namespace, "cluster.local")
	names := []string{v.Stable}
	if v.Canary != "" {
		names = append(names, v.Canary)
	}
	names = append(names, v.Former...)
	var selectors []map[string]string
	unknown := v.Unacked || v.Stable == ""
	for _, name := range names {
		found := false
		for _, o := range family {
			if o.ID.Kind != "DestinationRule" || name == "" {
				continue
			}
			if entry := subsetEntry(o, name); entry != nil {
				found, selectors = true, append(selectors, labelsOf(entry, "labels"))
			}
		}
		unknown = unknown || !found && name != ""
	}
	var workloads []Object
	for _, o := range family {
		labels := workloadLabels(o)
		if o.ID != v.ID && labels != nil && !plainRoutes(o, host, "cluster.local") &&
			(unknown || slices.ContainsFunc(selectors, func(s map[string]string) bool { return selects(s, labels) })) {
			workloads = append(workloads, o)
		}
	}
	out := map[ID]bool{}
	for _, o := range family {
		out[o.ID] = o.ID != v.ID && (plainRoutes(o, host, "cluster.local") || slices.ContainsFunc(workloads, func(w Object) bool {
			return w.ID == o.ID || attends(o, w) || slices.Contains(templateNames(w), o.ID)
		}))
	}
	return out
}

// Over random worlds with Rollouts in every state: exactly what a Rollout needs is protected, and Prune, with every other proof
// at hand and any number allowed, deletes everything else that Git lacks and nothing of it.
func TestProtected_isWhatTheModelSays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		live, views := map[ID]Live{}, []View(nil)
		var have Inventory
		for i, o := range tangled(r) {
			meta, _ := o.Content["metadata"].(map[string]any)
			meta["labels"] = map[string]any{LabelSourceName: bookinfo.Name, LabelSourceNamespace: bookinfo.Namespace}
			live[o.ID] = Live{UID: fmt.Sprint("u", i), ResourceVersion: "1", Object: o}
			have = append(have, Entry{ID: o.ID, Version: o.Version, UID: fmt.Sprint("u", i), Origin: Created})
			if o.ID.GroupKind() == kindRollout && r.IntN(4) > 0 {
				version := func(absent int) string { return []string{"v1", "v2", "v9", ""}[min(3, r.IntN(3+absent))] }
				v := View{ID: o.ID, Object: o, Stable: version(1), Canary: version(3), Rest: r.IntN(2) == 0, Unacked: r.IntN(5) == 0}
				if former := version(3); former != "" {
					v.Former = []string{former}
				}
				views = append(views, v)
			}
		}
		have = NewInventory(have...)
		protected := Protected(views, live, "cluster.local")
		keep := ID{Kind: "ConfigMap", Namespace: "bookinfo", Name: "what Git still has"}
		pruned := Prune(Proof{Facts: Facts{Enabled: true, Complete: true, Descends: true, Listed: true, Applied: true, Accepted: true}, Owner: bookinfo,
			Domain: "cluster.local", Percent: 100, Want: []ID{keep}, Have: have, Live: live, Rollouts: views})
		deleted := map[ID]bool{}
		for _, d := range pruned.Delete {
			deleted[d.ID] = true
		}
		needs := map[ID]bool{}
		for _, v := range views {
			for id, one := range modelNeeds(v, live) {
				needs[id] = needs[id] || one
			}
		}
		for id := range live {
			needed := needs[id]
			if protected[id] != needed {
				t.Errorf("seed %d: %s protected %v, the model says %v", seed, id.Ref(), protected[id], needed)
			}
			if deleted[id] && needed || !deleted[id] && !needed && id.Kind != "PersistentVolumeClaim" && id.Kind != "Namespace" {
				t.Errorf("seed %d: %s deleted %v, needed %v", seed, id.Ref(), deleted[id], needed)
			}
		}
		if t.Failed() {
			return
		}
	}
}
