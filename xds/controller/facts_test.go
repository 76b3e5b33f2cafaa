package controller

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// crowd is a controller over a mesh of n services with a Rollout each, which has seen everything.
func crowd(n int) *Controller {
	c := &Controller{world: newWorld("", ""), known: true, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	c.config.Now = time.Now
	for i := range n {
		name := types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("s%d", i)}
		meta := metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Labels: map[string]string{discoveryv1.LabelServiceName: name.Name}}
		c.world.setService(name, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.0.%d.%d", i/250, i%250),
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
		endSlice(c, name, 0)
		for kind, spec := range map[string]map[string]any{
			"DestinationRule": {"host": name.Name, "subsets": []any{
				map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}}, map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}}}},
			"VirtualService": {"hosts": []any{name.Name}, "http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": name.Name}}}}}},
		} {
			c.world.setObject(istio.Decode(map[string]any{"apiVersion": "networking.istio.io/v1", "kind": kind,
				"metadata": map[string]any{"namespace": name.Namespace, "name": name.Name}, "spec": spec}))
		}
		ro := stored(types.UID(name.Name), 1, 15)
		ro.Name, ro.Spec.Host = name.Name, name.Name
		c.world.setRollout(ro)
	}
	return c
}

// endSlice gives a service n pods of v2.
func endSlice(c *Controller, service types.NamespacedName, n int) {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name,
		Labels: map[string]string{discoveryv1.LabelServiceName: service.Name}}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080))}}}
	for i := range n {
		pod := types.NamespacedName{Namespace: service.Namespace, Name: fmt.Sprintf("%s-%d", service.Name, i)}
		c.note(c.world.setPod(pod, map[string]string{"version": "v2"}, true))
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.9.0.%d", i)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}})
	}
	c.note(c.world.setSlice(service, s))
}

func splitNamed(i int) ir.Split {
	return ir.Split{Key: fmt.Sprintf("shop/s%d", i), Host: fmt.Sprintf("s%d", i), Stable: "v1", Canary: "v2", Weight: 15, Seq: 1}
}

func TestFacts_ofManyRolloutsCostOneReadingOfTheMesh(t *testing.T) {
	const n = 400
	c := crowd(n)
	for ready := 1; ready <= 2; ready++ {
		endSlice(c, types.NamespacedName{Namespace: "shop", Name: "s7"}, ready)
		began := time.Now()
		for i := range n {
			want := 0
			if i == 7 {
				want = ready
			}
			if got := c.Facts(splitNamed(i)); !got.Known || !got.SubsetDefined || got.CanaryReady != want || len(got.BlockingCodes) > 0 {
				t.Fatalf("facts of %d: %+v, want %d ready", i, got, want)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Fatalf("%d of %d Rollouts took %s after one change", i+1, n, took)
			}
		}
	}
}

func TestChanged_isNotForWeights(t *testing.T) {
	c := crowd(1)
	for _, step := range []struct {
		name   string
		seq    int64
		canary string
		want   bool
	}{{"a weight", 2, "v2", false}, {"another canary", 3, "v3", true}} {
		changed := c.Changed()
		ro := stored("s0", step.seq, 50)
		ro.Name, ro.Spec.Host, ro.Status.Canary.Name = "s0", "s0", step.canary
		c.note(c.world.setRollout(ro))
		if now := c.config.Now(); !c.pace.take(now, false).any() || !c.pace.due().IsZero() {
			t.Errorf("%s waits for other changes", step.name)
		}
		got := false
		select {
		case <-changed:
			got = true
		default:
		}
		if got != step.want {
			t.Errorf("%s: facts are said to have changed: %v, want %v", step.name, got, step.want)
		}
	}
}

func BenchmarkFacts_thousandRolloutsAfterAChange(b *testing.B) {
	c := crowd(1000)
	ready := 1
	for b.Loop() {
		ready = 3 - ready
		endSlice(c, types.NamespacedName{Namespace: "shop", Name: "s7"}, ready)
		for i := range 1000 {
			c.Facts(splitNamed(i))
		}
	}
}
