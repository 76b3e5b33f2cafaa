package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/istio"
)

// istioGroup is the group of the mesh objects.
const istioGroup = "networking.istio.io"

// istioKinds are the kinds of networking.istio.io that have an effect. A cluster may lack them.
func istioKinds() []schema.GroupVersionKind {
	var out []schema.GroupVersionKind
	for _, kind := range []string{"Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Sidecar"} {
		out = append(out, schema.GroupVersionKind{Group: istioGroup, Version: "v1", Kind: kind})
	}
	return out
}

// watch is one kind of object and where its changes go.
type watch struct {
	object   client.Object
	optional bool // the cluster may not serve the kind
	aside    bool // nothing waits for it
	set      func(client.Object) urgency
	drop     func(types.NamespacedName) urgency

	registration toolscache.ResourceEventHandlerRegistration // nil: not watched yet
	told         bool                                        // its absence was logged
	seen         sightings
}

func (w *watch) kind() string { return w.object.GetObjectKind().GroupVersionKind().Kind }

func watches(w *world) []*watch {
	out := []*watch{
		{object: typed(&corev1.Service{}, corev1.SchemeGroupVersion.WithKind("Service")),
			set:  func(o client.Object) urgency { return w.setService(client.ObjectKeyFromObject(o), o.(*corev1.Service)) },
			drop: func(n types.NamespacedName) urgency { return w.setService(n, nil) }},
		{object: typed(&discoveryv1.EndpointSlice{}, discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")),
			set: func(o client.Object) urgency {
				return w.setSlice(client.ObjectKeyFromObject(o), o.(*discoveryv1.EndpointSlice))
			},
			drop: func(n types.NamespacedName) urgency { return w.setSlice(n, nil) }},
		{object: typed(&metav1.PartialObjectMetadata{}, corev1.SchemeGroupVersion.WithKind("Pod")),
			set:  func(o client.Object) urgency { return w.setPod(client.ObjectKeyFromObject(o), o.GetLabels(), true) },
			drop: func(n types.NamespacedName) urgency { return w.setPod(n, nil, false) }},
		{object: typed(&v1alpha1.Rollout{}, v1alpha1.GroupVersion().WithKind("Rollout")),
			set:  func(o client.Object) urgency { return w.setRollout(o.(*v1alpha1.Rollout)) },
			drop: w.dropRollout},
		watchNodes(w),
	}
	for _, gvk := range istioKinds() {
		out = append(out, &watch{object: typed(&unstructured.Unstructured{}, gvk), optional: true,
			set: func(o client.Object) urgency {
				return w.setObject(istio.Decode(o.(*unstructured.Unstructured).Object))
			},
			drop: func(n types.NamespacedName) urgency { return w.dropObject(gvk.Kind, n) }})
	}
	return out
}

func typed[O client.Object](o O, gvk schema.GroupVersionKind) O {
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o
}

// begin starts watching a kind. A kind that may be missing and is missing is no error; begin is called again later.
func (c *Controller) begin(ctx context.Context, w *watch) error {
	informer, err := c.config.Cache.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
	if meta.IsNoMatchError(err) && w.optional {
		if !w.told {
			c.config.Log.Info("kind is not served by the cluster; it has no effect until it is", "reason", w.kind())
			w.told = true
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("watching %s: %w", w.kind(), err)
	}
	w.registration, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.event(w, o) },
		UpdateFunc: func(before, o any) { c.updated(w, before, o) },
		DeleteFunc: func(o any) { c.deleted(w, o) },
	})
	if err != nil {
		return fmt.Errorf("watching %s: %w", w.kind(), err)
	}
	if w.aside {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proving.watched = append(c.proving.watched, w)
	return nil
}

func (c *Controller) event(w *watch, o any) {
	if object, ok := o.(client.Object); ok {
		c.note(w.set(object))
		w.seen.put(object) // after the world has it
	}
}

func (c *Controller) updated(w *watch, before, o any) {
	old, ok := before.(client.Object)
	if next, isObject := o.(client.Object); ok && isObject && old.GetResourceVersion() == next.GetResourceVersion() {
		return // a resync
	}
	c.event(w, o)
}

func (c *Controller) deleted(w *watch, o any) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if object, ok := o.(client.Object); ok {
		c.note(w.drop(client.ObjectKeyFromObject(object)))
		w.seen.drop(object)
	}
}

// errNotSynced is why a wait for the caches ended.
var errNotSynced = errors.New("the caches did not fill before the end")

// synced waits until everything that exists has been seen.
func (c *Controller) synced(ctx context.Context) error {
	var all []toolscache.InformerSynced
	for _, w := range c.watches {
		if w.registration != nil && !w.aside {
			all = append(all, w.registration.HasSynced)
		}
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), all...) {
		return errNotSynced
	}
	return nil
}
