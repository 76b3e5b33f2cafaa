package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// SetupWithManager registers the controller: Sources, and the Rollouts whose status a waiting commit depends on.
func (c *Controller) SetupWithManager(mgr ctrl.Manager) error {
	c.receiver.relay.elected = mgr.Elected()
	asked := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		if e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationReconcile] != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationReconcile] {
			c.nudge(client.ObjectKeyFromObject(e.ObjectNew))
			return true
		}
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
	}}
	c.config.Watch.Subscribe(c.drifted)
	if err := mgr.Add(manager.RunnableFunc(c.config.Watch.Start)); err != nil {
		return fmt.Errorf("watching what Sources have applied: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("source").
		For(&v1alpha1.Source{}, builder.WithPredicates(asked)).
		Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(c.ofRollout)).
		Watches(&v1alpha1.Source{}, handler.EnqueueRequestsFromMapFunc(c.dependents), builder.WithPredicates(advanced())).
		WatchesRawSource(source.Func(c.wake.start)).
		WithLogConstructor(lineOf(mgr.GetLogger())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrent,
			SkipNameValidation:      ptr.To(true), // a process may run one after the other
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, longestRetry),
		}).
		Complete(c)
}

// ofRollout is the Source that brought a Rollout, while a commit of it waits for a Rollout.
func (c *Controller) ofRollout(_ context.Context, o client.Object) []reconcile.Request {
	labels := o.GetLabels()
	name := types.NamespacedName{Namespace: labels[v1alpha1.LabelSourceNamespace], Name: labels[v1alpha1.LabelSourceName]}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.memory[name]; m == nil || !m.waits.Load() && !m.echo.heeds.Load() {
		return nil
	}
	return []reconcile.Request{{NamespacedName: name}}
}

// waker puts Sources into the queue from outside of the watches.
type waker struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request] // guarded by mu; nil before the start
}

func (w *waker) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return nil
}

func (w *waker) now(name types.NamespacedName) { w.after(name, 0) }

func (w *waker) after(name types.NamespacedName, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue != nil {
		w.queue.AddAfter(reconcile.Request{NamespacedName: name}, wait)
	}
}

// lineOf is the log of passes over one object.
func lineOf(base logr.Logger) func(*reconcile.Request) logr.Logger {
	return func(r *reconcile.Request) logr.Logger {
		if r == nil {
			return base
		}
		return base.WithValues("namespace", r.Namespace, "source", r.Name)
	}
}
