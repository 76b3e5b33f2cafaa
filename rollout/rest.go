package rollout

// rollingBack is rows 35, 14, 37 and 36: what a person asks for keeps no traffic on a version that failed.
func (t *turn) rollingBack() {
	sends := t.prev.Traffic.Sends()
	if sends && !StableEmpty(t.obs) {
		t.next.Traffic.Weight, t.next.Traffic.Extra = 0, Extra{}
		t.move(RollingBack, StableReady)
		return
	}
	if t.answered() {
		return
	}
	if sends {
		if !t.prev.told(StableIsEmpty) {
			t.tell(StableIsEmpty)
		}
		return
	}
	reason, to := Cleared, Idle
	if t.prev.Outcome.Failed() {
		reason, to = RolledBackDone, RolledBack
	}
	if !t.confirmed() {
		if t.next.Progress.Clocks.Phase < t.confirmLimit() {
			return
		}
		reason = RollbackUnconfirmed
	}
	t.clear()
	t.move(to, reason)
}

// confirmed reports that no connected proxy can still send the canary traffic. That none is connected counts only when
// it stays so: after a restart they take a moment to come back.
func (t *turn) confirmed() bool {
	fleet := t.obs.Fleet
	nobody := fleet.Rendered && fleet.Connected == 0 && t.next.Progress.Clocks.Phase >= nobodyLimit
	return t.settled() || nobody || t.prev.Traffic.Step == 0
}

// settled reports that every proxy has what is asked for; where nothing is rendered there is nothing to wait for.
func (t *turn) settled() bool { return t.obs.Fleet.Settled || t.prev.Kind.Observe }

// rest is rows 14 and 16 to 24.
func (t *turn) rest() {
	st, want := t.prev, t.obs.Want
	if t.answered() {
		return
	}
	switch {
	case want.Deleting:
		t.finalize = true
		return
	case t.action != nil && t.action.Verb == VerbRollback:
		t.undo()
		return
	case !want.Known:
		return
	case st.Stable.Name == "":
		t.adopt()
	case want.Name == st.Stable.Name:
		t.inSync()
	default:
		t.wanted()
	}
	if t.moved == nil && st.Previous.Name != "" && !t.now.Before(st.Previous.Until) && t.settled() {
		t.next.Previous = Previous{}
		t.move(st.Phase, WarmDownEnded)
	}
}

// undo is row 17.
func (t *turn) undo() {
	t.answer(Accepted, "")
	t.reject(t.prev.Stable, ManualRollback)
	t.start(t.prev.Previous.Version, Kind{Undo: true})
}

// adopt is row 19.
func (t *turn) adopt() {
	if !t.obs.Ready.Known || len(t.obs.Problems) > 0 && t.obs.Problems[0] == RefsNotResolved {
		return
	}
	want := t.obs.Want
	t.next.Stable = want.Version
	if name := t.spec.InitialStable; name != "" && name != want.Name {
		t.next.Stable = Version{Name: name}
	}
	t.next.Attempted = want.Digest
	t.next.Kind.Observe = t.spec.Render.DryRun
	t.move(Idle, Adopted)
	t.remember(Adopted, "")
}

// inSync is rows 20 and 21: Git wants the version that is stable.
func (t *turn) inSync() {
	st, want := t.prev, t.obs.Want
	switch {
	case st.Phase == RolledBack:
		t.next.Attempted = want.Digest
		t.move(Idle, Reverted)
	case want.Digest != st.Stable.Digest || st.Kind.Observe != t.spec.Render.DryRun:
		t.next.Stable, t.next.Attempted = want.Version, want.Digest
		t.next.Kind.Observe = t.spec.Render.DryRun
		t.move(Idle, StableChanged)
	}
}

// wanted is rows 22 and 23: Git wants another version than stable.
func (t *turn) wanted() {
	st, want := t.prev, t.obs.Want
	_, rejected := st.Rejection(want.Digest)
	retry := t.action != nil && t.action.Verb == VerbRetry
	if rejected && !retry {
		if st.Phase == Idle || st.Attempted != want.Digest {
			t.next.Attempted = want.Digest
			t.move(RolledBack, KnownRejected)
		}
		return
	}
	if retry {
		t.answer(Accepted, "")
		t.next.Rejected = t.unrejected(want.Digest)
	}
	t.next.Attempted = want.Digest
	observe := t.spec.Render.DryRun
	t.start(want.Version, Kind{Observe: observe, Proven: !observe && !retry && t.proven(want.Version)})
}

// start begins an attempt.
func (t *turn) start(canary Version, kind Kind) {
	n := &t.next
	n.Attempt++
	n.Outcome, n.Canary, n.Kind, n.Plan = OutcomeOpen, canary, kind, t.plan(kind)
	n.Progress = Progress{StartedAt: t.now, Base: t.obs.Ready.Stable}
	t.move(Preparing, AttemptStarted)
}
