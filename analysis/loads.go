package analysis

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Attempts is the built-in metric that load reports feed: all tries, retried ones too.
const Attempts = "attempts"

// Endpoint is what became of the requests that one endpoint of the canary answered.
type Endpoint struct {
	ID  uint32 // the same in all windows
	N   uint64
	Bad uint64
}

// Load is what proxies reported of one cluster of an arm over Start < t <= End.
type Load struct {
	Arm   Arm
	Start time.Time
	End   time.Time
	Counts
	Open      uint64 // requests that were not finished at the end
	Endpoints []Endpoint
}

// Reported sums loads over the clusters of an arm: the increments of Batch.Loads, oldest first. Loads of a time are of
// all clusters that had requests then, in any order.
func Reported(seq uint64, loads []Load) []Window {
	sums := map[[2]int64]Window{}
	for _, l := range loads {
		span := [2]int64{millis(l.Start), millis(l.End)}
		w, known := sums[span]
		if !known {
			w = Window{Metric: Attempts, Seq: seq, Start: instant(span[0]), End: instant(span[1])}
		}
		switch l.Arm {
		case Canary:
			w.Canary = w.Canary.plus(l.Counts)
			w.Endpoints = slices.Concat(w.Endpoints, l.Endpoints)
		case Stable:
			w.Stable = w.Stable.plus(l.Counts)
			w.Open += l.Open
		}
		sums[span] = w
	}
	out := make([]Window, 0, len(sums))
	for _, w := range sums {
		w.Endpoints = gathered(w.Endpoints)
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Window) int { return cmp.Or(a.End.Compare(b.End), a.Start.Compare(b.Start)) })
	return out
}

// gathered sorts endpoints by ID and sums what has the same.
func gathered(all []Endpoint) []Endpoint {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	var out []Endpoint
	for _, e := range all {
		if n := len(out); n > 0 && out[n-1].ID == e.ID {
			out[n-1].N += e.N
			out[n-1].Bad += e.Bad
			continue
		}
		out = append(out, e)
	}
	return out
}

// LoadsSince is where the increments of load reports go on: what ended before it was taken in.
func (ev Evidence) LoadsSince(m Moment) time.Time {
	if ev.loads.Cursor == 0 {
		return m.Since
	}
	return instant(ev.loads.Cursor)
}

// reported reports that load reports feed the criterion, and no Prometheus is asked.
func (c Criterion) reported() bool { return c.Name == Attempts && !c.own() && c.Condition == nil }

// loadState is the memory of what load reports feed. The rules' own Cursor is that of all of it: each increment is taken
// in once, by everything.
type loadState struct {
	rulesState
	Newest []second    `json:"new,omitempty"`  // the last seconds, oldest first, for the sharp rule
	Hit    *[4]uint64  `json:"hit,omitempty"`  // what failed hard: canary n and bad, stable n and bad
	Sent   []sent      `json:"sent,omitempty"` // the last minute at this weight, oldest first
	Window *openWindow `json:"win,omitempty"`  // of the metric attempts; nil: none is open
}

func (l loadState) check() error {
	errs := []error{l.rulesState.check()}
	if len(l.Newest) > mostNewest || len(l.Sent) > sentSlots+1 {
		errs = append(errs, errors.New("more is remembered of load reports than there is room for"))
	}
	for _, s := range l.Newest {
		errs = append(errs, s.check())
	}
	if l.Hit != nil {
		errs = append(errs, sound(*l.Hit))
	}
	if l.Window != nil {
		errs = append(errs, sound(l.Window.Counts))
	}
	return errors.Join(errs...)
}

func sound(c [4]uint64) error {
	if c[1] > c[0] || c[3] > c[2] {
		return errors.New("more bad requests than requests")
	}
	return nil
}

func (l loadState) clone() loadState {
	l.Newest = slices.Clone(l.Newest)
	for i := range l.Newest {
		l.Newest[i].Endpoints = slices.Clone(l.Newest[i].Endpoints)
	}
	l.Sent = slices.Clone(l.Sent)
	if l.Hit != nil {
		hit := *l.Hit
		l.Hit = &hit
	}
	if l.Window != nil {
		w := *l.Window
		l.Window = &w
	}
	return l
}

// nextStep forgets what is known at one weight only.
func (l *loadState) nextStep() { l.Sent, l.Window = nil, nil }

// foldLoad takes in what proxies reported of both arms in a second, and gives the hard rule that it breaks.
func (j *judge) foldLoad(w Window) Reason {
	l := &j.ev.loads
	if millis(w.Start) < l.Cursor {
		return ""
	}
	for _, c := range []*Counts{&w.Canary, &w.Stable} {
		c.Started = min(c.Started, 1<<53)
	}
	open := l.Open
	hard := l.fold(w, j.b.Endpoints)
	if hard {
		l.Hit = hits(open, w)
	}
	if hit := l.sharp(w, j.tolerated()); hit != nil && !hard {
		hard, l.Hit = true, hit
	}
	l.send(w)
	j.ev.share = j.ev.share.fold(w, j.b.Moment)
	if closed, whole := j.attempt(w); whole {
		j.fold(closed)
	}
	switch {
	case hard:
		return HardFail
	case l.stalled():
		return Stalled
	default:
		return ""
	}
}

// hits are the counts of a rule window that this second closed.
func hits(open [4]uint64, w Window) *[4]uint64 {
	for i, n := range w.four() {
		open[i] += n
	}
	return &open
}

// four are canary n and bad, stable n and bad.
func (w Window) four() [4]uint64 {
	return [4]uint64{w.Canary.N, w.Canary.Bad, w.Stable.N, w.Stable.Bad}
}

// tolerated is the ratio of failures that the metric attempts tolerates.
func (j *judge) tolerated() float64 {
	for _, c := range j.cfg.Criteria {
		if c.reported() {
			return c.rho0()
		}
	}
	return Criterion{}.withDefaults(0).rho0()
}
