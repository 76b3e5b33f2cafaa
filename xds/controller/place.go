package controller

import (
	"context"
	"maps"
	"reflect"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

// nodesWithin is how long the first compilation waits for Nodes. Who may not read them goes without regions.
const nodesWithin = 2 * time.Second

// watchNodes follows where machines are. It holds nothing up: Nodes are often not to be read.
func watchNodes(w *world) *watch {
	return &watch{object: typed(&metav1.PartialObjectMetadata{}, corev1.SchemeGroupVersion.WithKind("Node")), aside: true,
		set:  func(o client.Object) urgency { return w.setNode(o.GetName(), o.GetLabels()) },
		drop: func(n types.NamespacedName) urgency { return w.setNode(n.Name, nil) }}
}

// watchRunning follows the addresses of pods. It begins when some ServiceEntry selects workloads.
func watchRunning(w *world) *watch {
	return &watch{object: typed(&corev1.Pod{}, corev1.SchemeGroupVersion.WithKind("Pod")),
		set:  func(o client.Object) urgency { return w.setRunning(client.ObjectKeyFromObject(o), o.(*corev1.Pod)) },
		drop: func(n types.NamespacedName) urgency { return w.setRunning(n, nil) }}
}

// SlimPod takes from a Pod what this package does not read, before a cache keeps it. It is a transformation of a cache;
// what is no Pod passes as it is.
func SlimPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	out := &corev1.Pod{ObjectMeta: pod.ObjectMeta, TypeMeta: pod.TypeMeta}
	out.ManagedFields, out.Annotations = nil, nil
	out.Spec.NodeName = pod.Spec.NodeName
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			out.Spec.Containers = append(out.Spec.Containers, corev1.Container{Name: c.Name, Ports: c.Ports})
		}
	}
	out.Status = corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			out.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return out, nil
}

// setNode keeps the labels of a node; nil: it is gone.
func (w *world) setNode(name string, labels map[string]string) urgency {
	place := kube.PlaceLabels(labels)
	return w.change(func() urgency {
		if maps.Equal(w.nodes[name], place) {
			return unchanged
		}
		if w.nodes[name] = place; len(place) == 0 {
			delete(w.nodes, name)
		}
		for service := range w.services {
			w.stale[service] = true
		}
		return gathered
	})
}

// setRunning keeps a pod that services may select; nil: it is gone.
func (w *world) setRunning(name types.NamespacedName, pod *corev1.Pod) urgency {
	workloads := func(pod *corev1.Pod) any {
		if pod == nil {
			return nil
		}
		return kube.Snapshot(kube.Input{Pods: []*corev1.Pod{pod}}).Workloads
	}
	return w.change(func() urgency {
		before := w.running[name]
		put(w.running, name, pod, pod != nil)
		if reflect.DeepEqual(workloads(before), workloads(pod)) {
			return unchanged
		}
		return gathered
	})
}

// asksForPods reports whether an object selects pods by their labels.
func asksForPods(o istio.Object) bool {
	se, ok := o.Spec.(*networking.ServiceEntry)
	return ok && len(se.GetWorkloadSelector().GetLabels()) > 0
}

// selectsWorkloads reports whether some object has asked for pods by their labels.
func (w *world) selectsWorkloads() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// followRunning begins to watch the addresses of pods as soon as somebody asks for them.
func (c *Controller) followRunning(ctx context.Context) {
	if c.running.registration != nil || !c.world.selectsWorkloads() {
		return
	}
	if err := c.begin(ctx, c.running); err != nil && ctx.Err() == nil {
		c.config.Log.Warn("watching the addresses of pods; it is tried again", "err", err)
	}
}

// settled waits for what is watched aside, as long as that is worth it.
func (c *Controller) settled(ctx context.Context) error {
	if c.followRunning(ctx); c.running.registration != nil && !toolscache.WaitForCacheSync(ctx.Done(), c.running.registration.HasSynced) {
		return errNotSynced
	}
	soon, cancel := context.WithTimeout(ctx, nodesWithin)
	defer cancel()
	for _, w := range c.watches {
		if w.aside && w.registration != nil && !toolscache.WaitForCacheSync(soon.Done(), w.registration.HasSynced) && ctx.Err() == nil {
			c.config.Log.Info("kind cannot be read; what it says is unknown", "reason", w.kind())
		}
	}
	return nil
}
