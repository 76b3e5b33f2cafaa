package rollout

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/analysis"
)

// describe fills in what people are told of the transition.
func (t *turn) describe() {
	m := t.moved
	m.Step, m.Steps, m.Weight = t.next.Traffic.Step, len(t.next.Plan), t.next.Traffic.Weight
	if m.Step == 0 {
		m.Step, m.Steps = t.prev.Traffic.Step, len(t.prev.Plan)
	}
	m.Text = t.sentence(m.Reason)
}

// sentence says what happened and what is now, with numbers.
func (t *turn) sentence(reason Reason) string {
	prev, next, fleet := t.prev, t.next, t.obs.Fleet
	canary, stable := prev.Canary.Name, prev.Stable.Name
	switch reason {
	case Adopted:
		return fmt.Sprintf("%s is stable without analysis: it is the first version seen", next.Stable.Name)
	case StableChanged:
		return fmt.Sprintf("the content of stable version %s changed and is taken over without analysis", stable)
	case KnownRejected:
		r, _ := next.Rejection(next.Attempted)
		return fmt.Sprintf("Git asks for %s, which was rejected in attempt %d (%s); %s serves 100%%", r.Name, r.Attempt, r.Reason, stable)
	case AttemptStarted:
		return t.started()
	case ObservationStarted:
		return fmt.Sprintf("dry run: %s is judged against %s for at least %s; no traffic moves", canary, stable, span(next.Stage().Min))
	case WeightRequested:
		return fmt.Sprintf("%s: asking for %s on %s", place(next), asking(next), canary)
	case WeightProgrammed:
		return fmt.Sprintf("%s: acknowledged by %d/%d proxies; baking for at least %s", place(next), fleet.Acked, fleet.Connected, span(next.Stage().Min))
	case StepPassed:
		return fmt.Sprintf("%s passed%s; asking for %s", place(prev), after(t.passedBy()), asking(next))
	case Completed:
		if prev.Kind.Observe {
			return fmt.Sprintf("dry run: %s would be stable%s", next.Stable.Name, after(t.passedBy()))
		}
		return fmt.Sprintf("%s is stable%s; %s is kept until %s", next.Stable.Name, after(t.passedBy()), stable, next.Previous.Until.Format(time.RFC3339))
	case WarmDownEnded:
		return fmt.Sprintf("former stable version %s is no longer needed", prev.Previous.Name)
	case StableIsEmpty, StableReady, Cleared, RolledBackDone, RollbackUnconfirmed:
		return t.back(reason)
	case StatusRefused:
		return "the API server refuses to store what comes next: " + t.obs.Refused
	default:
		return t.held(reason)
	}
}

// back is what is said on the way to weight 0.
func (t *turn) back(reason Reason) string {
	fleet, stable := t.obs.Fleet, t.prev.Stable.Name
	switch {
	case reason == StableIsEmpty:
		return fmt.Sprintf("%s keeps %s: %s has no ready endpoint", t.prev.Canary.Name, asking(t.next), stable)
	case reason == StableReady:
		return fmt.Sprintf("%s can serve again: weight of %s is 0", stable, t.prev.Canary.Name)
	case reason == RollbackUnconfirmed:
		return fmt.Sprintf("only %d/%d proxies confirmed weight 0 in time; %s is to serve 100%%", fleet.Acked, fleet.Connected, stable)
	case fleet.Settled:
		return fmt.Sprintf("%d/%d proxies confirmed: %s serves 100%%", fleet.Acked, fleet.Connected, stable)
	}
	return fmt.Sprintf("%s serves 100%%", stable)
}

// held is what is said of an end that is no promotion, of a wait, and of what is told once.
func (t *turn) held(reason Reason) string {
	prev, next := t.prev, t.next
	stable := prev.Stable.Name
	now := stable + " serves 100%"
	if next.Traffic.Sends() {
		now = fmt.Sprintf("%s keeps %s: %s has no ready endpoint", prev.Canary.Name, asking(next), stable)
	}
	switch {
	case next.Phase == RollingBack && next.Outcome == OutcomeRolledBack:
		text := fmt.Sprintf("rolled back to %s at %s: %s; %s", stable, place(prev), t.cause(reason), now)
		if prev.Kind.Observe {
			text = fmt.Sprintf("dry run: %s would be rolled back: %s", prev.Canary.Name, t.cause(reason))
		}
		return text
	case next.Phase == RollingBack:
		return fmt.Sprintf("%s ends at %s: %s; %s", prev.Canary.Name, place(prev), t.cause(reason), now)
	case reason == Reverted:
		return fmt.Sprintf("Git asks for %s again, which is stable", stable)
	}
	return fmt.Sprintf("%s: %s", place(prev), t.cause(reason))
}

// cause says what was seen, in one clause.
func (t *turn) cause(reason Reason) string {
	if t.braked() && reason == t.obs.Brake.Reason && t.obs.Brake.Text != "" {
		return t.obs.Brake.Text
	}
	obs, canary, limits := t.obs, t.prev.Canary.Name, t.spec.Convergence
	switch reason {
	case DataPlaneRejected:
		return obs.Fleet.First
	case Aborted, ManualRollback, Restarted, Resumed, Approved:
		return t.said(reason)
	case CanaryUnavailable:
		return fmt.Sprintf("%s has no ready endpoint for %s", canary, span(t.next.Progress.Clocks.Empty))
	case ConvergenceTimeout:
		return fmt.Sprintf("%d/%d proxies acknowledged within %s", obs.Fleet.Acked, obs.Fleet.Connected, span(limits.Timeout))
	case DeadlineExceeded:
		return fmt.Sprintf("the attempt took longer than %s", span(t.spec.MaxDuration))
	case ProgressDeadlineExceeded:
		return fmt.Sprintf("no progress for %s: %s", span(t.spec.ProgressDeadline), t.wait(Blocker(t.spec, t.prev, obs, t.now, t.prev.Traffic.Step+1)))
	case BlindTimeout, Blind:
		return "no usable data" + after(t.numbers())
	case InconclusiveTimeout:
		return fmt.Sprintf("not decided within %s%s", span(t.prev.Stage().Max), after(t.numbers()))
	case Deleted:
		return "the Rollout is being deleted"
	case Reverted:
		return "Git asks for " + t.prev.Stable.Name + " again"
	case Superseded:
		return "Git asks for " + strings.TrimSpace(obs.Want.Name+" "+short(obs.Want.Commit)) + " instead"
	case InvariantBroken:
		return "an internal check failed"
	default:
		return t.wait(reason)
	}
}

// wait says what is waited for.
func (t *turn) wait(reason Reason) string {
	obs := t.obs
	switch reason {
	case NoProxies:
		return fmt.Sprintf("%d proxies are connected, %d are needed", obs.Fleet.Connected, t.spec.Convergence.MinProxies)
	case DataPlaneBehind:
		return fmt.Sprintf("%d/%d proxies have the present configuration", obs.Fleet.Acked, obs.Fleet.Connected)
	case InsufficientCapacity:
		return t.capacity()
	case PauseStep, ApprovalNeeded, ManualPause, PausedInGit, OutsideWindow, Frozen:
		return t.person(reason)
	case RefsNotResolved:
		return "the mesh objects it needs are missing or wrong"
	case SourceApplying:
		return "its Source is still applying"
	default:
		return cmp.Or(t.numbers(), string(reason))
	}
}

// numbers is what the analysis has to say.
func (t *turn) numbers() string {
	if t.obs.Report.Message != "" {
		return t.obs.Report.Message
	}
	if r := t.obs.Report; r.Verdict == analysis.Rollback || r.Verdict == analysis.Blind {
		return string(r.Reason)
	}
	return ""
}

// place is "step 1/3 (15%)".
func place(s State) string {
	if s.Traffic.Step == 0 {
		return "the start"
	}
	return fmt.Sprintf("step %d/%d (%s)", s.Traffic.Step, len(s.Plan), s.Stage().Share())
}

func weights(plan []Stage) string {
	words := make([]string, len(plan))
	for i, s := range plan {
		words[i] = fmt.Sprintf("%d%%", s.Weight)
	}
	return strings.Join(words, ", ")
}

func after(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func short(commit string) string { return commit[:min(7, len(commit))] }

// span shows a duration without needless zeros.
func span(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// cut keeps at most limit bytes and never half a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
