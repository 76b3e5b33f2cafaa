package rollout

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Blocker is the first reason not to raise to plan entry to (from 1; one past the last is the promotion to stable), or "".
// It looks at nothing that could stand in the way of lowering.
func Blocker(spec Spec, st State, obs Observation, now time.Time, to int) Reason {
	preparing := st.Phase == Preparing
	switch {
	case len(obs.Problems) > 0:
		return obs.Problems[0]
	case overdue(spec, st, now):
		return DeadlineExceeded
	case !preparing && holdReason(obs.Report) != "":
		return holdReason(obs.Report)
	case spec.Paused:
		return PausedInGit
	case obs.Fleet.Connected < spec.Convergence.MinProxies:
		return NoProxies
	case !obs.Fleet.Settled:
		return DataPlaneBehind
	case to >= 1 && to <= len(st.Plan) && !enough(spec, st, obs, st.Plan[to-1].Weight):
		return InsufficientCapacity
	}
	return ""
}

// overdue reports that the attempt took longer than it may, by the wall clock.
func overdue(spec Spec, st State, now time.Time) bool {
	return st.Phase.Open() && !now.Before(st.Progress.StartedAt.Add(spec.MaxDuration))
}

// holdReason is what in a report forbids a raise even after the gate.
func holdReason(r analysis.Report) Reason {
	switch {
	case r.Verdict == analysis.Blind:
		return Blind
	case r.Verdict == analysis.Inconclusive && r.Reason.Holds():
		return Reason(r.Reason)
	}
	return ""
}

// enough reports that the canary has the ready endpoints that a weight needs. Nobody raises into the unknown.
func enough(spec Spec, st State, obs Observation, weight int) bool {
	base := max(st.Progress.Base, obs.Ready.Stable)
	return weight == 0 || obs.Ready.Known && obs.Ready.Canary >= spec.Capacity.Need(weight, base)
}
