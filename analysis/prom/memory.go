package prom

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// plans remembers what queries read: to parse templates at each look would cost more than to read them.
type plans struct {
	mu   sync.Mutex // guards the rest
	all  map[string]*plan
	left int // when those were dropped that are of no use any more
}

// plan is what a query reads, whatever the time, and what it last found. With that a look needs no sample that an earlier one
// has brought. All of it can be lost: then all is read.
type plan struct {
	groups []group
	made   time.Time
	last   atomic.Pointer[lastRead] // nil: there is none
}

// group is what is asked for together: wants of one shape. It is never changed.
type group struct {
	wants []want
	shape string
}

// of is the plan of a query.
func (p *plans) of(q analysis.Query, make func(analysis.Query) ([]want, *Failure)) (*plan, *Failure) {
	var room [512]byte
	key := source(room[:0], q)
	p.mu.Lock()
	known := p.all[string(key)]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	wants, fail := make(q)
	if fail != nil {
		return nil, fail
	}
	made := newPlan(wants)
	made.made = q.Until
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*plan{}
	}
	p.all[string(key)] = made
	if len(p.all) > 2*p.left+100 { // what ended is not asked for again
		maps.DeleteFunc(p.all, func(_ string, one *plan) bool { return one.ended(q.Until) })
		p.left = len(p.all)
	}
	return made, nil
}

// ended reports that what was last read is of no use any more.
func (p *plan) ended(now time.Time) bool {
	used := p.made
	if last := p.last.Load(); last != nil {
		used = last.until
	}
	return now.Sub(used) > usefulFor
}

func newPlan(wants []want) *plan {
	out := &plan{}
	for _, w := range wants {
		shape := w.shape()
		i := slices.IndexFunc(out.groups, func(g group) bool { return g.shape == shape })
		if i < 0 {
			i, out.groups = len(out.groups), append(out.groups, group{shape: shape})
		}
		g := &out.groups[i]
		g.wants = append(g.wants, w.prepared())
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

// usefulFor is how long a read can be of use at most.
const usefulFor = 15 * time.Minute

// keptSpan is how much of a read is remembered whole where it is not known from when on samples will be needed.
const keptSpan = time.Minute

// found are series with their ids.
type found struct {
	series []analysis.Series
	ids    []id
}

func (f *found) add(s analysis.Series, of id) {
	f.series, f.ids = append(f.series, s), append(f.ids, of)
}

// lastRead is what was known after a read. It is never changed.
type lastRead struct {
	found
	since  time.Time // from then on all samples are known, and of each series the last one before
	until  time.Time
	bounds []float64 // that were asked for; none: all
	whole  bool      // nothing of it was known before
}

// since is from when on samples have to be read, and what is known from before; nil: nothing, all is read.
func (p *plan) since(q analysis.Query, bounds []float64) (time.Time, *lastRead) {
	last := p.last.Load()
	if last == nil || q.Since.Before(last.since) || (last.bounds != nil && !slices.Equal(last.bounds, bounds)) {
		return q.From, nil
	}
	from := q.Since
	if last.until.Before(from) {
		from = last.until
	}
	if !from.After(q.From) {
		return q.From, nil
	}
	return from, last
}

// after is what is known after a read of the samples from a time on; recent is what was known of those before.
func (f found) after(q analysis.Query, from time.Time, bounds []float64, recent *lastRead) *lastRead {
	out := &lastRead{found: f, since: q.Since, until: q.Until, bounds: bounds, whole: recent == nil}
	if recent != nil {
		out.precede(recent, from.UnixMilli(), q.From.UnixMilli())
	}
	return out
}

// precede puts before the samples of each series the last one that is known from before, unless it is too old, and adds the
// series that have no newer one.
func (l *lastRead) precede(recent *lastRead, from, oldest int64) {
	size := len(recent.series)
	for i := range l.series {
		size += len(l.series[i].Points)
	}
	room := make([]analysis.Point, 0, size)
	known := places{ids: recent.ids}
	met := make([]bool, len(recent.ids))
	for i := range l.series {
		s, start := &l.series[i], len(room)
		if at, ok := known.of(l.ids[i]); ok {
			met[at] = true
			room = append(room, lastBefore(recent.series[at].Points, from, oldest)...)
		}
		room = append(room, s.Points...)
		s.Points = room[start:len(room):len(room)]
	}
	for i, s := range recent.series {
		if s.Points = lastBefore(s.Points, from, oldest); !met[i] && len(s.Points) > 0 && l.asks(s) {
			l.add(s, recent.ids[i])
		}
	}
}

// asks reports that a series is of a bound that is asked for, or of none.
func (l *lastRead) asks(s analysis.Series) bool {
	return s.Role != analysis.Within || l.bounds == nil || math.IsInf(s.Le, 1) || slices.Contains(l.bounds, s.Le)
}

// lastBefore is the last of the points up to a time, if it is newer than the oldest that counts.
func lastBefore(points []analysis.Point, until, oldest int64) []analysis.Point {
	for i := len(points) - 1; i >= 0; i-- {
		if points[i].T <= until {
			if points[i].T <= oldest {
				break
			}
			return points[i : i+1 : i+1]
		}
	}
	return nil
}

// places finds ids again. Answers name the same series in the same order, so that mostly the next is it.
type places struct {
	ids []id
	at  int
	all map[id]int // made once it is needed
}

func (p *places) of(one id) (at int, ok bool) {
	if p.at < len(p.ids) && p.ids[p.at] == one {
		p.at++
		return p.at - 1, true
	}
	if p.all == nil {
		p.all = make(map[id]int, len(p.ids))
		for i, known := range p.ids {
			p.all[known] = i
		}
	}
	if at, ok = p.all[one]; ok {
		p.at = at + 1
	}
	return at, ok
}

// keep remembers a read.
func (p *plan) keep(l *lastRead) {
	if l.whole {
		l = l.short()
	}
	p.last.Store(l)
}

// short is of a long read what the next look may need: not much beyond what this one needed.
func (l *lastRead) short() *lastRead {
	out := &lastRead{since: l.since, until: l.until, bounds: l.bounds, found: found{ids: l.ids, series: slices.Clone(l.series)}}
	if out.since.IsZero() {
		out.since = l.until.Add(-keptSpan)
	}
	room, since := make([]analysis.Point, 0, 2*len(l.series)), out.since.UnixMilli()
	for i := range out.series {
		s, start := &out.series[i], len(room)
		first := 0
		for first+1 < len(s.Points) && s.Points[first+1].T <= since {
			first++
		}
		room = append(room, s.Points[first:]...)
		s.Points = room[start:len(room):len(room)]
	}
	return out
}
