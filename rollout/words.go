package rollout

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// started says what an attempt is for.
func (t *turn) started() string {
	prev, next := t.prev, t.next
	change := fmt.Sprintf("attempt %d: from %s to %s", next.Attempt, prev.Stable.Name, next.Canary.Name)
	switch {
	case next.Kind.Undo:
		return fmt.Sprintf("attempt %d: back from %s to %s, %s", next.Attempt, prev.Stable.Name, next.Canary.Name, t.said(ManualRollback))
	case next.Kind.Proven:
		return change + " at one go: it was stable a short while ago"
	case next.Kind.Observe:
		return change + ", as a dry run"
	}
	return change + " in " + weights(next.Plan)
}

// asking says what is asked of the proxies.
func asking(s State) string { return s.Traffic.Share() }

// Share says what a step sends the canary, as Traffic's does.
func (s Stage) Share() string {
	return Traffic{Weight: s.Weight, Extra: Extra{Match: s.Match, Mirror: s.Mirror}}.Share()
}

// Share says what the canary is sent: "15%", "15% and the requests that match", "copies of 10%".
func (t Traffic) Share() string {
	var words []string
	if t.Weight > 0 || !t.Sends() {
		words = append(words, fmt.Sprintf("%d%%", t.Weight))
	}
	if len(t.Match) > 0 {
		words = append(words, "the requests that match")
	}
	if m := t.Mirror; m.Percent > 0 {
		words = append(words, fmt.Sprintf("copies of %d%%", m.Percent))
	}
	return strings.Join(words, " and ")
}

// passedBy says what ended a step: a person, or the numbers.
func (t *turn) passedBy() string {
	if t.consumed != nil && t.consumed.Answer == Accepted {
		return t.said(Reason(""))
	}
	return t.numbers()
}

// said is who asked for something, and the person's words.
func (t *turn) said(reason Reason) string {
	a := t.action
	if a == nil {
		return string(reason)
	}
	who := cmp.Or(a.Actor, "somebody")
	what := map[Verb]string{VerbPromote: "promoted it", VerbPromoteFull: "asked for the last step", VerbSkip: "skipped to step " + a.Step, VerbApprove: "approved",
		VerbPause: "paused it", VerbResume: "resumed it", VerbAbort: "aborted it", VerbRollback: "asked to go back", VerbRetry: "asked for another attempt"}[a.Verb]
	text := who + " " + what
	if reason == Approved {
		step := a.step(t.prev)
		text = fmt.Sprintf("%s %s step %d; %d more are needed", who, what, step, t.next.Lacks(step))
	}
	return text + after(a.Reason)
}

// person says what a person, or the calendar, keeps from going on.
func (t *turn) person(reason Reason) string {
	st, window := t.next, t.obs.Window
	switch reason {
	case PauseStep:
		if left := st.Stage().Pause.For - st.Progress.Clocks.Gate; st.Stage().Pause.For > 0 {
			return fmt.Sprintf("the step pauses for another %s", span(left))
		}
		return "the step pauses until somebody promotes it"
	case ApprovalNeeded:
		return fmt.Sprintf("%d of %d approvals are missing", st.Lacks(st.Traffic.Step), st.Stage().Approvals)
	case ManualPause:
		if t.action != nil && t.action.Verb == VerbPause {
			return t.said(reason)
		}
		return "paused by hand"
	case PausedInGit:
		return "paused in Git"
	case OutsideWindow, Frozen:
		text := cmp.Or(window.Text, map[Reason]string{OutsideWindow: "outside the windows", Frozen: "frozen"}[reason])
		if !window.Until.IsZero() {
			text += ", until " + window.Until.UTC().Format(time.RFC3339)
		}
		return text
	default:
		return string(reason)
	}
}

// capacity says how many endpoints lack for the step that comes next.
func (t *turn) capacity() string {
	st := t.asked()
	to := st.Traffic.Step + 1
	for _, gated := st.gateOf(to); gated; _, gated = st.gateOf(to) {
		to++
	}
	if st.Phase == Preparing && t.promoting() != nil {
		to = len(st.Plan)
	}
	if to < 1 || to > len(st.Plan) {
		return string(InsufficientCapacity)
	}
	return fmt.Sprintf("%d%% needs %d ready endpoints of %s, there are %d", st.Plan[to-1].Weight, need(t.spec, st, t.obs, to), st.Canary.Name, t.obs.Ready.Canary)
}
