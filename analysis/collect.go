package analysis

import (
	"errors"
	"iter"
	"slices"
	"time"
)

// Limits of a read: samples younger than settleTime may not be stored yet; longestRange bounds what is asked for,
// and a cursor that has fallen behind it is moved to jumpTo before the end.
const (
	settleTime   = time.Second
	longestRange = 15 * time.Minute
	jumpTo       = 10 * time.Minute
)

// Queries says what to read for the next look. While the weight is not settled that is only what the hard rules need.
func Queries(cfg Config, ev Evidence, m Moment, arms Arms) []Query {
	return cfg.Ready().Queries(ev, m, arms)
}

// Queries does what the function does.
func (r *Ready) Queries(ev Evidence, m Moment, arms Arms) []Query {
	queries := make([]Query, 0, len(r.cfg.Criteria))
	until := m.until()
	known := ev.judging(r)
	for c := range ev.reading(r.cfg, m) {
		if c.Kind == KindCondition {
			if due := ev.metrics[c.Name].dueIn(ev, c, m); !due.IsZero() && !until.Before(due) {
				queries = append(queries, Query{
					Metric: c.Name, Condition: c.Condition, Arms: arms, From: until, Until: until, Oldest: freshFor * c.Limits.Interval,
				})
			}
			continue
		}
		start := ev.start(c, m)
		back, since := lookback(seconds(ev.metrics[c.Name].Interval)), start
		if !ev.fixed(c.Name, m) {
			back, since = expectedFor, time.Time{} // the interval is still to be found
		}
		from := latest(earliest(start.Add(-back), until.Add(-expectedFor)), until.Add(-longestRange))
		q := Query{Metric: c.Name, Ratio: c.Ratio, Histogram: c.Histogram, Arms: arms, From: from, Until: until, Since: since, Base: ev.wantsBase(c, m)}
		if c.Kind == KindHistogram && known {
			q.Bounds = slices.Clone(ev.metrics[c.Name].Le)
		}
		queries = append(queries, q)
	}
	return queries
}

// start is where the windows and the increments for the hard rules of a criterion go on.
func (ev Evidence) start(c Criterion, m Moment) time.Time {
	start := ev.ruleCut(c, m).Since
	if cut, _ := ev.cut(c, m); !m.Settled.IsZero() {
		start = earliest(start, cut.Since)
	}
	return start
}

// judging reports that some bounds are chosen, and that they are those of this Config: with another one all are chosen anew.
func (ev Evidence) judging(r *Ready) bool {
	for _, c := range r.cfg.Criteria {
		if m := ev.metrics[c.Name]; c.Kind == KindHistogram && m.chosen() {
			return ev.fits(r)
		}
	}
	return false
}

// Collect makes a Batch of what was read: windows that closed since the last look, increments for the hard rules,
// and what is missing.
func Collect(cfg Config, ev Evidence, m Moment, reads []Read) Batch {
	return cfg.Ready().Collect(ev, m, reads)
}

// Collect does what the function does.
func (r *Ready) Collect(ev Evidence, m Moment, reads []Read) Batch {
	b := Batch{Moment: m, Coverage: make([]Coverage, 0, len(reads))}
	watched := ev.watched(r.cfg)
	for c := range ev.reading(r.cfg, m) {
		i := slices.IndexFunc(reads, func(one Read) bool { return one.Metric == c.Name })
		if i < 0 {
			continue
		}
		read := &reads[i]
		if c.Kind == KindCondition {
			b.Measurements = append(b.Measurements, measurementOf(*read, m))
			continue
		}
		if len(read.Base) > 0 {
			if b.Bases == nil {
				b.Bases = map[string][]Bucket{}
			}
			b.Bases[c.Name] = read.Base
		}
		if read.Err != nil {
			b.Gaps = append(b.Gaps, gapOf(*read))
			continue
		}
		targets := byTarget(read.Series, millis(m.until())) // which both cuts end at
		if c.Name == watched {
			cut := ev.ruleCut(c, m)
			windows, cov := cut.assemble(targets)
			b.Rules = spanned(windows, cov.Interval, millis(cut.Since))
			if m.Settled.IsZero() {
				// Not a cursor of windows, and not their length: the step has not begun.
				cov.Cursor, cov.Length = time.Time{}, 0
				b.Coverage = append(b.Coverage, cov)
			}
		}
		if !m.Settled.IsZero() {
			cut, lost := ev.cut(c, m)
			windows, cov := cut.assemble(targets)
			cov.Lost = lost
			b.Windows = append(b.Windows, windows...)
			b.Coverage = append(b.Coverage, cov)
		}
	}
	return b
}

// dueIn is when a condition is to be measured next at this moment; zero: not at all.
func (m metricState) dueIn(ev Evidence, c Criterion, now Moment) time.Time {
	if ev.step != now.Step || ev.at == 0 {
		return new(gateState).due(c.Limits, now.Settled) // the step is new
	}
	return m.due(c.Limits, instant(ev.at))
}

// wantsBase reports that the bounds of a histogram are still to be chosen, and stable's hour was not seen.
func (ev Evidence) wantsBase(c Criterion, m Moment) bool {
	if c.Kind != KindHistogram || m.Weight == 100 {
		return false
	}
	s := ev.metrics[c.Name]
	return !s.chosen() && (s.Base == nil || (!s.Base.Hour && !s.Base.Poor))
}

// reading are the criteria that are read at this moment.
func (ev Evidence) reading(cfg Config, m Moment) iter.Seq[Criterion] {
	watched := ev.watched(cfg)
	return func(yield func(Criterion) bool) {
		for _, c := range cfg.Criteria {
			if ev.without(c) || c.reported() || m.Step < c.FromStep || (m.Settled.IsZero() && c.Name != watched) {
				continue
			}
			if !yield(c) {
				return
			}
		}
	}
}

func (m Moment) until() time.Time { return instant(millis(m.At.Add(-settleTime))) }

// cut is where the windows of a criterion go on: at the cursor, after the warm-up, never over a weight change.
func (ev Evidence) cut(c Criterion, m Moment) (cut Cut, lost bool) {
	state := ev.metrics[c.Name]
	cut = Cut{
		Metric: c.Name, Seq: m.Seq, Weight: m.Weight, Window: c.Window,
		Apart: c.own(), Goods: c.goods(),
		Since: latest(instant(state.Cursor), m.Settled.Add(max(c.Warmup, 0))), Until: m.until(),
	}
	if ev.fixed(c.Name, m) {
		cut.Length, cut.Interval = seconds(state.Length), seconds(state.Interval)
	}
	if cut.Until.Sub(cut.Since) > longestRange-lookback(cut.Interval) {
		cut.Since, lost = cut.Until.Add(-jumpTo), true
	}
	return cut, lost
}

// fixed reports that the length of windows and the interval are settled for this step.
func (ev Evidence) fixed(metric string, m Moment) bool {
	return ev.step == m.Step && ev.metrics[metric].Length > 0
}

// ruleCut is where the increments for the hard rules go on: they look at shifting and warm-up too.
func (ev Evidence) ruleCut(c Criterion, m Moment) Cut {
	cut := Cut{
		Metric: c.Name, Seq: m.Seq, Weight: m.Weight, Length: MinWindow, Every: true, Goods: c.goods(),
		Since: instant(ev.rules.Cursor), Until: m.until(),
	}
	if ev.rules.Cursor == 0 {
		cut.Since = m.Since
	}
	if ev.fixed(c.Name, m) {
		cut.Interval = seconds(ev.metrics[c.Name].Interval)
	}
	if oldest := cut.Until.Add(-jumpTo); cut.Since.Before(oldest) {
		cut.Since = oldest
	}
	return cut
}

// spanned lets increments begin where the scrape before may have been: they are of the time since then, and found at once.
func spanned(windows []Window, interval time.Duration, cursor int64) []Window {
	for i := range windows {
		w := &windows[i]
		from := max(cursor, millis(w.End.Add(-interval)))
		w.Start = earliest(w.Start, instant(from))
		cursor = millis(w.End)
	}
	return windows
}

// measurementOf is the measurement that a read brought; a failure is one too.
func measurementOf(r Read, m Moment) Measurement {
	out := Measurement{Outcome: OutcomeError}
	if r.Measurement != nil {
		out = *r.Measurement
	}
	if r.Err != nil {
		g := gapOf(r)
		out = Measurement{Outcome: OutcomeError, Reason: g.Reason, Detail: g.Detail}
	}
	out.Metric, out.At = r.Metric, m.until()
	return out
}

func gapOf(r Read) Gap {
	g := Gap{Metric: r.Metric, Reason: Unreachable, Detail: r.Err.Error()}
	var f Failure
	if errors.As(r.Err, &f) {
		g.Reason = f.BlindReason()
	}
	if len(g.Detail) > 256 {
		g.Detail = g.Detail[:256]
	}
	return g
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
