package controller

import (
	"errors"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// retries is how often units could not be applied in a row, and when each is tried again, by their first object.
type retries map[gitsync.ID]retry

type retry struct {
	tries int
	next  time.Time
	err   error
}

// postpone takes out of the set what is not to be tried yet: units whose last try is too young, and contested objects
// that Git wants nothing new of.
func (p *pass) postpone(r *result) {
	m := p.memory
	wait := func(it gitsync.Item) bool {
		return p.started.Before(m.units[unitKey(r.set, it.Unit)].next)
	}
	waiting := map[int]bool{}
	r.set.Items = slices.DeleteFunc(r.set.Items, func(it gitsync.Item) bool {
		if wait(it) {
			waiting[it.Unit] = true
			return true
		}
		id := it.Object.ID
		return m.applied[id].Hash == it.Hash && it.Hash != "" && p.started.Before(m.drift.repairs[id].Next(p.started))
	})
	r.put = len(waiting)
}

func unitKey(set gitsync.Set, unit int) gitsync.ID { return set.Units[unit].Objects[0] }

// retry notes which units are to be tried again, and when.
func (p *pass) retry(r *result) {
	m := p.memory
	troubled := map[gitsync.ID]error{}
	for _, t := range r.outcome.Troubled {
		key := unitKey(r.set, t.Unit)
		troubled[key] = errors.Join(troubled[key], t.Err)
	}
	for _, it := range r.set.Items {
		key := unitKey(r.set, it.Unit)
		if troubled[key] == nil {
			delete(m.units, key)
		}
	}
	for key, err := range troubled {
		u := m.units[key]
		u.tries++
		u.err = err
		wait := time.Duration(float64(doubled(firstRetry, u.tries, longestRetry)) * (0.8 + 0.4*p.controller.config.Random()))
		if failure, ok := errors.AsType[*gitsync.Failure](err); ok {
			wait = max(wait, failure.RetryAfter)
		}
		u.next = p.started.Add(wait)
		m.units[key] = u
	}
	r.put += len(troubled)
	m.again = time.Time{}
	for _, u := range m.units {
		m.again = sooner(m.again, u.next)
	}
}

// worst gives the trouble of the unit that was tried most often.
func (u retries) worst() (out retry) {
	for _, one := range u {
		if one.tries > out.tries || (one.tries == out.tries && (out.err == nil || one.err.Error() < out.err.Error())) {
			out = one
		}
	}
	return out
}

// sooner gives the earlier of two instants, where zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
