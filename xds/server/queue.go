package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxWriters = 256 // streams that write at once
	maxReplies = 16  // answers that wait for their turn; further requests are not read until then
)

// writers are the streams that write.
type writers struct {
	turns   chan struct{} // one place for each
	stalled atomic.Int64  // those whose client does not read
}

// queueing is how a stream waits for its turn to write. Turns are places in a channel: whoever puts something in writes,
// and takes it out afterwards.
type queueing struct {
	replies   []response // answers to types that are not served
	lowerings uint64     // of the class, when the stream was worked for last
	heeded    uint64     // of those, the newest that the client has answered
	release   func()     // gives the turn back; nil: the stream has none. It may be called from any goroutine, and again
	awaited   bool       // the client has not answered everything
	late      bool       // the turn was given back because the client did not read
}

func (q *queueing) begin(turns <-chan struct{}) {
	q.release, q.late = sync.OnceFunc(func() { <-turns }), false
}

// end gives the turn back, if there is one.
func (q *queueing) end() {
	if q.release != nil {
		q.release()
	}
	q.release = nil
}

// hurried reports whether a canary has lost weight since the stream was worked for last. That waits for no turn.
func (ss *session) hurried() bool { return ss.class.lowerings.Load() != ss.queue.lowerings }

// send writes a message. A stream whose client does not read makes room for others, and is given up at last.
func (ss *session) send(r response) error {
	if ss.queue.late {
		select {
		case ss.server.writers.turns <- struct{}{}:
			ss.queue.begin(ss.server.writers.turns)
		case <-ss.done:
			return context.Canceled
		}
	}
	release := ss.queue.release
	room := time.AfterFunc(ss.server.timing.Blocked, func() {
		ss.server.writers.stalled.Add(1)
		if release != nil {
			release()
		}
	})
	limit := time.AfterFunc(ss.server.timing.Stall, func() {
		select {
		case ss.stalled <- struct{}{}:
		default:
		}
	})
	defer limit.Stop()
	bytes, err := ss.wire.send(r)
	if err == nil {
		ss.server.meters.wrote(r.typeURL, bytes)
	}
	if !room.Stop() {
		ss.server.writers.stalled.Add(-1)
		ss.queue.late = release != nil
	}
	return err
}
