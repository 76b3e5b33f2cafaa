package rollout

import "time"

// actions is what follows from the turn.
func (t *turn) actions() Actions {
	acts := Actions{Transition: t.moved, Consumed: t.consumed, Finalize: t.finalize, Deadline: t.limit()}
	acts.Wake = acts.Deadline
	if t.moved != nil || t.consumed != nil {
		acts.Wake = t.now
	}
	return acts
}

// limit is the earliest time at which a row can hold that does not hold now; zero where none waits for time.
func (t *turn) limit() time.Time {
	st, clocks, spec := t.next, t.next.Progress.Clocks, t.spec
	w := waiter{now: t.now}
	switch st.Phase {
	case Idle, RolledBack:
		if st.Previous.Name != "" && t.settled() {
			w.at(st.Previous.Until)
		}
		return w.wake
	case RollingBack:
		if !st.Traffic.Sends() {
			w.until(t.confirmLimit(), clocks.Phase)
			w.until(nobodyLimit, clocks.Phase)
		}
	case Preparing:
		w.until(spec.ProgressDeadline, clocks.Phase)
	case Shifting:
		w.until(spec.Convergence.Timeout, max(clocks.Phase, clocks.Few))
	case Baking, Holding:
		w.until(st.Stage().Min, clocks.Step)
		w.until(st.Stage().Max, clocks.Step)
		w.until(st.Stage().Pause.For, clocks.Gate)
		if stuck(st.Progress.Hold) {
			w.until(spec.ProgressDeadline, clocks.Phase)
		}
		if clocks.Blind > 0 {
			w.until(spec.Analysis.BlindAfter, clocks.Blind)
		}
	}
	if st.Phase.Open() {
		if t.obs.Window.Reason != "" {
			w.at(t.obs.Window.Until)
		}
		w.at(st.Progress.StartedAt.Add(spec.MaxDuration))
		if clocks.Empty > 0 || st.Traffic.Sends() && t.obs.Ready.Known && t.obs.Ready.Canary == 0 {
			w.until(emptyLimit, clocks.Empty)
		}
	}
	return w.wake
}

// confirmLimit is how long weight 0 may take to be confirmed.
func (t *turn) confirmLimit() time.Duration {
	if t.obs.Want.Deleting {
		return min(t.spec.Convergence.Timeout, finalLimit)
	}
	return t.spec.Convergence.Timeout
}

// waiter keeps the earliest of several times that lie ahead.
type waiter struct {
	now, wake time.Time
}

func (w *waiter) at(when time.Time) {
	if when.After(w.now) && (w.wake.IsZero() || when.Before(w.wake)) {
		w.wake = when
	}
}

func (w *waiter) until(limit, elapsed time.Duration) { w.at(w.now.Add(limit - elapsed)) }
