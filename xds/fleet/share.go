package fleet

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// sharedAnnotation of a replica's Lease holds what its proxies report, for the process that decides. The Lease is small, is
// watched by all replicas, and says which process writes it: so what is told needs no other object, right or watch.
const sharedAnnotation = "sluice.dev/load-reports"

// What is told costs the store so much, at most.
const (
	tellEvery = time.Second
	tellRoom  = 96 << 10 // bytes at once
	tellRate  = 64 << 10 // bytes per second
)

// Tells is what a Writer tells the process that decides.
type Tells struct {
	// Share gives what is to be told to a process, of so many bytes at most. news: it says more than the last one.
	Share func(to string, room int) (text string, news bool)
	// Leader is that process. heard: it has shown itself lately; what one that may be gone is told would be lost.
	Leader func() (id string, heard bool)
}

// telling is what was told last.
type telling struct {
	text string
	next time.Time
}

// tell writes down what proxies have reported, when there is news of it; else it goes with the next renewal. It gives the time
// until the next look.
func (w *Writer) tell(ctx context.Context) time.Duration {
	if w.config.Tells.Share == nil || w.lease == nil {
		return lookEvery
	}
	now := w.config.Now()
	if wait := w.telling.next.Sub(now); wait > 0 {
		return min(lookEvery, max(wait, lookAfter))
	}
	w.telling.next = now.Add(tellEvery)
	to, heard := w.config.Tells.Leader()
	if !heard {
		return lookEvery
	}
	text, news := w.config.Tells.Share(to, tellRoom)
	news = news || text == "" && w.telling.text != ""
	w.telling.text = text
	w.telling.next = now.Add(max(tellEvery, time.Duration(len(text))*time.Second/tellRate))
	if news {
		w.attempt("telling what its proxies report", now, func() error { return w.renew(ctx) })
	}
	return lookEvery
}

// leader is the process that decides, as its Lease was last seen. Times are those of this process.
type leader struct {
	id      string // empty: there is none
	version string // of the Lease
	changed time.Time
	silent  time.Duration // after which it may be gone
}

// saw takes the Lease.
func (l *leader) saw(lease *coordinationv1.Lease, gone bool, now time.Time) {
	if gone {
		*l = leader{}
		return
	}
	if lease.ResourceVersion == l.version {
		return
	}
	*l = leader{version: lease.ResourceVersion, changed: now}
	if id := lease.Spec.HolderIdentity; id != nil {
		l.id = *id
	}
	if d := lease.Spec.LeaseDurationSeconds; d != nil { // it is renewed each fifteenth of that, or up to 2.2 times as late
		l.silent = time.Duration(*d) * time.Second * 3 / 10
	}
}

// Leader is the process that decides. heard: it has renewed its Lease lately, so that it reads what it is told.
func (r *Reader) Leader() (id string, heard bool) {
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader.id, r.leader.id != "" && now.Before(r.leader.changed.Add(r.leader.silent))
}
