package controller_test

import (
	"fmt"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// A note that is given up leaves the outbox, and an event says which one it was and why.
func TestNotes_thatAreGivenUpAreSaid(t *testing.T) {
	w := newWorld(t)
	w.notifier("team")
	w.outbox.delivered, w.outbox.lost = true, "410 Gone"
	w.run()
	w.rollout("v1")
	w.untilReady(metav1.ConditionTrue, v1alpha1.ReasonStable)
	w.fleet.set(func(f *fleet) { f.silent = true })
	w.push("v2", "digest-v2")
	w.until("without its note", func(ro *v1alpha1.Rollout) bool {
		return ro.Status.Phase == v1alpha1.PhasePreparing && len(ro.Status.Notes) == 0
	})
	kube.Eventually(t, patience, func() error {
		list := &eventsv1.EventList{}
		if err := w.client.List(t.Context(), list, client.InNamespace(w.ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == v1alpha1.ReasonNotificationFailed && strings.Contains(e.Note, "Started") && strings.Contains(e.Note, "team") && strings.Contains(e.Note, "410 Gone") {
				return nil
			}
		}
		return fmt.Errorf("%d events, none of them it", len(list.Items))
	})
}

// While rules that do not take part in the split send to one of the versions, the two are not compared by the same requests.
func TestComparable_namesRulesOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	pass := w.driven(&cached{Client: w.client}, nil)
	w.rollout("v1")
	must(t, pass())
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	says := func(status metav1.ConditionStatus, reason string) {
		t.Helper()
		if c := v1alpha1.Condition(w.get().Status.Conditions, v1alpha1.ConditionComparable); c == nil || c.Status != status || c.Reason != reason {
			t.Errorf("%+v, want %s %s", c, status, reason)
		}
	}
	says(metav1.ConditionTrue, v1alpha1.ReasonSameMix)
	w.mesh.set(func(m *mesh) { m.facts.CanaryBesides = true })
	must(t, pass())
	says(metav1.ConditionFalse, v1alpha1.ReasonPinnedRoute)
	w.mesh.set(func(m *mesh) { m.facts.CanaryBesides, m.facts.StableBesides = false, true })
	must(t, pass())
	says(metav1.ConditionFalse, v1alpha1.ReasonPinnedRoute)
}
