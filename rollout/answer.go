package rollout

import "slices"

// answered is rows 13 to 15, and row 14 of every phase: what people ask for and what neither ends nor raises.
func (t *turn) answered() bool {
	a := t.action
	if a == nil || t.prev.defers(a.Verb) {
		return false
	}
	if code := t.refusal(*a); code != "" {
		t.answer(Refused, code)
		return true
	}
	n := &t.next
	reason := Reason("")
	switch a.Verb {
	case VerbRetry:
		if !t.prev.Phase.Open() {
			return false
		}
		t.answer(Accepted, "")
		t.leave(OutcomeRestarted, Restarted)
		return true
	case VerbPause:
		n.Progress.Wishes.Paused, reason = true, ManualPause
	case VerbResume:
		n.Progress.Wishes.Paused, reason = false, Resumed
	case VerbApprove:
		n.Approved, reason = appended(n.Approved, Approval{Step: a.step(t.prev), Actor: a.Actor, At: t.now}), Approved
	case VerbPromote, VerbPromoteFull, VerbSkip, VerbAbort, VerbRollback:
		return false // other rows
	}
	t.answer(Accepted, "")
	t.move(t.prev.Phase, reason)
	return true
}

// answer decides on the action.
func (t *turn) answer(how Answer, code Code) {
	c := Consumed{UID: t.action.UID, Verb: t.action.Verb, Answer: how, Code: code, Attempt: t.prev.Attempt, Seq: t.prev.Seq, At: t.now}
	if how == Accepted {
		c.Seq++
	}
	t.consumed = &c
	t.next.Consumed = appended(t.next.Consumed, c)
}

// refusal says why an action cannot be done under the present state, or "".
func (t *turn) refusal(a Action) Code {
	st := t.prev
	if !st.Phase.Open() && a.Verb != VerbRetry && (a.Verb != VerbRollback || st.Phase == RollingBack) {
		return NothingOpen
	}
	if code := a.guard(st, t.obs.Want.Version); code != "" {
		return code
	}
	switch a.Verb {
	case VerbPromoteFull:
		return t.unapproved(len(st.Plan))
	case VerbSkip:
		to := a.step(st)
		if to <= st.Traffic.Step {
			return UnknownStep
		}
		return t.unapproved(to)
	case VerbApprove:
		return t.approvable(a)
	case VerbResume:
		if t.spec.Paused {
			return StaysPaused
		}
	case VerbRollback:
		return t.undoable()
	case VerbRetry:
		_, rejected := st.Rejection(t.obs.Want.Digest)
		if st.Phase.Rest() && t.obs.Want.Known && (!rejected || t.obs.Want.Name == st.Stable.Name) {
			return NothingRejected
		}
	case VerbPromote, VerbPause, VerbAbort:
	default:
		return UnknownVerb
	}
	return ""
}

// unapproved refuses to go past a step that lacks approvals: no verb goes round them.
func (t *turn) unapproved(to int) Code {
	for k := max(1, t.prev.Traffic.Step); k < to; k++ {
		if t.prev.Lacks(k) > 0 {
			return StepNotApproved
		}
	}
	return ""
}

// approvable refuses an approval that nobody asks for, or that the same person gave before.
func (t *turn) approvable(a Action) Code {
	st, step := t.prev, a.step(t.prev)
	if step < max(1, st.Traffic.Step) || st.Plan[step-1].Approvals == 0 {
		return NothingToApprove
	}
	if slices.ContainsFunc(st.Approved, func(o Approval) bool { return o.Step == step && o.Actor == a.Actor }) {
		return DuplicateActor
	}
	if st.Lacks(step) == 0 || len(st.Approved) >= MaxApproved || step > st.Traffic.Step && st.early() >= MaxApproved-MaxApprovals {
		return NothingToApprove
	}
	return ""
}

// early is how many approvals are for steps to come. They leave room for those of the present one.
func (s State) early() int {
	n := 0
	for _, a := range s.Approved {
		if a.Step > s.Traffic.Step {
			n++
		}
	}
	return n
}

// undoable refuses the way back to a former stable version that is not there, was rejected, or never got traffic.
func (t *turn) undoable() Code {
	st := t.prev
	_, rejected := st.Rejection(st.Previous.Digest)
	warm := st.Previous.Name != "" && t.now.Before(st.Previous.Until) && !rejected && st.Previous.Name != st.Stable.Name
	if st.Phase.Rest() && (!warm || st.Kind.Observe || t.spec.Render.DryRun) {
		return NoPrevious
	}
	return ""
}

// Lacks is how many approvals the end of a step still needs.
func (s State) Lacks(step int) int {
	if step < 1 || step > len(s.Plan) {
		return 0
	}
	given := 0
	for _, a := range s.Approved {
		if a.Step == step {
			given++
		}
	}
	return max(0, s.Plan[step-1].Approvals-given)
}
