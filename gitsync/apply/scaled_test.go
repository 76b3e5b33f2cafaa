package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// On creation Git's replicas stand, whether the autoscaler comes with the workload or was there before it.
func TestApply_createsWithGitsReplicas(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		before bool
	}{{"together", false}, {"the autoscaler first", true}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			labels := map[string]any{"app": "a"}
			deployment := w.object("apps/v1", "Deployment", "a", map[string]any{"spec": map[string]any{"replicas": int64(3), "selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "one"}}}}}})
			hpa := w.object("autoscaling/v2", "HorizontalPodAutoscaler", "a", map[string]any{"spec": map[string]any{"maxReplicas": int64(9),
				"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}})
			if row.before {
				w.apply(hpa)
			}
			if set, out := w.apply(deployment, hpa); len(out.Refused) > 0 || !set.Items[0].Scaled {
				t.Fatalf("refused %+v, first item %+v; want the workload known to be scaled", out.Refused, set.Items[0])
			}
			live := w.get(deployment)
			if n, found, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); !found || n != 3 {
				t.Errorf("replicas = %d, want Git's 3", n)
			}
		})
	}
}
