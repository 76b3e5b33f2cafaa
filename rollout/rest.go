package rollout

// rollingBack is rows 22 and 23.
func (t *turn) rollingBack() {
	if t.prev.Traffic.Weight > 0 {
		if !StableEmpty(t.obs) {
			t.next.Traffic.Weight = 0
			t.move(RollingBack, StableReady)
		}
		return
	}
	reason := Cleared
	if t.prev.Outcome == OutcomeRolledBack {
		reason = RolledBackDone
	}
	if !t.confirmed() {
		if t.next.Progress.Clocks.Phase < t.confirmLimit() {
			return
		}
		reason = RollbackUnconfirmed
	}
	to := Idle
	if t.prev.Outcome == OutcomeRolledBack {
		to = RolledBack
	}
	t.clear()
	t.move(to, reason)
}

// confirmed reports that no connected proxy can still send the canary traffic. That none is connected counts only when
// it stays so: after a restart they take a moment to come back.
func (t *turn) confirmed() bool {
	fleet := t.obs.Fleet
	nobody := fleet.Rendered && fleet.Connected == 0 && t.next.Progress.Clocks.Phase >= nobodyLimit
	return fleet.Settled || nobody || t.prev.Traffic.Step == 0
}

// rest is rows 24 to 31.
func (t *turn) rest() {
	st, want := t.prev, t.obs.Want
	switch {
	case want.Deleting:
		t.finalize = true
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
	if t.moved == nil && st.Previous.Name != "" && !t.now.Before(st.Previous.Until) && t.obs.Fleet.Settled {
		t.next.Previous = Previous{}
		t.move(st.Phase, WarmDownEnded)
	}
}

// adopt is row 26.
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
	t.move(Idle, Adopted)
	t.remember(Adopted, "")
}

// inSync is rows 27 and 28: Git wants the version that is stable.
func (t *turn) inSync() {
	st, want := t.prev, t.obs.Want
	switch {
	case st.Phase == RolledBack:
		t.next.Attempted = want.Digest
		t.move(Idle, Reverted)
	case want.Digest != st.Stable.Digest:
		t.next.Stable, t.next.Attempted = want.Version, want.Digest
		t.move(Idle, StableChanged)
	}
}

// wanted is rows 29 and 30: Git wants another version than stable.
func (t *turn) wanted() {
	st, want := t.prev, t.obs.Want
	if _, rejected := st.Rejection(want.Digest); rejected {
		if st.Phase == Idle || st.Attempted != want.Digest {
			t.next.Attempted = want.Digest
			t.move(RolledBack, KnownRejected)
		}
		return
	}
	n := &t.next
	n.Attempt++
	n.Outcome, n.Canary, n.Attempted, n.Plan = OutcomeOpen, want.Version, want.Digest, t.spec.Plan
	n.Progress = Progress{StartedAt: t.now, Base: t.obs.Ready.Stable}
	t.move(Preparing, AttemptStarted)
}
