package server

import (
	"maps"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// departed are the nodes that this server has sent to other replicas while it goes down. Until one is seen there, nobody else
// counts it: for a while it counts here, with what it ran when it left.
type departed struct {
	begun bool // whoever leaves from now on was sent
	nodes map[string]*absent
}

// absent is a node that was sent away.
type absent struct {
	class ir.ProxyClass
	cells map[key]cell
	until time.Time // it counts; zero: while it has other streams here
}

// sendAway notes that streams end from now on because this server ends them.
func (l *ledger) sendAway() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.departed.begun = true
}

// part keeps what a client ran that was sent away, beside what other streams of its node ran that have left before. Its time begins
// with the last of them; the ledger is locked.
func (l *ledger) part(c *client) {
	one := l.departed.nodes[c.key]
	if one == nil || one.class != c.class {
		one = &absent{class: c.class, cells: make(map[key]cell, len(c.cells))}
	}
	for at, of := range c.cells {
		one.cells[at] = *of
	}
	if l.departed.nodes == nil {
		l.departed.nodes = map[string]*absent{}
	}
	l.departed.nodes[c.key] = one
	if l.live[c.key] > 1 {
		return
	}
	one.until = l.now().Add(l.timing.Lost)
	l.after(l.timing.Lost, func() {
		if l.departed.nodes[c.key] == one {
			delete(l.departed.nodes, c.key)
			l.announce()
		}
	})
}

// away are the nodes that still count. Timers end with the last stream, time does not.
func (l *ledger) away() map[string]*absent {
	now := l.now()
	maps.DeleteFunc(l.departed.nodes, func(_ string, one *absent) bool { return !one.until.IsZero() && !now.Before(one.until) })
	return l.departed.nodes
}

// runs reports how a node that was sent away stands to a resource: it has it at all, and it has, or rejects, what is wanted now.
func (l *ledger) runs(one *absent, at key) (has, answered bool) {
	of, has := one.cells[at]
	b := l.books[one.class]
	if !has || b == nil {
		return false, true
	}
	want := b.want(at)
	return true, want == "" || of.version == want || of.refused == want
}

// sent counts the nodes that were sent away and have some of these resources: behind are those that ran something older when
// they went, away those that ran what is wanted.
func (l *ledger) sent(carriers map[ir.ProxyClass][]key) (behind, away int) {
	for _, one := range l.away() {
		some, all := false, true
		for _, at := range carriers[one.class] {
			has, answered := l.runs(one, at)
			some, all = some || has, all && answered
		}
		switch {
		case some && all:
			away++
		case some:
			behind++
		}
	}
	return behind, away
}

// strayed are the nodes that were sent away before they had answered everything, as lost ones are shown; all: how many are away.
func (l *ledger) strayed() (out map[string]*loss, all int) {
	out = map[string]*loss{}
	nodes := l.away()
	for node, one := range nodes {
		of := &loss{class: one.class, keys: map[key]bool{}}
		for at := range one.cells {
			if _, answered := l.runs(one, at); !answered {
				of.keys[at] = true
			}
		}
		if len(of.keys) > 0 {
			out[node] = of
		}
	}
	return out, len(nodes)
}
