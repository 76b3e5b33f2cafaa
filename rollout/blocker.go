package rollout

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Blocker is the first reason not to raise to plan entry to (from 1; one past the last is the promotion to stable), or "".
// It looks at nothing that could stand in the way of lowering.
func Blocker(spec Spec, st State, obs Observation, now time.Time, to int) Reason {
	if len(obs.Problems) > 0 {
		return obs.Problems[0]
	}
	if r := stepBlocker(spec, st, obs, now); r != "" {
		return r
	}
	if r := personBlocker(spec, st, obs); r != "" || st.Kind.Observe {
		return r
	}
	switch {
	case obs.Fleet.Connected < spec.Convergence.MinProxies:
		return NoProxies
	case !obs.Fleet.Settled:
		return DataPlaneBehind
	case to >= 1 && to <= len(st.Plan) && !enough(spec, st, obs, to):
		return InsufficientCapacity
	}
	return ""
}

// stepBlocker is what a person may end for the present step, by promoting it.
func stepBlocker(spec Spec, st State, obs Observation, now time.Time) Reason {
	override := st.Progress.Wishes.Override
	held := st.Phase != Preparing
	switch {
	case override > 0 && override == st.Traffic.Step:
		return ""
	case overdue(spec, st, now):
		return DeadlineExceeded
	case held && holdReason(st, obs.Report) != "":
		return holdReason(st, obs.Report)
	case held && pausing(st, obs):
		return PauseStep
	}
	return ""
}

// personBlocker is what people asked for or the calendar says. An attempt back to the former stable version, which a person
// asked for, waits neither for Git nor for the calendar.
func personBlocker(spec Spec, st State, obs Observation) Reason {
	free := st.Progress.Wishes.OverrideWindow || st.Kind.Undo || st.Kind.Observe
	switch {
	case st.Phase != Preparing && st.Lacks(st.Traffic.Step) > 0:
		return ApprovalNeeded
	case st.Progress.Wishes.Paused:
		return ManualPause
	case spec.Paused && !st.Kind.Undo:
		return PausedInGit
	case !free && obs.Window.Reason != "":
		return obs.Window.Reason
	}
	return ""
}

// personal reports that a blocker is a person's will or the calendar, so that waiting for it is no lack of progress.
func personal(block Reason) bool {
	switch block {
	case DeadlineExceeded, PauseStep, ApprovalNeeded, ManualPause, PausedInGit, OutsideWindow, Frozen:
		return true
	default:
		return false
	}
}

// overdue reports that the attempt took longer than it may, by the wall clock.
func overdue(spec Spec, st State, now time.Time) bool {
	return st.Phase.Open() && !now.Before(st.Progress.StartedAt.Add(spec.MaxDuration))
}

// pausing reports that the pause of the present step, which begins with its gate, is not over.
func pausing(st State, obs Observation) bool {
	pause := st.Stage().Pause
	g, gated := st.Gate()
	fresh := !gated || g.Seq > st.Seq // recorded only now
	return pause.On && (pause.For == 0 || fresh || max(st.Progress.Clocks.Gate, obs.Clocks.Gate) < pause.For)
}

// blind reports that the metrics say nothing. Where a step chooses who is sent to the canary, it may be nobody.
func blind(st State, r analysis.Report) bool {
	chosen := st.Stage().selects() && (r.Reason == analysis.NoTraffic || r.Reason == analysis.NoCanaryTraffic)
	return r.Verdict == analysis.Blind && !chosen
}

// unread reports that a metric which the gate requires cannot be read just now. What cannot be read is not yet Blind, and
// no sign of health either: a step does not end by time in such a moment. Nobody asking is no failure to read.
func unread(r analysis.Report) bool {
	for _, m := range r.Metrics {
		if m.Required && m.Gap != "" && m.Gap != analysis.NoTraffic && m.Gap != analysis.NoCanaryTraffic {
			return true
		}
	}
	return false
}

// holdReason is what in a report forbids a raise even after the gate.
func holdReason(st State, r analysis.Report) Reason {
	switch {
	case blind(st, r):
		return Blind
	case r.Verdict == analysis.Inconclusive && r.Reason.Holds():
		return Reason(r.Reason)
	}
	return ""
}

// enough reports that the canary has the ready endpoints that a step needs. Nobody raises into the unknown.
func enough(spec Spec, st State, obs Observation, to int) bool {
	return !st.Plan[to-1].Sends() || obs.Ready.Known && obs.Ready.Canary >= need(spec, st, obs, to)
}

// need is how many ready canary endpoints plan entry to needs. A step that is reached at one go needs the whole share.
func need(spec Spec, st State, obs Observation, to int) int {
	capacity := spec.Capacity
	skipped, _ := st.gateOf(to - 1)
	if st.Kind.Proven || st.Kind.Undo || st.Progress.Wishes.Full || skipped.Result == PassSkipped {
		capacity.Ratio = 100
	}
	return capacity.Need(st.Plan[to-1].Weight, max(st.Progress.Base, obs.Ready.Stable))
}
