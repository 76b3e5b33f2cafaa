package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Priorities of objects on the queue. Those of which all are looked at after a start come last.
const (
	firstOfAll = 100 // a canary may have failed, or somebody has said so
	inTurn     = 0
)

// raiseEvery is how often an object whose canary fails goes before all others: some always fail a little, and those that stand
// in turn are to be looked at, too.
const raiseEvery = 500 * time.Millisecond

// waker puts objects on the queue of a running controller.
type waker struct {
	mu    sync.Mutex // guards the rest
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	ahead map[types.NamespacedName]struct{} // of all others; looked at by nobody yet
}

func (w *waker) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return nil
}

// now makes an object be looked at soon; without a running controller it does nothing.
func (w *waker) now(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue != nil {
		w.queue.Add(reconcile.Request{NamespacedName: key})
	}
}

// first makes an object be looked at before all that are in turn.
func (w *waker) first(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue, ordered := w.queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ordered {
		if w.queue != nil {
			w.queue.Add(reconcile.Request{NamespacedName: key})
		}
		return
	}
	if w.ahead == nil {
		w.ahead = map[types.NamespacedName]struct{}{}
	}
	w.ahead[key] = struct{}{}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(firstOfAll)}, reconcile.Request{NamespacedName: key})
}

// looking notes that an object is being looked at.
func (w *waker) looking(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ahead, key)
}

// pressing reports that some are to be looked at before all others, and nobody does yet.
func (w *waker) pressing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ahead) > 0
}
