package controller

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
)

// look is a set of queries to be made.
type look struct {
	key       types.NamespacedName
	memory    *memory
	attempt   int64
	moment    analysis.Moment
	questions []question
	opinion   // that there was then
	now       func() time.Time
	meters    asking
}

// question is a query and whom it is put to.
type question struct {
	analysis.Query
	querier analysis.Querier
}

// do makes the queries, few at a time, and gives the answer. Each failure stands for its own metric.
func (l look) do(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	out := answer{attempt: l.attempt, moment: l.moment, reads: make([]analysis.Read, len(l.questions))}
	var next atomic.Int64
	ask := func() {
		for i := int(next.Add(1)) - 1; i < len(l.questions); i = int(next.Add(1)) - 1 {
			began := l.now()
			out.reads[i] = l.questions[i].read(ctx)
			l.meters.asked(l.now().Sub(began), out.reads[i].Err)
		}
	}
	var running sync.WaitGroup
	for range min(maxQueries, len(l.questions)) - 1 {
		running.Go(ask)
	}
	ask() // here too: a goroutine for each query would cost more than to cut its windows
	running.Wait()
	return out
}

// weigh judges an answer by what was known when it was asked for. The next pass takes that over, unless it knows more by then.
func (l look) weigh(a *answer) {
	a.opinion, a.batch = l.opinion, l.ready.Collect(l.evidence, a.moment, a.reads)
	a.take(a.batch)
}

// read makes one query. Where stable's hour cannot be read, its windows choose the bounds.
func (q question) read(ctx context.Context) analysis.Read {
	out := analysis.Read{Metric: q.Metric}
	if q.Condition != nil {
		m, err := q.querier.Measure(ctx, q.Query)
		out.Measurement, out.Err = &m, err
		return out
	}
	out.Series, out.Err = q.querier.Series(ctx, q.Query)
	if q.Base && out.Err == nil {
		out.Base, _ = q.querier.Base(ctx, q.Query)
	}
	return out
}

// queries makes looks beside the passes. It owns their goroutines: none outlives wait. Looks do not wait for each other:
// how much one server is asked at a time is bounded where it is asked, so that a slow one delays those alone that read it.
type queries struct {
	done func(types.NamespacedName) // wakes the next pass
	harm func(types.NamespacedName) // wakes it before all others

	mu      sync.Mutex      // guards the rest
	ctx     context.Context // of the running controller; nil: not running
	running sync.WaitGroup
}

// start lets looks be made until ctx ends.
func (q *queries) start(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ctx = ctx
}

// context is that of the running controller; nil: it does not run.
func (q *queries) context() context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx == nil || q.ctx.Err() != nil {
		return nil
	}
	return q.ctx
}

// run makes a look soon. Its answer is in the memory when done is called; where nothing runs there is none.
func (q *queries) run(l look) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx == nil || q.ctx.Err() != nil {
		l.memory.end(answer{})
		return
	}
	ctx := q.ctx
	q.running.Go(func() {
		a := l.do(ctx)
		l.weigh(&a)
		l.memory.end(a)
		if a.report.Verdict == analysis.Rollback { // this only says who comes first
			q.harm(l.key)
			return
		}
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
