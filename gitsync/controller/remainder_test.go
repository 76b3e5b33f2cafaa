package controller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

const reviewsService = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {selector: {app: reviews}, ports: [{port: 80}]}\n"

// A run that makes way for a newer commit leaves no unit applied by half: where the newer commit does not bring the unit to
// its end, because it does not build or because the unit is held, the older one does.
func TestPreemption_noUnitStaysHalfApplied(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, reason, applied string
		newer                 map[string]string
	}{
		{"the newer commit does not build", v1alpha1.ReasonBuildFailed, "older", map[string]string{"app/kustomization.yaml": "resources:\n- https://example.com/base\n"}},
		{"the newer commit holds the unit", v1alpha1.ReasonContentInvalid, "base", map[string]string{"app/dr.yaml": "kind: [\n", "app/other.yaml": configMap("other", "three")}},
		{"the server refuses the unit", v1alpha1.ReasonContentInvalid, "base",
			map[string]string{"app/service.yaml": strings.Replace(reviewsService, "port: 80", "port: 80000", 1), "app/other.yaml": configMap("other", "three")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.filters()
			base := w.push("base", map[string]string{"app/rollout.yaml": rolloutV1, "app/dr.yaml": routing, "app/other.yaml": configMap("other", "one"), "app/gone.yaml": configMap("gone", "one")})
			w.source(nil)
			w.ready(v1alpha1.ReasonApplied, base)
			arrived, release := w.valve.hold(t, func(r *http.Request) bool {
				return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/services")
			})
			older := w.push("older", map[string]string{"app/rollout.yaml": rolloutV2, "app/service.yaml": reviewsService, "app/other.yaml": configMap("other", "two"), "app/gone.yaml": ""})
			w.hint(older)
			select {
			case <-arrived:
			case <-time.After(soon):
				t.Fatalf("nothing of %s is written", older)
			}
			newer := w.push("newer", row.newer)
			w.hint(newer)
			kube.Eventually(t, soon, func() error {
				if n := measured(t, w.controller)["preemptions_total"]; n != 1 {
					return fmt.Errorf("%v runs make way, want one", n)
				}
				return nil
			})
			release()
			w.ready(row.reason, newer)
			w.until("whole", func(v1alpha1.SourceStatus) bool { return w.subset() == "v2" })
			service := &corev1.Service{}
			if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, service); err != nil {
				t.Errorf("the unit's Service: %v", err)
			}
			want := map[string]string{"base": base, "older": older}[row.applied]
			s := w.status()
			if !strings.HasSuffix(s.LastAppliedRevision, want) || w.data("gone") == nil {
				t.Errorf("applied %s, gone = %v; want %s, and nothing pruned for a commit that is not the newest", s.LastAppliedRevision, w.data("gone"), row.applied)
			}
			if other := w.data("other")["k"]; row.applied == "base" && other != "three" || row.applied == "older" && other != "two" {
				t.Errorf("other = %s: units that are not held follow the newest commit that builds", other)
			}
			if !strings.Contains(strings.Join(s.Inventory, " "), "Service/"+w.ns+"/reviews") {
				t.Errorf("inventory %q, want the Service in it", s.Inventory)
			}
			w.hint("")
			w.ready(row.reason, newer)
		})
	}
}
