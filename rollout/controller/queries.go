package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
)

// queries makes looks beside the passes. It owns their goroutines: none outlives wait.
type queries struct {
	querier analysis.Querier
	done    func(types.NamespacedName) // wakes the next pass

	mu      sync.Mutex      // guards the rest
	ctx     context.Context // of the running controller; nil: not running
	slots   chan struct{}
	running sync.WaitGroup
}

// start lets looks be made until ctx ends.
func (q *queries) start(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ctx, q.slots = ctx, make(chan struct{}, maxQueries)
}

// run makes a look soon. Its answer is in the memory when done is called; where nothing runs there is none.
func (q *queries) run(l look) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx == nil || q.ctx.Err() != nil {
		l.memory.end(answer{})
		return
	}
	ctx, slots := q.ctx, q.slots
	q.running.Go(func() {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		a := l.do(ctx, q.querier)
		<-slots
		l.memory.end(a)
		q.done(l.key)
	})
}

// wait returns when no look is under way any more.
func (q *queries) wait() {
	q.mu.Lock()
	q.ctx = nil
	q.mu.Unlock()
	q.running.Wait()
}
