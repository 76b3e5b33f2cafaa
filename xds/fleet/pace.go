package fleet

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	gather    = 250 * time.Millisecond // a change that is not urgent waits for others
	perSecond = 4                      // writes at most
)

// pace decides when to write. The zero value has written nothing.
type pace struct {
	written v1alpha1.FleetReportStatus // last; without Incarnation: nothing yet
	at      []time.Time                // of the newest writes, at most perSecond, oldest first
	changed time.Time                  // since when something else is to be written; zero: nothing is
	urgent  bool
}

// look takes what would be written now, and says when to: zero means there is nothing to write.
func (p *pace) look(next v1alpha1.FleetReportStatus, now time.Time) time.Time {
	if equality.Semantic.DeepEqual(next, p.written) {
		p.changed, p.urgent = time.Time{}, false
		return time.Time{}
	}
	if p.changed.IsZero() {
		p.changed = now
	}
	p.urgent = p.urgent || urgent(p.written, next)
	due := p.changed
	if !p.urgent {
		due = due.Add(gather)
	}
	if len(p.at) == perSecond {
		if free := p.at[0].Add(time.Second); free.After(due) {
			due = free
		}
	}
	return due
}

// tried notes that a write was made; that it succeeded is for wrote.
func (p *pace) tried(now time.Time) {
	if p.at = append(p.at, now); len(p.at) > perSecond {
		p.at = p.at[1:]
	}
}

// wrote notes what is stored now.
func (p *pace) wrote(status v1alpha1.FleetReportStatus) {
	p.written, p.changed, p.urgent = status, time.Time{}, false
}

// urgent reports whether somebody may wait for the change: a split is rendered anew, runs everywhere, or is rejected.
func urgent(before, next v1alpha1.FleetReportStatus) bool {
	if before.Incarnation != next.Incarnation || next.Proxies.Rejected > before.Proxies.Rejected {
		return true
	}
	type name struct{ split, uid string }
	old := map[name]v1alpha1.FleetSplit{}
	for _, s := range before.Splits {
		old[name{s.Split, s.UID}] = s
	}
	for _, s := range next.Splits {
		was, known := old[name{s.Split, s.UID}]
		delete(old, name{s.Split, s.UID})
		anew := !known || s.Seq != was.Seq
		switch {
		case s.Rendered && (anew || !was.Rendered):
			return true
		case everywhere(s) && (anew || !everywhere(was)):
			return true
		case s.Nacked > was.Nacked, s.Nacked > 0 && anew, s.FirstNack != nil && was.FirstNack == nil:
			return true
		}
	}
	return len(old) > 0 // it has come to rest, and every proxy runs it
}

func everywhere(s v1alpha1.FleetSplit) bool {
	return s.Rendered && s.Connected > 0 && s.Acked == s.Connected && s.Lost == 0
}
