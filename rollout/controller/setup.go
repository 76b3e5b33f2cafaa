package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Limits of the work queue, and how long changes are gathered before the objects concerned are looked at.
const (
	concurrent   = 16 // passes mostly wait for the server
	retryFirst   = 20 * time.Millisecond
	retryLongest = 5 * time.Second
	gatherFleet  = 5 * time.Millisecond
	gatherMesh   = 50 * time.Millisecond
	gatherMost   = 100 * time.Millisecond
	restFor      = 3 // times what the last look through all objects took: many proxies that answer one by one leave time for passes
)

// onlyLooked is for lists of which nothing is kept and nothing changed: thousands of objects are not copied for each change
// of a proxy.
const onlyLooked = client.UnsafeDisableDeepCopy

// SetupWithManager registers the controller: Rollouts, the Sources that bring them, what people ask of them, the
// MetricTemplates and Notifiers they name, changes of proxies and mesh.
func (c *Controller) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.Add(manager.RunnableFunc(c.run)); err != nil {
		return fmt.Errorf("adding the rollout controller: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("rollout").
		For(&v1alpha1.Rollout{}).
		Watches(&v1alpha1.Source{}, handler.EnqueueRequestsFromMapFunc(c.ofSource)).
		Watches(&v1alpha1.RolloutAction{}, handler.EnqueueRequestsFromMapFunc(c.ofAction)).
		Watches(&v1alpha1.Notifier{}, handler.EnqueueRequestsFromMapFunc(c.ofNotifier), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.MetricTemplate{}, handler.EnqueueRequestsFromMapFunc(c.ofTemplate)).
		WatchesRawSource(source.Func(c.begin)).
		WithLogConstructor(lineOf(mgr.GetLogger())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrent,
			UsePriorityQueue:        ptr.To(true), // a canary that may have failed waits for no others
			SkipNameValidation:      ptr.To(true), // a process may run one after the other
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryLongest),
		}).
		Complete(c)
}

// begin takes over the queue before anybody works on it. Those that are under way go first: what another process has seen
// fail may not be stored, and no news are of an object that nobody has looked at.
func (c *Controller) begin(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	if err := c.wake.start(ctx, queue); err != nil {
		return err
	}
	list := &v1alpha1.RolloutList{}
	if err := c.config.Client.List(ctx, list, onlyLooked); err != nil {
		log.FromContext(ctx).Error(err, "the Rollouts that are under way do not go first") // their kind may not be defined yet
		return nil
	}
	for i := range list.Items {
		if s := list.Items[i].Status; s != nil && !s.Phase.AtRest() {
			c.wake.first(client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return nil
}

// ofSource are the Rollouts that a Source brought.
func (c *Controller) ofSource(ctx context.Context, o client.Object) []reconcile.Request {
	return c.requests(ctx, o, func(ro *v1alpha1.Rollout) bool { return sourceOf(ro) == client.ObjectKeyFromObject(o) },
		client.MatchingLabels{v1alpha1.LabelSourceName: o.GetName()})
}

// ofTemplate are the Rollouts that name a MetricTemplate.
func (c *Controller) ofTemplate(ctx context.Context, o client.Object) []reconcile.Request {
	among := client.InNamespace(o.GetNamespace())
	if o.GetNamespace() == c.home() {
		among = "" // it may be shared
	}
	return c.requests(ctx, o, func(ro *v1alpha1.Rollout) bool { return namesTemplate(ro, o, c.home()) }, among)
}

// requests are for the Rollouts that have to do with an object.
func (c *Controller) requests(ctx context.Context, o client.Object, concerned func(*v1alpha1.Rollout) bool, among client.ListOption) []reconcile.Request {
	list := &v1alpha1.RolloutList{}
	if err := c.config.Client.List(ctx, list, among, onlyLooked); err != nil {
		log.FromContext(ctx).Error(fmt.Errorf("%s: %w", client.ObjectKeyFromObject(o), err), "the Rollouts of an object are not looked at")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if concerned(&list.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// run follows the changes of proxies and mesh and lets queries be made, until ctx ends and nothing of it is left. An error
// means that another process leads: this one is to end.
func (c *Controller) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.queries.start(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		c.follow(ctx, c.config.Fleet.Changed, follower{gather: gatherFleet, matters: always(c.moved), first: c.rejected})
	})
	running.Go(func() {
		c.follow(ctx, c.config.Fleet.Reported, follower{gather: gatherLoads, matters: c.pulse(), first: c.fails, every: raiseEvery})
	})
	running.Go(func() { c.watchFreezes(ctx) })
	running.Go(func() { c.follow(ctx, c.config.Mesh.Changed, follower{gather: gatherMesh, matters: always(c.differs)}) })
	var err error
	select {
	case <-c.fence.lost:
		err = errors.Join(ErrFenced, c.handOver(ctx))
	case <-ctx.Done():
	}
	cancel()
	running.Wait()
	c.queries.wait()
	return err
}

// follower says how changes of one kind are followed.
type follower struct {
	gather  time.Duration
	matters func() func(concern) bool // asked at each change
	first   func(concern) bool        // of those to whom it matters, who goes before all others; nil: nobody
	every   time.Duration             // how often the same one does, at most
}

func always(matters func(concern) bool) func() func(concern) bool {
	return func() func(concern) bool { return matters }
}

// follow looks at the objects concerned after each change.
func (c *Controller) follow(ctx context.Context, changed func() <-chan struct{}, f follower) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		news := changed()
		began := c.config.Now()
		c.wakeAll(ctx, f)
		took := c.config.Now().Sub(began)
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
		timer.Reset(max(f.gather, min(restFor*took, gatherMost)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}
