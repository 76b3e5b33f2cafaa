package analysis

import (
	"slices"
	"time"
)

// leaveAfter is how long nobody may hold an optional metric before the attempt goes on without it.
const leaveAfter = time.Minute

// Absence is an optional metric that the attempt goes on without: nobody holds it in a form that can be judged.
type Absence struct {
	Metric string
	Reason Reason
}

// absent reports that the metric is not there to be read, as its servers say themselves. A read that failed says nothing.
func (c Criterion) absent(r Reason) bool {
	switch r {
	case NotConfigured, NoSeries, WrongType, TooManySeries, TooLarge:
		return true
	case Stale:
		return c.reported() // no proxy reports
	default:
		return false
	}
}

// without reports that the attempt goes on without an optional metric. One that a step names is not optional there.
func (ev Evidence) without(c Criterion) bool { return c.Optional && ev.metrics[c.Name].Left }

// present are the criteria that the attempt does not go on without.
func (ev Evidence) present(cfg Config) []Criterion {
	return slices.DeleteFunc(slices.Clone(cfg.Criteria), ev.without)
}

// watched is the metric that the hard rules and the guard look at; empty: there is none.
func (ev Evidence) watched(cfg Config) string {
	cfg.Criteria = ev.present(cfg)
	return cfg.watched()
}

func (j *judge) watched() string { return j.ev.watched(j.cfg) }

// leave lets go of the optional metrics that nobody holds: at once where there is no server to ask, else after a minute,
// and only beside one that is judged. A metric that spoke once in the attempt is never let go of: its silence is Blind.
//
// The others have its share of alpha from then on. That keeps the promise whenever it happens, since evidence that never
// saw a window is exactly 1: where the mean over all has reached 1/alpha, the mean over the others has too, so all
// rollbacks are among those of a judge that never knew the metric. For the same reason it does not come back.
func (j *judge) leave() {
	for _, c := range j.cfg.Criteria {
		m := j.ev.metrics[c.Name]
		if m.Left || !j.unheard(c) {
			continue
		}
		beside := j.ev.metrics[j.watched()].Windows > 0 && j.watched() != c.Name
		dark := j.b.At.Sub(instant(m.Gap.Since))
		if m.Gap.Reason == NotConfigured && !c.reported() || beside && dark >= leaveAfter {
			m.Left, j.sum = true, nil
			j.ev.metrics[c.Name] = m
		}
	}
}

// unheard reports that nobody holds an optional metric, and that it has never spoken in the attempt.
func (j *judge) unheard(c Criterion) bool {
	m := j.ev.metrics[c.Name]
	return c.Optional && c.counts() && m.Gap != nil && c.absent(m.Gap.Reason) && m.Windows == 0 && !m.gathering()
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
	var out []Absence
	for _, c := range cfg.WithDefaults().Criteria {
		if m := ev.metrics[c.Name]; ev.without(c) && m.Gap != nil {
			out = append(out, Absence{Metric: c.Name, Reason: m.Gap.Reason})
		}
	}
	return out
}
