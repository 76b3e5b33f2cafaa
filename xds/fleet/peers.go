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
)

// peers are the other replicas, as their Leases and reports show them. Times are those of this process: the clocks of
// machines are never compared. The zero value knows nobody.
type peers struct {
	of map[string]*peer // by name of the report
}

// peer is one of them.
type peer struct {
	lease   string // resourceVersion as last seen; empty: there is none
	holder  string // the process that renews it
	changed time.Time // when the Lease was last seen to change, or anything of the replica was first seen
	report  v1alpha1.FleetReportStatus
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

// renewed takes the Lease of a replica, as it was read; it reports whether the replica lives now and did not before, or
// is another process.
func (p *peers) renewed(name, version, holder string, now time.Time) bool {
	one := p.peer(name, now)
	if one.lease == version {
		return false
	}
	news := !one.lives(now) || one.holder != holder
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
	done := map[string]doneAt{}
	for _, s := range st.Splits {
		if !everywhere(s) {
			continue
		}
		next := doneAt{uid: s.UID, seq: s.Seq, at: now}
		if was, known := one.done[s.Split]; known && one.report.Incarnation == st.Incarnation && was.uid == s.UID && was.seq == s.Seq {
			next.at = was.at
		}
		done[s.Split] = next
	}
	one.report, one.done = st, done
}

// lives reports whether a replica counts.
func (one *peer) lives(now time.Time) bool {
	return one.lease != "" && one.holder != "" && now.Before(one.changed.Add(liveFor))
}

// parts are what the others that live say of a split at a seq. One that has not reported since it started says nothing
// yet, so that nothing is rendered.
func (p *peers) parts(key, uid string, seq uint64, now time.Time) []ir.Convergence {
	var out []ir.Convergence
	for _, name := range slices.Sorted(maps.Keys(p.of)) {
		switch one := p.of[name]; {
		case !one.lives(now):
		case one.report.Incarnation != one.holder:
			out = append(out, ir.Convergence{})
		default:
			out = append(out, partOf(one.report, key, uid, seq, one.done[key].at.Add(settle)))
		}
	}
	return out
}

// expires is when the next of those that live does not any more; zero: nobody lives.
func (p *peers) expires(now time.Time) time.Time {
	var next time.Time
	for _, one := range p.of {
		if at := one.changed.Add(liveFor); one.lives(now) && (next.IsZero() || at.Before(next)) {
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
