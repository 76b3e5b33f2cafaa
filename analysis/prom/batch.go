package prom

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Bounds of what is asked together.
const (
	// DefaultGather is how long a query waits for others that can be asked together with it.
	DefaultGather = 50 * time.Millisecond

	maxTogether   = 128     // queries of Rollouts in one
	maxLength     = 8 << 10 // bytes of label values in one: some servers refuse queries over 16 KiB
	bodyWanted    = 4 << 20 // bytes of an answer
	askAlone      = 60      // times that a query is made alone after one with others failed
	maxRemembered = 100_000 // queries whose plan or solitude is remembered
	firstTogether = 32
	maxSizes      = 1000 // kinds of answers whose size is remembered
)

// member is what one query reads of one shape.
type member struct {
	*group
	from, until time.Time
	bounds      []float64 // that are asked for; none: all
	les         []string  // their texts
	found
	count   int // of series that are for it
	samples int // of these
	room    []analysis.Point
	fail    *Failure
}

// batchKey is what members of a batch have in common. A long range beside a short one would make the server read the long one
// for both, and all bounds beside a few all of both.
type batchKey struct {
	shape string
	span  int
	few   bool // bounds
}

// asked is what those who ask together want.
type asked struct {
	members  []*member
	first    *want        // all are of its shape
	values   []choice     // of each label
	owners   map[id]int32 // the first, by a digest of the values of all labels
	owned    []owner
	length   int // of the values, in bytes
	expected int // size of the answer, in bytes; zero: not known
}

// choice is the values of a label that are asked for, each once, and how they stand among alternatives.
type choice struct {
	values []string
	quoted []string
	listed map[string]bool // the values, where there are many
}

// few values are found sooner without a map.
const few = 8

func (c *choice) has(value string) bool {
	if n := len(c.values); n > 0 && c.values[n-1] == value { // mostly one is asked for again at once
		return true
	}
	if len(c.values) <= few {
		return slices.Contains(c.values, value)
	}
	return c.listed[value]
}

func (c *choice) add(value, quoted string) {
	c.values, c.quoted = append(c.values, value), append(c.quoted, quoted)
	switch n := len(c.values); {
	case n == few+1:
		c.listed = make(map[string]bool, 4*firstTogether)
		for _, v := range c.values {
			c.listed[v] = true
		}
	case n > few:
		c.listed[value] = true
	}
}

// batch is one question to the server, made of what several queries read.
type batch struct {
	asked
	waiting int           // members whose query has not been given up
	full    chan struct{} // closed when no further member is taken
	done    chan struct{} // closed when the answers are in
	cancel  context.CancelFunc
}

// batches are those of a server.
type batches struct {
	mu      sync.Mutex // guards all, and the members of open batches
	open    map[batchKey]*batch
	alone   map[string]int
	sizes   map[batchKey]int // of answers, in bytes for each member
	most    int              // members that are asked together: as many as bring an answer of good size
	running sync.WaitGroup
}

// await waits for the answer to a batch that a member is in.
func (s *Server) await(ctx context.Context, b *batch, m *member) *Failure {
	select {
	case <-b.done:
		return m.fail
	case <-ctx.Done():
	}
	s.batches.mu.Lock()
	defer s.batches.mu.Unlock()
	if b.waiting--; b.waiting == 0 {
		b.cancel()
	}
	return failed(analysis.Timeout, "the query was given up")
}

// enter adds a member to the batch that is being gathered.
func (s *Server) enter(ctx context.Context, m *member) *batch {
	all := &s.batches
	all.mu.Lock()
	defer all.mu.Unlock()
	key := batchKey{m.shape, spanClass(m.until.Sub(m.from)), len(m.bounds) > 0}
	if s.gather < 0 || all.apart(m.group) {
		b := newBatch()
		b.add(m)
		close(b.full)
		s.start(ctx, key, b)
		return b
	}
	b := all.open[key]
	if b == nil {
		b = newBatch()
		all.open[key] = b
		s.start(ctx, key, b)
	}
	b.add(m)
	if len(b.members) >= all.most || b.length >= maxLength {
		delete(all.open, key)
		close(b.full)
	}
	return b
}

func newBatch() *batch { return &batch{full: make(chan struct{}), done: make(chan struct{})} }

func (b *batch) add(m *member) {
	b.waiting++
	b.asked.add(m)
}

// add takes what a member wants among the rest.
func (a *asked) add(m *member) {
	a.members = append(a.members, m)
	if a.first == nil {
		a.first, a.values, a.owners = &m.wants[0], make([]choice, len(m.wants[0].labels)), make(map[id]int32, 4*firstTogether)
	}
	for i := range m.wants {
		w := &m.wants[i]
		at := int32(len(a.owned)) //nolint:gosec // far fewer
		a.owned = append(a.owned, owner{member: m, want: w, next: none, last: at})
		if first, others := a.owners[w.whose]; others {
			a.owned[a.owned[first].last].next, a.owned[first].last = at, at
		} else {
			a.owners[w.whose] = at
		}
		for label, v := range w.values {
			if c := &a.values[label]; !c.has(v) {
				c.add(v, w.quoted[label])
				a.length += len(v)
			}
		}
	}
}

// apart reports that a group is to be asked for alone this time.
func (b *batches) apart(g *group) bool {
	if len(b.alone) == 0 {
		return false
	}
	id := g.id()
	left := b.alone[id]
	if left <= 1 {
		delete(b.alone, id)
	} else {
		b.alone[id] = left - 1
	}
	return left > 0
}

// spanClass is rising with a length of time, by doublings of half a minute.
func spanClass(d time.Duration) int {
	class := 0
	for step := 30 * time.Second; step < d; step *= 2 {
		class++
	}
	return class
}

// start lets a batch run, which takes members until it is full. A query that is given up does not end what others wait for.
func (s *Server) start(ctx context.Context, key batchKey, b *batch) {
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.batches.running.Go(func() {
		defer b.cancel()
		defer close(b.done)
		s.gatherInto(ctx, key, b)
		s.run(ctx, key, b)
	})
}

// gatherInto waits until the batch is full or its time is up.
func (s *Server) gatherInto(ctx context.Context, key batchKey, b *batch) {
	timer := time.NewTimer(max(0, s.gather))
	defer timer.Stop()
	select {
	case <-b.full:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	s.batches.mu.Lock()
	defer s.batches.mu.Unlock()
	if s.batches.open[key] == b {
		delete(s.batches.open, key)
		close(b.full)
	}
}

// run asks the server and hands the answer out.
func (s *Server) run(ctx context.Context, key batchKey, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	b.expected = s.batches.expected(key, len(b.members))
	size, fail := s.fetch(ctx, &b.asked)
	s.batches.mu.Lock()
	defer s.batches.mu.Unlock()
	if fail == nil {
		s.batches.most = min(maxTogether, max(1, bodyWanted*len(b.members)/max(size, 1)))
		s.batches.learn(key, size/len(b.members))
		return
	}
	for _, m := range b.members {
		m.found, m.fail = found{}, fail
		if len(b.members) > 1 && blamable(fail.Reason) && len(s.batches.alone) < maxRemembered {
			s.batches.alone[m.id()] = askAlone
		}
	}
}

// expected is the size of an answer by that of the last one of its kind, and a little more.
func (b *batches) expected(key batchKey, members int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sizes[key] * members * 9 / 8
}

func (b *batches) learn(key batchKey, size int) {
	if b.sizes == nil || len(b.sizes) > maxSizes {
		b.sizes = map[batchKey]int{}
	}
	b.sizes[key] = size
}

// blamable reports that a failure may be due to one of those that were asked together.
func blamable(r analysis.Reason) bool { return r != analysis.Unreachable && r != analysis.Unauthorized }

// fetch asks for all that the members read, and gives the size of the answer.
func (s *Server) fetch(ctx context.Context, a *asked) (int, *Failure) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return 0, failed(analysis.Timeout, "waited for other queries of this server for %v", s.timeout)
	}
	from, until := a.members[0].from, a.members[0].until
	var les []string
	for _, one := range a.members {
		if one.from.Before(from) {
			from = one.from
		}
		if one.until.After(until) {
			until = one.until
		}
		for _, text := range one.les {
			if !slices.Contains(les, text) {
				les = append(les, text)
			}
		}
	}
	text := a.expression(les, int64((until.Sub(from)+time.Second-1)/time.Second))
	body, fail := s.ask(ctx, inquiry{text: text, size: a.expected}, until)
	if fail != nil {
		return 0, fail
	}
	m := s.matrix(a, body.Bytes())
	m.out, m.room = body.series, body.points
	defer func() {
		body.series, body.points = m.out, m.room
		s.pages.put(body)
	}()
	if fail := s.origins.read(a.members[0].shape, m); fail != nil {
		return 0, fail
	}
	m.handOut()
	return len(m.text), nil
}

// matrix reads what was answered to those who asked.
func (s *Server) matrix(a *asked, text []byte) *matrix {
	return &matrix{
		scan: scan{text: text}, asked: a,
		familiar: familiar{
			origins: &s.origins, spellings: &s.spelled, targets: s.targets, unit: a.first.unit,
			texts: map[string]string{}, fresh: map[imprint]*origin{},
		},
	}
}

// handOut gives each member its series, with the points of its own range.
func (m *matrix) handOut() {
	if m.replicas {
		m.onlyFuller()
	}
	m.each(func(o *owner, g *gathered) {
		o.count++
		o.samples += len(within(g.points, o.from.UnixMilli(), o.until.UnixMilli()))
	})
	m.each((*owner).take)
}

// each goes over all series with each of those who asked for them.
func (m *matrix) each(do func(*owner, *gathered)) {
	for i := range m.out {
		g := &m.out[i]
		for at := g.owner; at != none; at = m.owned[at].next {
			o := &m.owned[at]
			switch {
			case g.fail != nil:
				o.fail = cmp.Or(o.fail, g.fail)
			case o.want.role != analysis.Within || len(o.bounds) == 0 || math.IsInf(g.le, 1) || slices.Contains(o.bounds, g.le): // else only others asked for it
				do(o, g)
			}
		}
	}
}

// take is given a series.
func (o *owner) take(g *gathered) {
	if o.series == nil {
		o.found = found{series: make([]analysis.Series, 0, o.count), ids: make([]id, 0, o.count)}
		o.room = make([]analysis.Point, 0, o.samples)
	}
	start := len(o.room)
	o.room = append(o.room, within(g.points, o.from.UnixMilli(), o.until.UnixMilli())...)
	o.add(analysis.Series{Target: g.target, Arm: o.want.arm, Role: o.want.role, Le: g.le, Points: o.room[start:len(o.room):len(o.room)]}, g.id)
}

// within are the points of a range; they are by time.
func within(points []analysis.Point, from, until int64) []analysis.Point {
	first, last := 0, len(points)
	for first < last && points[first].T <= from {
		first++
	}
	for last > first && points[last-1].T > until {
		last--
	}
	return points[first:last:last]
}

// ordered puts points by time.
func ordered(points []analysis.Point) {
	for i := 1; i < len(points); i++ {
		if points[i].T < points[i-1].T {
			slices.SortStableFunc(points, byTime)
			return
		}
	}
}

func byTime(a, b analysis.Point) int { return cmp.Compare(a.T, b.T) }
