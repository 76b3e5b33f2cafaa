package controller_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// Who deletes a Rollout hears which routes send elsewhere from then on: as a warning where some do.
func TestDeletion_namesTheRoutesThatReturn(t *testing.T) {
	for _, c := range []struct {
		name  string
		moves []string
		kind  string
		want  string
	}{
		{"some move", []string{"VirtualService/shop/reviews spec.http[0] to v0"}, corev1.EventTypeWarning, "where v1 served, these send as they are written: VirtualService/shop/reviews spec.http[0] to v0"},
		{"none moves", nil, corev1.EventTypeNormal, "no route changes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.mesh.set(func(m *mesh) { m.facts.Returning = c.moves })
			w.run()
			w.rollout("v1")
			w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
			must(t, w.client.Delete(t.Context(), w.get()))
			kube.Eventually(t, patience, func() error {
				list := &eventsv1.EventList{}
				if err := w.client.List(t.Context(), list, client.InNamespace(w.ns)); err != nil {
					return err
				}
				for _, e := range list.Items {
					if e.Reason == "Deleted" && e.Type == c.kind && strings.Contains(e.Note, c.want) {
						return nil
					}
				}
				return fmt.Errorf("%d events, none of them it", len(list.Items))
			})
		})
	}
}
