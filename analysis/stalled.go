package analysis

import "time"

// The canary stalls when, over the last minute at its weight, it finished less than half of at least stalledRequests that
// it was sent, while stable finished nine in ten of all it had: what it was sent and what was under way before. So
// requests that last long by their nature are no stall.
const (
	sentSlots       = 6
	sentSlot        = 10 * time.Second
	stalledRequests = 30
)

// sent is what both arms were sent and finished in a slot of time.
type sent struct {
	Start int64     `json:"t"` // Unix ms
	Sent  [2]uint64 `json:"s"` // canary, stable
	Done  [2]uint64 `json:"f"`
	Open  uint64    `json:"o"` // of stable's, under way at the end
}

// send takes in a second, from the canary's first request at this weight on. The last slot is the one that fills.
func (l *loadState) send(w Window) {
	if len(l.Sent) == 0 && w.Canary.Started == 0 {
		return
	}
	start := millis(w.Start)
	if n := len(l.Sent); n == 0 || start-l.Sent[n-1].Start >= sentSlot.Milliseconds() {
		if n > 0 && start-l.Sent[n-1].Start >= 2*sentSlot.Milliseconds() {
			l.Sent = nil // what was between is not known
		}
		l.Sent = append(l.Sent, sent{Start: start})
		if over := len(l.Sent) - (sentSlots + 1); over > 0 {
			l.Sent = append([]sent(nil), l.Sent[over:]...)
		}
	}
	last := &l.Sent[len(l.Sent)-1]
	last.Sent[0] += w.Canary.Started
	last.Sent[1] += w.Stable.Started
	last.Done[0] += w.Canary.N
	last.Done[1] += w.Stable.N
	last.Open = w.Open
}

// lastMinute are the sums of the last minute: what was sent and finished by canary and stable, and what stable had under
// way before. It is not known before a minute has passed at this weight.
func (l *loadState) lastMinute() (out sent, known bool) {
	if len(l.Sent) <= sentSlots {
		return sent{}, false
	}
	whole := l.Sent[len(l.Sent)-1-sentSlots : len(l.Sent)-1]
	for _, s := range whole {
		for arm := range s.Sent {
			out.Sent[arm] += s.Sent[arm]
			out.Done[arm] += s.Done[arm]
		}
	}
	// What was under way before is what was finished and is still open, less what was sent.
	if all := out.Done[1] + whole[sentSlots-1].Open; all > out.Sent[1] {
		out.Open = all - out.Sent[1]
	}
	return out, true
}

func (l *loadState) stalled() bool {
	m, known := l.lastMinute()
	return known && m.Sent[0] >= stalledRequests && 2*m.Done[0] < m.Sent[0] && 10*m.Done[1] >= 9*(m.Sent[1]+m.Open)
}
