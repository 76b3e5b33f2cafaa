package server

import (
	"sync"
	"time"
)

// watchers wait for reports.
type watchers struct {
	mu      sync.Mutex // guards changed
	changed chan struct{}
}

// known is how far reports reach.
type known struct {
	whole  time.Time // up to then all proxies have reported
	shown  time.Time // up to then somebody may have asked
	looked time.Time // when that was seen
}

// Reported is closed when proxies have reported another part of a second.
func (s *Server) Reported() <-chan struct{} { return s.loads.watchers.next() }

func (w *watchers) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

func (w *watchers) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// heard notes that a proxy has reported all it counted until now, and tells of a part of a second that is whole by that.
func (l *loads) heard(rp *reporter, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := !rp.heard.After(l.known.whole) // else another is behind
	rp.heard = now
	if last {
		l.known.looked = time.Time{}
	}
	was := l.known.whole
	if l.book.Part(l.reported(now)) > l.book.Part(was) {
		l.watchers.tell()
	}
}

// reported is up to when everything is known that proxies count. All of them are looked at when the last of them has
// reported, and else now and then, for one may have gone.
func (l *loads) reported(now time.Time) time.Time {
	if now.Sub(l.known.looked) >= l.interval/4 {
		l.hushSilent(now)
		l.known.whole, l.known.looked = l.slowest(now), now
	}
	return l.known.whole
}

// shows is reported, for somebody who judges what there is up to then.
func (l *loads) shows(now time.Time) time.Time {
	until := l.reported(now)
	l.known.shown = latest(l.known.shown, until)
	return until
}

// slowest is up to when all have reported. Who has not within two of its intervals is not waited for; an answer that comes in
// between makes a report twice as late. Other replicas are waited for only where nobody reports to this one.
func (l *loads) slowest(now time.Time) time.Time {
	if len(l.reporters) == 0 {
		return l.shared.slowest(now)
	}
	until := now
	for _, of := range l.reporters {
		for rp := range of {
			if heard := latest(rp.heard, now.Add(-2*rp.every)); heard.Before(until) {
				until = heard
			}
		}
	}
	return until
}

// pace is how often a proxy is to report from now on: twice as often where splits divide traffic, as that is how a broken
// version is found.
func (l *loads) pace(rp *reporter, each bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	rp.every = l.interval
	if each {
		rp.every = l.interval / 2
	}
	return rp.every
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
