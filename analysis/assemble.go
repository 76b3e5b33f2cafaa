package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Cut says how samples are cut into windows.
type Cut struct {
	Metric   string
	Seq      uint64        // stamped on the windows
	Since    time.Time     // the cursor: where the first window starts
	Until    time.Time     // samples after it are not looked at
	Window   time.Duration // length wanted, where Length is 0: at least the scrape interval is taken
	Length   time.Duration // length fixed before; 0: to be chosen from the samples
	Interval time.Duration // between scrapes, fixed before; 0: to be found in the samples
	Weight   int           // at 100 a window closes on the canary's requests alone
	Every    bool          // close at each boundary, whatever the traffic: increments for the hard rules
	Goods    bool          // series count good events: the rest is bad
	Apart    bool          // the arms are counted by different targets, scraped at different times
}

// How far back a value at the cursor may lie, where the interval is short, and how long a target stays expected.
const (
	leastLookback = 30 * time.Second
	expectedFor   = 5 * time.Minute
)

// lookback is how old a target's last scrape may be before it counts as lost.
func lookback(interval time.Duration) time.Duration { return max(4*interval, leastLookback) }

// Assemble cuts raw samples into closed windows. The windows are a function of (Since, Length, Interval, samples)
// alone, not of when or how often one asks: a later call that starts at the end of a window gives the windows that
// this one would have given. What is not closed yet is left to that later call.
//
// An increment belongs to the scrape that shows it. A counter that falls has started anew: its new value counts. A
// series that appears on a target already known counts from 0. The first sight of a target counts nothing.
func Assemble(cut Cut, series []Series) ([]Window, Coverage) {
	return cut.assemble(byTarget(series, millis(cut.Until)))
}

// assemble cuts what was scraped from targets up to Until.
func (c Cut) assemble(targets []target) ([]Window, Coverage) {
	since, until := millis(c.Since), millis(c.Until)
	cov := Coverage{Metric: c.Metric, Cursor: c.Since, Interval: c.Interval, Length: c.Length}
	if cov.Interval == 0 {
		cov.Interval = interval(targets, since)
	}
	if cov.Length == 0 && cov.Interval > 0 {
		cov.Length = c.length(cov.Interval)
	}
	cov.look(targets, until)
	if cov.Interval == 0 && !c.Every { // without windows of a length it matters only for how old a value may be
		return nil, cov
	}
	increments := grow(targets, since, lookback(cov.Interval))
	for _, inc := range increments {
		if inc.by > 0 && inc.of.all() {
			if inc.of.Arm == Canary {
				cov.LastCanary = instant(inc.at)
			} else {
				cov.LastStable = instant(inc.at)
			}
		}
	}
	windows, cursor := closeWindows(c, cov.Length, increments)
	cov.Cursor = instant(cursor)
	return windows, cov
}

// length is the length of windows at that interval. Where the arms are scraped apart, a window spans several scrapes.
func (c Cut) length(interval time.Duration) time.Duration {
	if c.Apart {
		return max(c.Window, 15*time.Second, 3*interval)
	}
	return max(c.Window, interval)
}

// interval is the median spacing of scrapes in whole seconds, at least one; 0 where fewer than three spacings are
// known. It looks at what lies before the cursor, and where that is too little at the first spacings after it, so
// that it does not depend on when one asks.
func interval(targets []target, since int64) time.Duration {
	type spacing struct{ end, length int64 }
	var before, after []spacing
	for _, t := range targets {
		for i := 1; i < len(t.scrapes); i++ {
			s := spacing{end: t.scrapes[i], length: t.scrapes[i] - t.scrapes[i-1]}
			switch {
			case s.end > since:
				after = append(after, s)
			case s.end > since-expectedFor.Milliseconds():
				before = append(before, s)
			}
		}
	}
	if len(before) < 3 {
		slices.SortFunc(after, func(a, b spacing) int { return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.length, b.length)) })
		before = append(before, after[:min(len(after), 3-len(before))]...)
	}
	if len(before) < 3 {
		return 0
	}
	slices.SortFunc(before, func(a, b spacing) int { return cmp.Compare(a.length, b.length) })
	median := before[len(before)/2].length
	return max(time.Duration(math.Round(float64(median)/1000)), 1) * time.Second
}

// look notes what the samples cover at their end.
func (c *Coverage) look(targets []target, until int64) {
	quiet := max(3*c.Interval, quietSamples).Milliseconds()
	for _, t := range targets {
		last := t.scrapes[len(t.scrapes)-1]
		c.Newest = instant(max(millis(c.Newest), last))
		if until-last < expectedFor.Milliseconds() {
			c.Expected++
			if until-last > quiet {
				c.Missing++
			}
		}
		c.Total = c.Total || slices.ContainsFunc(t.series, (*Series).all)
	}
	c.Bounds = common(targets)
}

// increment is what one scrape shows a counter to have grown by.
type increment struct {
	at int64
	by float64
	of *Series
}

// grow finds the increments of all scrapes after since, by time.
func grow(targets []target, since int64, back time.Duration) []increment {
	most := 0
	for _, t := range targets {
		most += (len(t.scrapes) - t.firstAfter(since)) * len(t.series)
	}
	incs := make([]increment, 0, most)
	for _, t := range targets {
		for i := t.firstAfter(since); i < len(t.scrapes); i++ {
			at := t.scrapes[i]
			floor := at - back.Milliseconds()
			if t.scrapes[i-1] < floor {
				continue // a first sight
			}
			for _, s := range t.series {
				if by, ok := s.grown(at, floor); ok {
					incs = append(incs, increment{at: at, by: by, of: s})
				}
			}
		}
	}
	slices.SortStableFunc(incs, func(a, b increment) int { return cmp.Compare(a.at, b.at) })
	return incs
}

// grown is the increment that the scrape at shows, against the last value not older than floor. The target is known
// to have been scraped since floor, so a series without such a value was absent there.
func (s *Series) grown(at, floor int64) (by float64, ok bool) {
	i, found := slices.BinarySearchFunc(s.Points, at, func(p Point, t int64) int { return cmp.Compare(p.T, t) })
	if !found {
		return 0, false
	}
	value := s.Points[i].V
	if i == 0 || s.Points[i-1].T < floor || value < s.Points[i-1].V {
		return value, true
	}
	return value - s.Points[i-1].V, true
}

// open is a window that is still being filled.
type open struct {
	canary, stable filling
}

// filling is one arm of it.
type filling struct {
	total, bad, good float64
	within           buckets
}

func (o *open) add(inc increment) {
	arm := &o.stable
	if inc.of.Arm == Canary {
		arm = &o.canary
	}
	switch inc.of.Role {
	case Total:
		arm.total += inc.by
	case Bad:
		arm.bad += inc.by
	case Good:
		arm.good += inc.by
	case Within:
		if inc.of.all() {
			arm.total += inc.by
		}
		arm.within.add(inc.of.Le, inc.by)
	}
}

// counts are whole requests; what is not good is bad where goods are counted.
func (f filling) counts(goods bool) Counts {
	bad := f.bad
	if goods {
		bad = max(0, f.total-f.good)
	}
	n := uint64(math.Round(min(f.total, 1<<53)))
	return Counts{N: n, Bad: min(uint64(math.Round(min(bad, 1<<53))), n)}
}

// closeWindows walks over the boundaries cursor + j length. The rule looks at traffic only, never at outcomes: else
// the choice of where to stop would itself be evidence.
func closeWindows(cut Cut, length time.Duration, incs []increment) (windows []Window, cursor int64) {
	cursor = millis(cut.Since)
	until, step := millis(cut.Until), length.Milliseconds()
	var o open
	next := 0
	for boundary := cursor + step; boundary <= until; boundary += step {
		for next < len(incs) && incs[next].at <= boundary {
			o.add(incs[next])
			next++
		}
		w := Window{Metric: cut.Metric, Seq: cut.Seq, Start: instant(cursor), End: instant(boundary)}
		w.Canary, w.Stable = o.canary.counts(cut.Goods), o.stable.counts(cut.Goods)
		w.Le = o.bound(&w)
		full := w.Canary.N > 0 && (w.Stable.N > 0 || cut.Weight == 100)
		switch {
		case full, cut.Every:
			if full || w.Canary.N+w.Stable.N > 0 {
				windows = append(windows, w)
			}
		case boundary-cursor < MaxOpen.Milliseconds():
			continue
		}
		cursor, o = boundary, open{}
	}
	return windows, cursor
}
