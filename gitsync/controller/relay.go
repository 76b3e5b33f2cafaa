package controller

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const relaysAtOnce = 8

// relay brings hints to the process that acts: to the queue of this one if it leads, else by the annotation
// sluice.dev/reconcile, at most once a second per Source. What comes in between is told once, at the end of the second.
type relay struct {
	controller *Controller
	elected    <-chan struct{} // closed once this process leads; nil: it does

	mu   sync.Mutex
	last map[types.NamespacedName]time.Time // of the newest patch, also of one that is still to come; guarded by mu
}

func newRelay(c *Controller) *relay {
	return &relay{controller: c, last: map[types.NamespacedName]time.Time{}}
}

// leads reports whether this process acts on Sources.
func (r *relay) leads() bool {
	if r.elected == nil {
		return true
	}
	select {
	case <-r.elected:
		return true
	default:
		return false
	}
}

// wake asks for a look at each Source, with the commit that it should show or "".
func (r *relay) wake(ctx context.Context, sources map[types.NamespacedName]string) error {
	if r.leads() {
		for name, after := range sources {
			r.controller.Hint(name, after)
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(relaysAtOnce)
	for name := range sources {
		group.Go(func() error { return r.patch(ctx, name) })
	}
	return group.Wait()
}

// patch asks the leader for a look, now or at the end of the second; nothing where that is already to come.
func (r *relay) patch(ctx context.Context, name types.NamespacedName) error {
	wait, mine := r.turn(name)
	if !mine {
		return nil
	}
	if wait > 0 {
		<-time.NewTimer(wait).C // at most a second; what the sender said counts even if it goes away meanwhile
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupFor)
	defer cancel()
	value := "hook " + r.controller.config.Now().UTC().Format(time.RFC3339Nano)
	content, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationReconcile: value}}})
	if err != nil {
		return err
	}
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	return client.IgnoreNotFound(r.controller.config.Client.Patch(ctx, src, client.RawPatch(types.MergePatchType, content)))
}

// turn gives how long a patch has to wait, and false where one that waits already speaks for it.
func (r *relay) turn(name types.NamespacedName) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.controller.config.Now()
	next := r.last[name].Add(betweenHints)
	if r.last[name].After(now) {
		return 0, false
	}
	if next.Before(now) {
		next = now
	}
	for other, at := range r.last {
		if now.Sub(at) > betweenHints {
			delete(r.last, other)
		}
	}
	r.last[name] = next
	return next.Sub(now), true
}
