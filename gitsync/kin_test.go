package gitsync

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKin_findsWhatLookingAtEveryObjectFinds compares the families of Rollouts with those of the plain definition below,
// over objects whose relations are cut and crossed at random.
func TestKin_findsWhatLookingAtEveryObjectFinds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		objects := tangled(rand.New(rand.NewPCG(seed, 1)))
		k := kinOf(objects, "cluster.local")
		for _, o := range objects {
			if o.ID.GroupKind() != kindRollout {
				continue
			}
			var got, want []string
			for _, m := range k.family(o) {
				got = append(got, m.ID.String())
			}
			for _, m := range plainFamily(o, objects, "cluster.local") {
				want = append(want, m.ID.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, %s (-want +got):\n%s", seed, o.ID.Ref(), diff)
			}
		}
	}
}

// tangled gives shops and streets with some objects gone, in other namespaces, named by Rollouts, or of other hosts.
func tangled(r *rand.Rand) []Object {
	objects := slices.Concat(shop(), streets(3))
	for n := range 4 {
		objects = append(objects, object("sluice.dev", "MetricTemplate", fmt.Sprintf("m%d", n), nil),
			object("policy", "PodDisruptionBudget", fmt.Sprintf("b%d", n), map[string]any{"spec": map[string]any{"selector": map[string]any{
				"matchLabels": map[string]any{"app": fmt.Sprintf("s%d", n), "version": fmt.Sprintf("v%d", 1+r.IntN(2))}}}}),
			object("networking.istio.io", "ServiceEntry", fmt.Sprintf("e%d", n), map[string]any{"spec": map[string]any{"hosts": []any{"shop.example.com", fmt.Sprintf("s%d", n)},
				"workloadSelector": map[string]any{"labels": map[string]any{"version": "v1"}}}}),
			object("networking.istio.io", "WorkloadEntry", fmt.Sprintf("w%d", n), map[string]any{"spec": map[string]any{"labels": map[string]any{"app": fmt.Sprintf("s%d", n), "version": "v1"}}}))
	}
	objects = slices.DeleteFunc(objects, func(Object) bool { return r.IntN(10) == 0 })
	for i := range objects {
		o := &objects[i]
		meta, _ := o.Content["metadata"].(map[string]any)
		switch r.IntN(12) {
		case 0:
			meta["annotations"] = map[string]any{AnnotationRollout: fmt.Sprintf("none, s%d ,reviews", r.IntN(3))}
		case 1:
			o.ID.Namespace, meta["namespace"] = "elsewhere", "elsewhere"
		case 2:
			if spec, ok := o.Content["spec"].(map[string]any); ok && spec["host"] != nil {
				spec["host"] = []any{"reviews", "s1.bookinfo.svc.cluster.local", "shop.example.com", "", int64(1)}[r.IntN(5)]
			}
		case 3:
			if spec, ok := o.Content["spec"].(map[string]any); ok && o.ID.GroupKind() == kindRollout {
				spec["analysis"] = map[string]any{"metrics": []any{map[string]any{"template": "m1"}, map[string]any{"templateRef": map[string]any{"name": "m2"}}}}
			}
		}
	}
	return objects
}

// plainFamily gives the members of objects that belong to rollout: its routing objects, its workloads and what their
// pod templates name, autoscalers and budgets, metric templates, and what is annotated with its name.
func plainFamily(rollout Object, objects []Object, domain string) []Object {
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
		if plainRoutes(o, host, domain) {
			member[o.ID] = true
			selectors = append(selectors, podSelectors(o)...)
		}
		if plainNamed(rollout, o) {
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

// plainRoutes reports whether o is a Service, ServiceEntry, DestinationRule or VirtualService of host.
func plainRoutes(o Object, host, domain string) bool {
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

// plainNamed reports whether the Rollout names o as a metric template, or o's annotation names the Rollout.
func plainNamed(rollout, o Object) bool {
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
