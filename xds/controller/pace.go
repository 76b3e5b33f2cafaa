package controller

import "time"

// How changes are gathered.
const (
	quiet    = 50 * time.Millisecond  // a change waits for others this long after the newest of them
	patience = 500 * time.Millisecond // and this long at most
	breath   = 20 * time.Millisecond  // changes of endpoints are compiled this often at most
)

// lanes are kinds of changes that do not wait for each other.
type lanes struct {
	weights   bool // stored weights and nothing else
	endpoints bool // endpoints and nothing else
	rest      bool // anything, weights and endpoints among it
}

func (l lanes) any() bool { return l.weights || l.endpoints || l.rest }

// pace decides when to compile what. The zero value has nothing to do.
type pace struct {
	weights   lane
	endpoints lane
	rest      lane
}

// lane gathers changes of one kind.
type lane struct {
	last   time.Time // when it was compiled last
	first  time.Time // oldest change that is not compiled; zero: none
	newest time.Time
	urgent bool
}

// note takes a change.
func (p *pace) note(u urgency, now time.Time) {
	switch u {
	case unchanged:
	case weighed:
		p.weights.note(now)
	case moved:
		p.endpoints.note(now)
	case gathered, atOnce:
		p.rest.note(now)
		p.rest.urgent = p.rest.urgent || u == atOnce
	}
}

func (l *lane) note(now time.Time) {
	if l.first.IsZero() {
		l.first = now
	}
	l.newest = now
}

// due is when to compile next; zero: there is nothing to do. A first change after a quiet time does not wait.
func (p *pace) due() time.Time {
	var out time.Time
	for _, t := range []time.Time{p.weights.first, p.endpoints.after(breath), p.rest.settled()} {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}

// after is when a lane is due that is compiled once in a while at most.
func (l *lane) after(pause time.Duration) time.Time {
	if next := l.last.Add(pause); !l.first.IsZero() && l.first.Before(next) {
		return next
	}
	return l.first
}

// settled is when a lane is due that waits for a short quiet.
func (l *lane) settled() time.Time {
	switch {
	case l.first.IsZero() || l.urgent || l.first.Sub(l.last) >= quiet:
		return l.first
	case l.newest.Add(quiet).Before(l.first.Add(patience)):
		return l.newest.Add(quiet)
	default:
		return l.first.Add(patience)
	}
}

// take gives the lanes that are due, or all that have something where everything is wanted, and says that they are compiled.
func (p *pace) take(now time.Time, everything bool) lanes {
	due := func(l *lane, at time.Time) bool {
		ready := !at.IsZero() && (everything || !now.Before(at))
		if ready {
			*l = lane{last: now}
		}
		return ready
	}
	out := lanes{rest: due(&p.rest, p.rest.settled()), endpoints: due(&p.endpoints, p.endpoints.after(breath)), weights: due(&p.weights, p.weights.first)}
	if out.rest { // it holds the others, too
		p.weights, p.endpoints = lane{last: p.weights.last}, lane{last: p.endpoints.last}
	}
	return out
}
