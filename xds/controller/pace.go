package controller

import "time"

// How changes are gathered.
const (
	quiet    = 50 * time.Millisecond  // a change waits for others this long after the newest of them
	patience = 500 * time.Millisecond // and this long at most
)

// pace decides when to compile. The zero value has nothing to do.
type pace struct {
	last   time.Time // when it was compiled last
	first  time.Time // oldest change that is not compiled; zero: none
	newest time.Time
	urgent bool
}

// note takes a change.
func (p *pace) note(u urgency, now time.Time) {
	if u == unchanged {
		return
	}
	if p.first.IsZero() {
		p.first = now
	}
	p.newest = now
	p.urgent = p.urgent || u == atOnce || u == weighed
}

// due is when to compile; zero: there is nothing to do. A first change after a quiet time does not wait.
func (p *pace) due() time.Time {
	switch {
	case p.first.IsZero() || p.urgent || p.first.Sub(p.last) >= quiet:
		return p.first
	case p.newest.Add(quiet).Before(p.first.Add(patience)):
		return p.newest.Add(quiet)
	default:
		return p.first.Add(patience)
	}
}

// done says that everything noted so far is compiled.
func (p *pace) done(now time.Time) { *p = pace{last: now} }
