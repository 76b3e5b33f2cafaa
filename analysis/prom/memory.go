package prom

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// plans remembers what queries read: to parse templates at each look would cost more than to read them.
type plans struct {
	mu  sync.Mutex // guards all
	all map[string]*plan
}

// plan is what a query reads, whatever the time. It is never changed.
type plan struct {
	source string
	groups []group
}

// group is what is asked for together: wants of one shape.
type group struct {
	wants  []want
	shape  string
	length int // of the values, in bytes
}

// of is the plan of a query.
func (p *plans) of(q analysis.Query, make func(analysis.Query) ([]want, *Failure)) (*plan, *Failure) {
	key := source(q)
	p.mu.Lock()
	known := p.all[key]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	wants, fail := make(q)
	if fail != nil {
		return nil, fail
	}
	made := newPlan(key, wants)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= maxRemembered {
		p.all = map[string]*plan{}
	}
	p.all[key] = made
	return made, nil
}

func newPlan(source string, wants []want) *plan {
	out := &plan{source: source}
	for _, w := range wants {
		shape := w.shape()
		i := slices.IndexFunc(out.groups, func(g group) bool { return g.shape == shape })
		if i < 0 {
			i, out.groups = len(out.groups), append(out.groups, group{shape: shape})
		}
		g := &out.groups[i]
		w = w.prepared()
		g.wants, g.length = append(g.wants, w), g.length+len(w.key)
	}
	return out
}

// id tells groups apart.
func (g *group) id() string {
	var b strings.Builder
	b.WriteString(g.shape)
	for _, w := range g.wants {
		b.WriteByte(0xff)
		b.WriteString(w.key)
	}
	return b.String()
}

// unit is that of the bounds; 0: there are none.
func (p *plan) unit() float64 {
	for _, g := range p.groups {
		for _, w := range g.wants {
			if w.unit > 0 {
				return w.unit
			}
		}
	}
	return 0
}

// memory is what the last read of each query saw of its targets. With it a look needs the newest samples only: what is
// older matters for one thing, that a target was there. All of it can be lost.
type memory struct {
	mu  sync.Mutex // guards all
	all map[string]*lastRead
}

// lastRead is the end of what was read. It is never changed.
type lastRead struct {
	until  time.Time
	series []analysis.Series // with their last points alone, in order
}

// since is from when on samples have to be read, and what is known from before; nil: nothing, all is read.
func (m *memory) since(source string, q analysis.Query) (time.Time, *lastRead) {
	if q.Since.IsZero() || !q.Since.After(q.From) {
		return q.From, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.all[source]
	if last == nil || last.until.Before(q.Since) {
		return q.From, nil
	}
	return q.Since, last
}

// fill adds the targets that were seen before what was read, and remembers the end of it.
func (m *memory) fill(source string, q analysis.Query, read []analysis.Series, recent *lastRead) []analysis.Series {
	slices.SortStableFunc(read, inOrder)
	next := &lastRead{until: q.Until, series: make([]analysis.Series, 0, len(read))}
	ends := make([]analysis.Point, 0, len(read)) // not parts of all that was read: that may be forgotten
	for _, s := range read {
		if n := len(s.Points); n > 0 {
			ends = append(ends, s.Points[n-1])
			s.Points = ends[len(ends)-1 : len(ends) : len(ends)]
			next.series = append(next.series, s)
		}
	}
	if recent != nil {
		from, now := q.From.UnixMilli(), next.series
		for _, s := range recent.series {
			if _, here := slices.BinarySearchFunc(now, s.Target, func(s analysis.Series, target string) int { return cmp.Compare(s.Target, target) }); !here && s.Points[0].T > from {
				next.series = append(next.series, s)
				read = append(read, s)
			}
		}
		if len(next.series) > len(now) {
			slices.SortStableFunc(next.series, inOrder)
			slices.SortStableFunc(read, inOrder)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || len(m.all) >= maxRemembered {
		m.all = map[string]*lastRead{}
	}
	m.all[source] = next
	return read
}
