package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How often what is published is proven.
const (
	proofEvery = time.Second            // at most
	retryFirst = 100 * time.Millisecond // after a failure, then twice as long each time
	retryMost  = 2 * time.Second
)

// Barrier proves that what is published is not older than the cluster was when the proof began. An error says that it
// cannot be known now.
type Barrier func(ctx context.Context) error

// fence runs barriers for the streams that need one. One serves all streams that were opened before it began.
type fence struct {
	barrier Barrier // nil: whatever is published is new
	log     *slog.Logger
	asked   chan struct{} // of size one: somebody waits

	mu      sync.Mutex // guards everything below
	begun   uint64     // barriers so far
	passed  uint64     // the newest of them that has passed
	waiting map[*session]uint64
}

func newFence(b Barrier, log *slog.Logger) *fence {
	return &fence{barrier: b, log: log, asked: make(chan struct{}, 1), waiting: map[*session]uint64{}}
}

// mark is a point in time, for since and await.
func (f *fence) mark() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun
}

// since reports whether a barrier that began after the mark has passed.
func (f *fence) since(mark uint64) bool {
	if f.barrier == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed > mark
}

// await wakes the stream when since(mark) holds.
func (f *fence) await(ss *session, mark uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.passed > mark {
		ss.poke()
		return
	}
	f.waiting[ss] = mark
	select {
	case f.asked <- struct{}{}:
	default:
	}
}

// forget takes a stream out.
func (f *fence) forget(ss *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, ss)
}

// run proves for whoever asks until ctx ends. While it fails the streams keep what they have.
func (f *fence) run(ctx context.Context) {
	if f.barrier == nil {
		return
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	wait, told := retryFirst, false
	for {
		select {
		case <-f.asked:
		case <-ctx.Done():
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		err := f.once(ctx)
		switch {
		case err == nil:
			wait, told = retryFirst, false
			pause.Reset(proofEvery)
		case ctx.Err() == nil:
			if !told {
				f.log.Warn("proxies keep what they have until it is known that nothing newer exists", "err", err)
			}
			told = true
			pause.Reset(wait)
			wait = min(2*wait, retryMost)
		}
	}
}

// once runs one barrier, and wakes those that it serves. Those that are left ask for another one.
func (f *fence) once(ctx context.Context) error {
	f.mu.Lock()
	f.begun++
	number := f.begun
	f.mu.Unlock()
	err := f.barrier(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.passed = number
	}
	for ss, mark := range f.waiting {
		if f.passed > mark {
			delete(f.waiting, ss)
			ss.poke()
		}
	}
	if len(f.waiting) > 0 {
		select {
		case f.asked <- struct{}{}:
		default:
		}
	}
	return err
}
