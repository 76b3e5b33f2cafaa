package prom

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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
)

// member is what one query reads of one shape.
type member struct {
	wants       []want
	from, until time.Time
	series      []analysis.Series
	fail        *Failure
}

// batch is one question to the server, made of what several queries read.
type batch struct {
	members []*member
	length  int
	waiting int           // members whose query has not been given up
	full    chan struct{} // closed when no further member is taken
	done    chan struct{} // closed when the answers are in
	cancel  context.CancelFunc
}

// batches are those of a server.
type batches struct {
	mu      sync.Mutex // guards all, and the members of open batches
	open    map[string]*batch
	alone   map[string]int
	most    int // members that are asked together: as many as bring an answer of good size
	running sync.WaitGroup
}

// join adds a member to the batch that is being gathered, and waits for the answer.
func (s *Server) join(ctx context.Context, m *member) *Failure {
	b := s.enter(ctx, m)
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

// enter finds or opens a batch.
func (s *Server) enter(ctx context.Context, m *member) *batch {
	all := &s.batches
	all.mu.Lock()
	defer all.mu.Unlock()
	// A long range beside a short one would make the server read the long one for both.
	key := fmt.Sprintf("%s %d", m.wants[0].shape(), spanClass(m.until.Sub(m.from)))
	length := 0
	for _, w := range m.wants {
		for _, v := range w.values {
			length += len(v)
		}
	}
	id := m.id()
	if all.alone[id] > 0 || s.gather < 0 {
		if all.alone[id]--; all.alone[id] <= 0 {
			delete(all.alone, id)
		}
		b := newBatch()
		b.add(m, length)
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
	b.add(m, length)
	if len(b.members) >= all.most || b.length >= maxLength {
		delete(all.open, key)
		close(b.full)
	}
	return b
}

func newBatch() *batch { return &batch{full: make(chan struct{}), done: make(chan struct{})} }

func (b *batch) add(m *member, length int) {
	b.members = append(b.members, m)
	b.waiting++
	b.length += length
}

// spanClass is rising with a length of time, by doublings of half a minute.
func spanClass(d time.Duration) int {
	class := 0
	for step := 30 * time.Second; step < d; step *= 2 {
		class++
	}
	return class
}

// id tells members apart, whatever the time.
func (m *member) id() string {
	var b strings.Builder
	b.WriteString(m.wants[0].shape())
	for _, w := range m.wants {
		for _, v := range w.values {
			b.WriteByte(0xff)
			b.WriteString(v)
		}
	}
	return b.String()
}

// start lets a batch run, which takes members until it is full. A query that is given up does not end what others wait for.
func (s *Server) start(ctx context.Context, key string, b *batch) {
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.batches.running.Go(func() {
		defer b.cancel()
		defer close(b.done)
		s.gatherInto(ctx, key, b)
		s.run(ctx, b)
	})
}

// gatherInto waits until the batch is full or its time is up.
func (s *Server) gatherInto(ctx context.Context, key string, b *batch) {
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
func (s *Server) run(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	size, fail := s.fetch(ctx, b.members)
	s.batches.mu.Lock()
	defer s.batches.mu.Unlock()
	if fail == nil {
		s.batches.most = min(maxTogether, max(1, bodyWanted*len(b.members)/max(size, 1)))
		return
	}
	for _, m := range b.members {
		m.series, m.fail = nil, fail
		if len(b.members) > 1 && blamable(fail.Reason) && len(s.batches.alone) < maxRemembered {
			s.batches.alone[m.id()] = askAlone
		}
	}
}

// blamable reports that a failure may be due to one of those that were asked together.
func blamable(r analysis.Reason) bool { return r != analysis.Unreachable && r != analysis.Unauthorized }

// fetch asks for all that the members read, and gives the size of the answer.
func (s *Server) fetch(ctx context.Context, members []*member) (int, *Failure) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return 0, failed(analysis.Timeout, "waited for other queries of this server for %v", s.timeout)
	}
	m := &matrix{targets: s.targets, asked: asked{owners: map[string][]owner{}}, names: map[string]string{}}
	from, until := members[0].from, members[0].until
	var wants []want
	for _, one := range members {
		if one.from.Before(from) {
			from = one.from
		}
		if one.until.After(until) {
			until = one.until
		}
		for i := range one.wants {
			m.owns(one, &one.wants[i])
		}
		wants = append(wants, one.wants...)
	}
	body, fail := s.ask(ctx, expression(wants, int64((until.Sub(from)+time.Second-1)/time.Second)), until)
	if fail != nil {
		return 0, fail
	}
	m.text = body
	if replicas(body) {
		m.whole = map[string]*gathered{}
	}
	if fail := m.read(); fail != nil {
		return 0, fail
	}
	m.handOut()
	return len(body), nil
}

// owns notes who asks for what.
func (m *matrix) owns(one *member, w *want) {
	if m.labels == nil {
		m.labels = w.labels
		m.known = make([]map[string]bool, len(w.labels))
		for i := range m.known {
			m.known[i] = map[string]bool{}
		}
	}
	key := make([]byte, 0, 128)
	for i, v := range w.values {
		m.known[i][v] = true
		key = append(append(key, v...), 0xff)
	}
	m.owners[string(key)] = append(m.owners[string(key)], owner{one, w})
}

// handOut gives each member its series, with the points of its own range.
func (m *matrix) handOut() {
	for _, g := range m.out {
		if g == nil {
			continue
		}
		for _, o := range g.owners {
			if g.fail != nil {
				o.fail = cmp.Or(o.fail, g.fail)
				continue
			}
			o.series = append(o.series, analysis.Series{
				Target: g.target, Arm: o.want.arm, Role: o.want.role, Le: g.le, Points: within(g.points, o.from.UnixMilli(), o.until.UnixMilli()),
			})
		}
	}
}

// within are the points of a range, by time.
func within(points []analysis.Point, from, until int64) []analysis.Point {
	if !slices.IsSortedFunc(points, byTime) {
		points = slices.Clone(points)
		slices.SortStableFunc(points, byTime)
	}
	first, _ := slices.BinarySearchFunc(points, from+1, func(p analysis.Point, t int64) int { return cmp.Compare(p.T, t) })
	last, _ := slices.BinarySearchFunc(points, until+1, func(p analysis.Point, t int64) int { return cmp.Compare(p.T, t) })
	return points[first:last:last]
}

func byTime(a, b analysis.Point) int { return cmp.Compare(a.T, b.T) }
