package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestWorld_endpointsComeBackWithTheirService deletes a Service and makes it again while its EndpointSlices stay as they are: its
// endpoints are there again at once, and not when one of them changes next.
func TestWorld_endpointsComeBackWithTheirService(t *testing.T) {
	c := crowd(2)
	name := types.NamespacedName{Namespace: "shop", Name: "s1"}
	endSlice(c, name, 2)
	service := c.world.services[name]
	ready := func(what string, want int) {
		t.Helper()
		if got := c.Facts(splitNamed(1)); got.CanaryReady != want {
			t.Errorf("%s: %d endpoints are ready, want %d", what, got.CanaryReady, want)
		}
	}
	ready("at first", 2)
	c.note(c.world.setService(name, nil))
	ready("without its Service", 0)
	c.note(c.world.setService(name, service.DeepCopy()))
	ready("with it again", 2)
	again := service.DeepCopy()
	again.Spec.Ports = append(again.Spec.Ports, corev1.ServicePort{Name: "admin", Port: 81})
	c.note(c.world.setService(name, again))
	if got := c.Facts(splitNamed(1)); len(got.CanaryClusters) != 2 {
		t.Errorf("after another port: clusters %v, want 2", got.CanaryClusters)
	}
}
