package controller

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// trusted is a report by which something may be decided: one that grew old, because the looks since do not end, is Blind.
// Harm that was found stays found.
func (p *pass) trusted(r analysis.Report) analysis.Report {
	age := time.Duration(0)
	switch at := p.memory.judged.at; {
	case r.Verdict == analysis.Rollback:
	case !r.At.IsZero():
		age = p.now.Sub(lookOf(r.At, p.memory.judged.looked.at))
	case at != 0 && p.judging() && p.memory.looking():
		age = p.mono - at
	}
	if age <= queryTimeout+3*p.tick() {
		return r
	}
	r.Verdict, r.Reason, r.Metric, r.Blind = analysis.Blind, analysis.Timeout, "", age
	r.Message = "no look at the metrics has ended for " + analysis.Span(age)
	return r
}

// unjudged reports that the canary is sent traffic and this process has no verdict on it yet: it does not know whether
// there is something that the one before it waited for.
func (p *pass) unjudged(r analysis.Report) bool {
	return p.state.Phase.Open() && p.state.Phase != rollout.Preparing && p.sent() && r.At.IsZero()
}

// returned reports that as many proxies take part as before this process saw the object, or that they had the time to come
// back: after a restart the first of them is not the fleet.
func (p *pass) returned() bool {
	return p.fleet.Connected >= p.memory.proxies || p.mono-p.memory.first >= min(reconnect, p.spec.Convergence.Timeout/2)
}

// raises reports that next sends the canary more, makes it stable, or grants a gate.
func raises(st, next rollout.State) bool {
	return next.Traffic.Weight > st.Traffic.Weight || next.Stable != st.Stable || len(next.Gates) > len(st.Gates)
}

// patience is what follows from a state in which a verdict is waited for.
func (p *pass) patience() rollout.Actions {
	var out rollout.Actions
	if s := p.object.Status; s != nil && s.Deadline != nil {
		out.Deadline = instant(*s.Deadline)
	}
	return out
}

// looking reports that a query is under way.
func (m *memory) looking() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// lookOf is when the metrics in a report were looked at: load reports make it newer than they are.
func lookOf(report, looked time.Time) time.Time {
	if looked.IsZero() {
		return report
	}
	return looked
}
