package analysis

import "time"

// Silence of load reports: nobody reports a request for that long.
const quietLoads = time.Minute

// openWindow is a window of the metric attempts that is still being filled.
type openWindow struct {
	Start   int64     `json:"from"` // Unix ms
	End     int64     `json:"to"`   // of what it holds so far
	Counts  [4]uint64 `json:"c"`    // canary n and bad, stable n and bad
	Covered int64     `json:"ms"`   // of reports in it
}

// attempt adds a second to the open window of the metric attempts, and gives the window when that closes it: at the first
// boundary at which both arms have a request. It looks at traffic only.
func (j *judge) attempt(w Window) (closed Window, whole bool) {
	l := &j.ev.loads
	c, wanted := j.attempts()
	if !wanted || j.ev.without(c) {
		return Window{}, false
	}
	j.see(w)
	begin := j.b.Settled.Add(max(c.Warmup, 0))
	if j.b.Settled.IsZero() || w.Start.Before(begin) {
		l.Window = nil
		return Window{}, false
	}
	if l.Window == nil || l.Window.Start < millis(begin) {
		l.Window = &openWindow{Start: millis(w.Start), End: millis(w.Start)}
	}
	o := l.Window
	before := o.End
	o.End = millis(w.End)
	o.Covered += o.End - millis(w.Start)
	for i, n := range w.four() {
		o.Counts[i] += n
	}
	length := c.Window.Milliseconds()
	if (o.End-o.Start)/length == (before-o.Start)/length {
		return Window{}, false
	}
	full := o.Counts[0] > 0 && (o.Counts[2] > 0 || j.b.Weight == 100)
	if !full && o.End-o.Start < MaxOpen.Milliseconds() {
		return Window{}, false
	}
	l.Window = nil
	p := pair(o.Counts)
	closed = Window{Metric: Attempts, Seq: w.Seq, Start: instant(o.Start), End: instant(o.End), Canary: p.Canary, Stable: p.Stable}
	closed.Unseen = time.Duration(o.End-o.Start-o.Covered) * time.Millisecond
	return closed, full
}

// attempts is the criterion that load reports feed.
func (j *judge) attempts() (Criterion, bool) {
	for _, c := range j.cfg.Criteria {
		if c.reported() {
			return c, true
		}
	}
	return Criterion{}, false
}

// see notes which arms had requests.
func (j *judge) see(w Window) {
	m := j.ev.metrics[Attempts]
	m.Heard = true
	m.Seen[0] = max(m.Seen[0], millis(w.End))
	if w.Canary.N > 0 {
		m.Seen[1] = max(m.Seen[1], millis(w.End))
	}
	if w.Stable.N > 0 {
		m.Seen[2] = max(m.Seen[2], millis(w.End))
	}
	j.ev.metrics[Attempts] = m
}

// coverLoads says whether load reports are usable: of silence only a minute tells something.
func (j *judge) coverLoads() {
	if c, wanted := j.attempts(); !wanted || j.ev.without(c) {
		return
	}
	m := j.ev.metrics[Attempts]
	at := millis(j.b.At)
	switch {
	case at-m.Seen[0] >= quietLoads.Milliseconds():
		m.Gap = &gap{Reason: Stale, Since: m.Seen[0]}
	case j.ev.at != 0 && m.Seen[0]-m.Seen[1] >= quietCanary.Milliseconds() && m.Seen[0]-m.Seen[2] < quietCanary.Milliseconds() && !j.ev.share.holds(j.b.At):
		m.Gap = &gap{Reason: NoCanaryTraffic, Since: m.Seen[1]}
	default:
		m.Gap = nil
	}
	j.ev.metrics[Attempts] = m
}
