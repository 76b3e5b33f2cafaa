package analysis

import (
	"slices"
	"time"
)

// leaveAfter is how long looks may find an optional metric absent, and nothing else, before the attempt goes on without it.
const leaveAfter = time.Minute

// Absence is an optional metric that the attempt goes on without: nobody holds it in a form that can be judged.
type Absence struct {
	Metric string
	Reason Reason
}

// absent reports that the metric is not there to be read, as its servers say themselves. A read that failed says nothing,
// and an answer that was too large says as little: other metrics may have been asked for with it. So may one of too many
// series (listen); of a metric that was read, that reason means its bounds.
func (c Criterion) absent(r Reason) bool {
	switch r {
	case NotConfigured, NoSeries, WrongType, TooManySeries:
		return true
	case Stale:
		return c.reported() // no proxy reports
	default:
		return false
	}
}

// without reports that the attempt goes on without an optional metric. One that a step names is not optional there.
func (ev Evidence) without(c Criterion) bool { return c.Optional && ev.metrics[c.Name].Left }

// watched is the metric that the hard rules and the guard look at; empty: there is none.
func (ev Evidence) watched(cfg Config) string {
	first := ""
	for i := range cfg.Criteria { // sorted by name
		switch k := &cfg.Criteria[i]; {
		case k.DryRun, k.Kind != KindRatio, ev.without(*k):
		case k.Name == errorsName:
			return k.Name
		case k.reported():
			first = k.Name
		case first == "" && k.Required:
			first = k.Name
		}
	}
	return first
}

func (j *judge) watched() string { return j.ev.watched(j.cfg) }

// leave lets go of the optional metrics that nobody holds: at once where there is no server to ask, else after a minute
// of looks that all say so, and only beside one that is judged. It takes a look: neither time nor load reports alone do
// it. A metric that was heard once in the attempt is never let go of: its silence is Blind.
//
// The others have its share of alpha from then on. That keeps the promise whenever it happens, since evidence that never
// saw a window is exactly 1: where the mean over all has reached 1/alpha, the mean over the others has too, so all
// rollbacks are among those of a judge that never knew the metric. For the same reason it does not come back.
func (j *judge) leave() {
	for _, c := range j.cfg.Criteria {
		m := j.ev.metrics[c.Name]
		if m.Left || !j.unheard(c) || !j.looked(c) {
			continue
		}
		beside := j.ev.metrics[j.watched()].Windows > 0 && j.watched() != c.Name
		dark := m.Absent != 0 && millis(j.b.At)-m.Absent >= leaveAfter.Milliseconds()
		if m.Gap.Reason == NotConfigured && !c.reported() || beside && dark {
			m.Left, j.sum = true, nil
			j.ev.metrics[c.Name] = m
		}
	}
}

// looked reports that the batch brings a look at the metric. At load reports every batch looks.
func (j *judge) looked(c Criterion) bool {
	if c.reported() || j.b.Stands {
		return c.reported()
	}
	return slices.ContainsFunc(j.b.Coverage, func(cov Coverage) bool { return cov.Metric == c.Name }) ||
		j.failed(c)
}

// failed reports that the metric could not be read at this look.
func (j *judge) failed(c Criterion) bool {
	return slices.ContainsFunc(j.b.Gaps, func(g Gap) bool { return g.Metric == c.Name })
}

// listen notes of each metric that was looked at whether there were samples, else since when no look has found any.
func (j *judge) listen() {
	at := millis(j.b.At)
	for _, c := range j.cfg.Criteria {
		m := j.ev.metrics[c.Name]
		if !c.Optional || !j.looked(c) {
			continue
		}
		switch {
		case c.reported():
			if m.Absent == 0 {
				m.Absent = at // the first look of this process
			}
			m.Absent = max(m.Absent, m.Seen[0])
		case m.Gap == nil || !c.absent(m.Gap.Reason) || m.Gap.Reason == TooManySeries && j.failed(c):
			m.Absent = 0
		case m.Absent == 0:
			m.Absent = at
		}
		m.Heard = m.Heard || j.samples(m, c)
		j.ev.metrics[c.Name] = m
	}
}

// samples reports that the batch has samples of a metric that can be judged, of either arm or of stable's hour.
func (j *judge) samples(m metricState, c Criterion) bool {
	if slices.ContainsFunc(j.b.Bases[c.Name], func(b Bucket) bool { return b.N > 0 }) {
		return true
	}
	return (m.Gap == nil || !c.absent(m.Gap.Reason)) && slices.ContainsFunc(j.b.Coverage, func(cov Coverage) bool {
		return cov.Metric == c.Name && cov.Total && !cov.Newest.IsZero()
	})
}

// unheard reports that nobody holds an optional metric, and that it was never heard in the attempt.
func (j *judge) unheard(c Criterion) bool {
	m := j.ev.metrics[c.Name]
	quiet := m.Absent != 0 && m.Gap != nil && c.absent(m.Gap.Reason)
	return c.Optional && c.counts() && quiet && !m.Heard && m.Windows == 0 && !m.gathering()
}

// awaited reports that an optional metric is not held by anybody so far, while another one may be: not yet Blind.
func (j *judge) awaited(c Criterion) bool { return j.watched() != c.Name && j.unheard(c) }

// requires reports that promotion needs the criterion. Without a server that counts answers, attempts stand in for errors.
func (j *judge) requires(c Criterion) bool {
	if j.ev.without(c) {
		return false
	}
	return c.Required || j.standsIn(c)
}

func (j *judge) standsIn(c Criterion) bool {
	return c.Optional && c.reported() && slices.ContainsFunc(j.cfg.Criteria, func(k Criterion) bool {
		return k.Name == errorsName && k.Required && j.ev.without(k)
	})
}

// Without are the metrics that the attempt goes on without.
func (ev Evidence) Without(cfg Config) []Absence {
	return ev.absences(cfg.WithDefaults().Criteria)
}

func (ev Evidence) absences(criteria []Criterion) []Absence {
	var out []Absence
	for _, c := range criteria {
		if !c.Optional {
			continue
		}
		if m := ev.metrics[c.Name]; ev.without(c) && m.Gap != nil {
			out = append(out, Absence{Metric: c.Name, Reason: m.Gap.Reason})
		}
	}
	return out
}
