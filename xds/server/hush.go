package server

import (
	"sync/atomic"
	"time"
)

// maxHush bounds for how long changes of endpoints make room for a lowered weight: a proxy that does not read must not
// keep them from the others.
const maxHush = 500 * time.Millisecond

// hush is on while the streams of a class are told that a canary has lost weight: changes of endpoints wait, all streams
// have the processors for the weight.
type hush struct {
	until atomic.Int64 // in Unix nanoseconds
	owing atomic.Int64 // streams that have not answered
}

func (h *hush) begin(now time.Time, streams int) {
	h.owing.Store(int64(streams))
	h.until.Store(now.Add(maxHush).UnixNano())
}

// end is when it is over at the latest; zero: it is off.
func (h *hush) end(now time.Time) time.Time {
	until := time.Unix(0, h.until.Load())
	if h.owing.Load() <= 0 || !now.Before(until) {
		return time.Time{}
	}
	return until
}

// heed takes the stream off those that the class's hush waits for: it has answered all that it was sent of weights, or
// leaves. The last one ends it.
func (ss *session) heed(lowerings uint64) {
	if ss.queue.heeded == lowerings {
		return
	}
	ss.queue.heeded = lowerings
	if ss.class.hush.owing.Add(-1) == 0 {
		ss.server.rouse(ss.class)
	}
}

// rouse wakes all streams of a class.
func (s *Server) rouse(c *class) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	for ss := range c.sessions {
		ss.poke()
	}
}
