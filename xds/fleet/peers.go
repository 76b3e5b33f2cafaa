package fleet

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	liveFor  = 15 * time.Second // after its Lease was last seen to change
	settle   = time.Second      // after a report that all have acknowledged: Envoy's workers follow a moment later
	keepDead = 10 * time.Minute // what is left of a replica that does not live any more
	late     = 10 * time.Second // since the own Lease was seen to change, after which what is seen of others is old as well
)

// peers are the other replicas, as their Leases and reports show them. Times are those of this process: the clocks of
// machines are never compared. The zero value knows nobody.
type peers struct {
	of  map[string]*peer // by name of the report
	own time.Time        // when this process last saw its own Lease change; zero: never
}

// peer is one of them.
type peer struct {
	lease   string    // resourceVersion as last seen; empty: there is none
	holder  string    // the process that renews it
	changed time.Time // when the Lease was last seen to change, or anything of the replica was first seen
	report  v1alpha1.FleetReportStatus
	at      map[string]int    // where a split first stands in the report
	done    map[string]doneAt // by split
}

// doneAt is when a traffic seq was first seen to be run by all proxies of a replica.
type doneAt struct {
	uid string
	seq int64
	at  time.Time
}

func (p *peers) peer(name string, now time.Time) *peer {
	if p.of == nil {
		p.of = map[string]*peer{}
	}
	if p.of[name] == nil {
		p.of[name] = &peer{changed: now}
	}
	return p.of[name]
}

// looked notes that this process has seen its own Lease change. After it had seen nothing for a while, the others get the
// time to be seen, too: that they were not renewed may be the watch's silence, and not theirs.
func (p *peers) looked(now time.Time) {
	if p.stale(now) {
		for _, one := range p.of {
			one.changed = now
		}
	}
	p.own = now
}

// stale reports that this process does not see what happens any more, its own renewals neither.
func (p *peers) stale(now time.Time) bool { return !p.own.IsZero() && now.After(p.own.Add(late)) }

// renewed takes the Lease of a replica, as it was read; it reports whether the replica lives now and did not before, or
// is another process.
func (p *peers) renewed(name, version, holder string, now time.Time) bool {
	one := p.peer(name, now)
	if one.lease == version {
		return false
	}
	news := !p.lives(one, now) || one.holder != holder
	one.lease, one.holder, one.changed = version, holder, now
	return news
}

// released notes that a replica has no Lease.
func (p *peers) released(name string) {
	if one := p.of[name]; one != nil {
		one.lease = ""
	}
}

// reported takes the report of a replica; the zero status: there is none.
func (p *peers) reported(name string, st v1alpha1.FleetReportStatus, now time.Time) {
	one := p.peer(name, now)
	done, at := map[string]doneAt{}, make(map[string]int, len(st.Splits))
	for i, s := range st.Splits {
		if _, listed := at[s.Split]; !listed {
			at[s.Split] = i
		}
		if !everywhere(s) {
			continue
		}
		next := doneAt{uid: s.UID, seq: s.Seq, at: now}
		if was, known := one.done[s.Split]; known && one.report.Incarnation == st.Incarnation && was.uid == s.UID && was.seq == s.Seq {
			next.at = was.at
		}
		done[s.Split] = next
	}
	one.report, one.at, one.done = st, at, done
}

// lives reports whether a replica counts. While nothing is seen of anybody, those that did still do.
func (p *peers) lives(one *peer, now time.Time) bool {
	return one.lease != "" && one.holder != "" && (p.stale(now) || now.Before(one.changed.Add(liveFor)))
}

// parts are what the others that live say of a split at a seq. One that has not reported since it started says nothing
// yet, so that nothing is rendered.
func (p *peers) parts(key, uid string, seq uint64, now time.Time) []ir.Convergence {
	var out []ir.Convergence
	for _, name := range slices.Sorted(maps.Keys(p.of)) {
		switch one := p.of[name]; {
		case !p.lives(one, now):
		case one.report.Incarnation != one.holder:
			out = append(out, ir.Convergence{})
		default:
			out = append(out, partOf(one.report.Proxies, one.split(key), ask{uid, seq}, one.done[key].at.Add(settle)))
		}
	}
	return out
}

// split is the first entry of a split in the report; nil: there is none.
func (p *peer) split(key string) *v1alpha1.FleetSplit {
	i, listed := p.at[key]
	if !listed {
		return nil
	}
	return &p.report.Splits[i]
}

// expires is when the next of those that live does not any more; zero: nobody lives.
func (p *peers) expires(now time.Time) time.Time {
	var next time.Time
	for _, one := range p.of {
		if at := one.changed.Add(liveFor); p.lives(one, now) && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// dead are those of which nothing was seen for so long that what is left of them may go.
func (p *peers) dead(now time.Time) []string {
	var out []string
	for name, one := range p.of {
		if !now.Before(one.changed.Add(keepDead)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// forget drops a replica of which nothing is left.
func (p *peers) forget(name string) { delete(p.of, name) }
