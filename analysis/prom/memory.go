package prom

import (
	"slices"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// plans remembers what queries read: to parse templates at each look would cost more than to read them.
type plans struct {
	mu  sync.Mutex // guards all
	all map[string][][]want
}

// of are the wants of a query, those together that have one shape.
func (p *plans) of(q analysis.Query, make func(analysis.Query) ([]want, *Failure)) ([][]want, *Failure) {
	key := source(q)
	p.mu.Lock()
	groups, known := p.all[key]
	p.mu.Unlock()
	if known {
		return groups, nil
	}
	wants, fail := make(q)
	if fail != nil {
		return nil, fail
	}
	for _, w := range wants {
		i := slices.IndexFunc(groups, func(g []want) bool { return g[0].shape() == w.shape() })
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], w)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= maxRemembered {
		p.all = map[string][][]want{}
	}
	p.all[key] = groups
	return groups, nil
}

// memory is what the last read of each query saw of its targets. With it a look needs the newest samples only: what is
// older matters for one thing, that a target was there. All of it can be lost.
type memory struct {
	mu  sync.Mutex // guards all
	all map[string]*lastRead
}

// lastRead is the end of what was read. It is never changed.
type lastRead struct {
	until   time.Time
	targets map[string][]analysis.Series // with their last points alone
}

// since is from when on samples have to be read, and what is known from before; nil: nothing, all is read.
func (m *memory) since(q analysis.Query) (time.Time, *lastRead) {
	if q.Since.IsZero() || !q.Since.After(q.From) {
		return q.From, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.all[source(q)]
	if last == nil || last.until.Before(q.Since) {
		return q.From, nil
	}
	return q.Since, last
}

// fill adds the targets that were seen before what was read, and remembers the end of it.
func (m *memory) fill(q analysis.Query, read []analysis.Series, recent *lastRead) []analysis.Series {
	next := &lastRead{until: q.Until, targets: map[string][]analysis.Series{}}
	for _, s := range read {
		if n := len(s.Points); n > 0 {
			s.Points = slices.Clone(s.Points[n-1:]) // not a part of all that was read: that may be forgotten
			next.targets[s.Target] = append(next.targets[s.Target], s)
		}
	}
	if recent != nil {
		from := q.From.UnixMilli()
		for target, series := range recent.targets {
			if _, here := next.targets[target]; here {
				continue
			}
			for _, s := range series {
				if s.Points[0].T > from {
					next.targets[target] = append(next.targets[target], s)
					read = append(read, s)
				}
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || len(m.all) >= maxRemembered {
		m.all = map[string]*lastRead{}
	}
	m.all[source(q)] = next
	slices.SortStableFunc(read, inOrder)
	return read
}
