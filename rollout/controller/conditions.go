package controller

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// conditions derives all conditions of a status. They are never read back to decide.
func (p *pass) conditions(d decision, s *v1alpha1.RolloutStatus) []metav1.Condition {
	v := &verdicts{pass: p, decision: d, status: s,
		list: v1alpha1.NewConditions(s.Conditions, p.object.Generation, p.wallClock())}
	v.ready()
	v.accepted()
	v.resolvedRefs()
	v.programmed()
	v.healthy()
	v.comparable()
	v.inSyncWithGit()
	v.abnormal()
	v.notJudged()
	return v.list.List()
}

// verdicts says one condition after the other.
type verdicts struct {
	*pass
	decision
	status *v1alpha1.RolloutStatus
	list   *v1alpha1.Conditions
}

// sentence is what is said of the newest transition; where this is none, what was said then.
func (v *verdicts) sentence() string {
	if m := v.actions.Transition; m != nil {
		return m.Text
	}
	if c := v1alpha1.Condition(v.status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

func (v *verdicts) ready() {
	st := v.next
	switch {
	case v.invalid() != nil && st.Phase.Rest():
		v.list.Stalled(v1alpha1.ReasonInvalidSpec, v.invalid().Error())
	case st.Phase == rollout.Idle && st.Stable.Name == "":
		v.unadopted()
	case st.Phase == rollout.Idle && st.Outcome == rollout.OutcomeCompleted:
		v.list.Ready(v1alpha1.ReasonCompleted, fmt.Sprintf("%s serves 100%% since attempt %d", st.Stable.Name, st.Attempt))
	case st.Phase == rollout.Idle:
		v.list.Ready(v1alpha1.ReasonStable, fmt.Sprintf("%s serves 100%%", st.Stable.Name))
	case st.Phase == rollout.RolledBack:
		v.rolledBack()
	case (st.Phase == rollout.Preparing || st.Phase == rollout.Holding) && slices.Contains(st.Progress.Told, rollout.ProgressDeadlineExceeded) && v.blocker() != "":
		v.list.Stalled(v1alpha1.ReasonBlocked, fmt.Sprintf("%s does not go on: %s", st.Canary.Name, v.obstacle()))
	default:
		v.list.Moving(v.moving())
	}
}

// unadopted is Ready while nothing is stable yet.
func (v *verdicts) unadopted() {
	switch {
	case slices.Contains(v.blocked, rollout.RefsNotResolved):
		v.list.Stalled(v1alpha1.ReasonRefsNotResolved, v.refs())
	case v.wantErr != nil:
		v.list.Failing(v1alpha1.ReasonPending, "what Git wants cannot be read: "+v.wantErr.Error())
	default:
		v.list.Moving(v1alpha1.ReasonPending, "waiting for the traffic configuration to be read")
	}
}

// rolledBack is Ready while Git wants a rejected version.
func (v *verdicts) rolledBack() {
	reason, text := v1alpha1.ReasonRolledBack, v.next.Stable.Name+" serves 100%"
	if r, listed := v.next.Rejection(v.next.Attempted); listed {
		text = fmt.Sprintf("Git wants %s, rejected in attempt %d (%s); %s", r.Name, r.Attempt, r.Reason, text)
		switch {
		case r.Reason == rollout.InvariantBroken:
			reason = v1alpha1.ReasonInvariantBroken
		case v.next.Outcome == rollout.OutcomeAborted && r.Attempt == v.next.Attempt:
			reason = v1alpha1.ReasonAborted
		}
		if h := v.past(r.Attempt); h.Text != "" {
			text += ": " + h.Text
		}
	}
	v.list.Stalled(reason, text)
}

func (v *verdicts) past(attempt int64) rollout.Past {
	for _, h := range v.next.History {
		if h.Attempt == attempt {
			return h
		}
	}
	return rollout.Past{}
}

// moving is Ready's reason and message while an attempt is open or is being taken back.
func (v *verdicts) moving() (reason, message string) {
	st := v.next
	switch st.Phase {
	case rollout.Preparing:
		if block := v.blocker(); block != "" {
			return string(block), fmt.Sprintf("%s waits: %s", st.Canary.Name, v.obstacle())
		}
	case rollout.Holding:
		return string(st.Progress.Hold), v.sentence()
	case rollout.Baking:
		r := v.observation.Report
		switch {
		case st.Kind.Observe && v.actions.Transition == nil && r.Message != "":
			return v1alpha1.ReasonObserving, v.progress(r)
		case st.Kind.Observe:
			return v1alpha1.ReasonObserving, v.sentence()
		case v.actions.Transition != nil:
		case r.Verdict == analysis.Blind && (r.Reason == analysis.NoTraffic || r.Reason == analysis.NoCanaryTraffic),
			r.Reason == analysis.NeedsRequests:
			return v1alpha1.ReasonWaitingForTraffic, v.progress(r)
		case r.Verdict == analysis.Blind:
			return v1alpha1.ReasonBlind, v.progress(r)
		case r.Message != "":
			return v1alpha1.ReasonBaking, v.progress(r)
		}
	case rollout.Idle, rollout.Shifting, rollout.RollingBack, rollout.RolledBack:
	}
	return st.Phase.String(), v.sentence()
}

func (v *verdicts) progress(r analysis.Report) string {
	st := v.next
	return fmt.Sprintf("step %d/%d (%s): %s", st.Traffic.Step, len(st.Plan), st.Stage().Share(), r.Message)
}

func (v *verdicts) blocker() rollout.Reason {
	return rollout.Blocker(v.spec, v.next, v.observation, v.wallClock(), v.next.Traffic.Step+1)
}

// obstacle says what stands in the way of the first weight.
func (v *verdicts) obstacle() string {
	switch block := v.blocker(); block {
	case rollout.RefsNotResolved:
		return v.refs()
	case rollout.NoProxies:
		return fmt.Sprintf("%d proxies are connected, %d are needed", v.fleet.Connected, v.spec.Convergence.MinProxies)
	case rollout.InsufficientCapacity:
		return fmt.Sprintf("%s has %d ready endpoints", v.next.Canary.Name, v.facts.CanaryReady)
	case rollout.PauseStep, rollout.ApprovalNeeded, rollout.ManualPause, rollout.PausedInGit, rollout.OutsideWindow, rollout.Frozen:
		return v.waiting(block)
	case rollout.SourceApplying:
		if held := v.held(); held != nil {
			return "its Source holds it back: " + strings.Join(held.Codes, ", ")
		}
		return "its Source is still applying"
	case "":
		return "nothing"
	default:
		return string(block)
	}
}

// waiting says which person, or which time, is waited for.
func (v *verdicts) waiting(block rollout.Reason) string {
	st, window := v.next, v.observation.Window
	switch block {
	case rollout.PauseStep:
		if d := st.Stage().Pause.For; d > 0 {
			return fmt.Sprintf("the step pauses for %s after its gate", d)
		}
		return "the step pauses until somebody promotes it"
	case rollout.ApprovalNeeded:
		return fmt.Sprintf("%d of %d approvals are missing", st.Lacks(st.Traffic.Step), st.Stage().Approvals)
	case rollout.ManualPause:
		return "paused by hand, until somebody resumes it"
	case rollout.PausedInGit:
		return "spec.paused is set"
	case rollout.OutsideWindow, rollout.Frozen:
		if window.Until.IsZero() {
			return or(window.Text, string(block))
		}
		return fmt.Sprintf("%s, until %s", or(window.Text, string(block)), window.Until.Format(time.RFC3339))
	default:
		return "the weight is not raised until somebody changes that"
	}
}

// refs says what is wrong with the objects that the spec names.
func (v *verdicts) refs() string {
	if v.facts.BlockingMessage != "" {
		return v.facts.BlockingMessage
	}
	if fault := v.templateFault(); fault != "" && (v.facts.SubsetDefined || !v.facts.Known) {
		return fault
	}
	subset := or(v.next.Canary.Name, or(v.next.Stable.Name, or(v.spec.InitialStable, v.object.Spec.Subset)))
	return fmt.Sprintf("no DestinationRule of %s defines the subset %s: add it there, or name another one in spec.subset", v.object.Spec.Host, subset)
}

func (v *verdicts) accepted() {
	st := v.next
	switch {
	case v.invalid() != nil:
		v.list.Set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, v.invalid().Error())
	case slices.Contains(v.facts.BlockingCodes, codeHostConflict):
		v.list.Set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostConflict, v.facts.BlockingMessage)
	case st.Phase.Open() && !reflect.DeepEqual(st.Plan, v.spec.Plan):
		v.list.Set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPlanPending,
			fmt.Sprintf("attempt %d keeps the steps it started with; the new ones serve the next attempt", st.Attempt))
	default:
		v.list.Set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is understood")
	}
}

func (v *verdicts) resolvedRefs() {
	set := func(status metav1.ConditionStatus, reason, message string) {
		v.list.Set(v1alpha1.ConditionResolvedRefs, status, reason, message)
	}
	switch {
	case !v.facts.Known:
		set(metav1.ConditionUnknown, v1alpha1.ReasonPending, "the traffic configuration is not read yet")
	case len(v.facts.BlockingCodes) > 0:
		set(metav1.ConditionFalse, refReason(v.facts.BlockingCodes[0]), v.refs())
	case !v.facts.SubsetDefined:
		set(metav1.ConditionFalse, v1alpha1.ReasonSubsetNotFound, v.refs())
	case len(v.templates.missing) > 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonMetricTemplateNotFound, strings.Join(v.templates.missing, "; "))
	case len(v.templates.servers.missing) > 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonPrometheusNotFound, strings.Join(v.templates.servers.missing, "; "))
	case len(v.unheard) > 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonNotifierNotFound, strings.Join(v.unheard, "; "))
	default:
		set(metav1.ConditionTrue, v1alpha1.ReasonResolvedRefs, "host, subset, routes, metric templates and notifiers exist")
	}
}

// refReason is the condition's word for a Problem.
func refReason(code string) string {
	switch code {
	case "S010", "S062":
		return v1alpha1.ReasonSubsetNotFound
	case "S063":
		return v1alpha1.ReasonRouteNotFound
	case "S064":
		return v1alpha1.ReasonNothingToSplit
	case codeHostConflict:
		return v1alpha1.ReasonHostConflict
	case "S011", "S060":
		return v1alpha1.ReasonServiceNotFound
	}
	return v1alpha1.ReasonRefsNotResolved
}

func (v *verdicts) programmed() {
	set := func(status metav1.ConditionStatus, reason, message string) {
		v.list.Set(v1alpha1.ConditionProgrammed, status, reason, message)
	}
	st, fleet := v.next, v.fleet
	switch {
	case st.Phase == rollout.RollingBack && st.Traffic.Sends():
		set(metav1.ConditionFalse, v1alpha1.ReasonStableEmpty, fmt.Sprintf("%s has no ready endpoint: %s keeps %s until it has",
			st.Stable.Name, st.Canary.Name, shareOf(st.Traffic)))
	case fleet.Nacked > 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonDataPlaneRejected, v.observation.Fleet.First)
	case st.Traffic.Settled == st.Traffic.Seq && st.Seq > 0 && fleet.Connected > 0:
		set(metav1.ConditionTrue, v1alpha1.ReasonProgrammed, v.running())
	case st.Reason == rollout.RollbackUnconfirmed:
		set(metav1.ConditionFalse, v1alpha1.ReasonRollbackUnconfirmed, "weight 0 is not acknowledged by "+strings.Join(fleet.Laggards, ", "))
	case fleet.Connected == 0:
		set(metav1.ConditionUnknown, v1alpha1.ReasonNoProxies, "no proxy that takes part is connected")
	default:
		set(metav1.ConditionUnknown, v1alpha1.ReasonPending, v.running())
	}
}

// running counts the proxies that run the weight, and names those that have not answered.
func (v *verdicts) running() string {
	if v.next.Traffic.Seq != v.state.Traffic.Seq { // what was counted is of the weight before
		return fmt.Sprintf("weight %d is asked for", v.next.Traffic.Weight)
	}
	out := fmt.Sprintf("%d/%d proxies run weight %d", v.fleet.Acked, v.fleet.Connected, v.next.Traffic.Weight)
	if !v.fleet.Rendered {
		return out + "; it is not rendered for all of them yet"
	}
	if len(v.fleet.Laggards) > 0 {
		out += "; waiting for " + strings.Join(v.fleet.Laggards, ", ")
	}
	return out
}

func (v *verdicts) healthy() {
	a := v.status.Analysis
	if a == nil || a.Verdict == "" {
		return
	}
	status := metav1.ConditionUnknown
	switch analysis.Verdict(a.Verdict) {
	case analysis.Promote:
		status = metav1.ConditionTrue
	case analysis.Rollback:
		status = metav1.ConditionFalse
	case analysis.Inconclusive, analysis.Blind, analysis.Unknown:
	}
	v.list.Set(v1alpha1.ConditionHealthy, status, or(a.Reason, v1alpha1.ReasonPending), a.Message)
}

// comparable says, while an attempt is open, whether both versions get the same mix of requests.
func (v *verdicts) comparable() {
	st := v.next
	if !st.Phase.Open() {
		return
	}
	reason, message := v.mix(st)
	status := metav1.ConditionFalse
	if reason == v1alpha1.ReasonSameMix {
		status = metav1.ConditionTrue
	}
	v.list.Set(v1alpha1.ConditionComparable, status, reason, message)
}

// mix says why both versions do not get the same mix of requests, or that they do.
func (v *verdicts) mix(st rollout.State) (reason, message string) {
	switch stage := st.Stage(); {
	case len(stage.Match) > 0:
		return v1alpha1.ReasonMatchStep, "the step chooses who is sent to the canary"
	case stage.Mirror.Percent > 0:
		return v1alpha1.ReasonMirrorStep, "the canary gets copies of stable's requests"
	case v.facts.CanaryBesides:
		return v1alpha1.ReasonPinnedRoute, "a rule of its own sends or mirrors requests to the canary, too"
	case len(v.object.Spec.Routes) > 0:
		return v1alpha1.ReasonSomeRoutes, "only some routes take part, stable serves the others too"
	case v.facts.StableBesides:
		return v1alpha1.ReasonPinnedRoute, "a rule of its own sends or mirrors requests to stable, too"
	case st.Traffic.Affinity != nil && st.Traffic.Weight > 0 && st.Traffic.Weight < 100:
		return v1alpha1.ReasonAffinity, "clients stay on their version, so that each has its own clients"
	}
	return v1alpha1.ReasonSameMix, "both versions get the same mix of requests"
}

// abnormal are the conditions that are there only while True.
func (v *verdicts) abnormal() {
	st := v.next
	set := func(kind, reason, message string) { v.list.Set(kind, metav1.ConditionTrue, reason, message) }
	waits := st.Progress.Hold
	if st.Phase == rollout.Preparing {
		waits = v.blocker()
	}
	switch waits {
	case rollout.PauseStep, rollout.ApprovalNeeded, rollout.ManualPause, rollout.PausedInGit, rollout.OutsideWindow, rollout.Frozen,
		rollout.InconclusiveTimeout, rollout.DeadlineExceeded:
		set(v1alpha1.ConditionPaused, string(waits), v.waiting(waits))
	default: // what is waited for comes by itself; Progressing says so
	}
	if st.Phase == rollout.RolledBack || st.Phase == rollout.RollingBack && st.Outcome.Failed() {
		digest := or(st.Canary.Digest, st.Attempted)
		if r, listed := st.Rejection(digest); listed {
			set(v1alpha1.ConditionRolledBack, string(r.Reason), fmt.Sprintf("%s was rejected in attempt %d", r.Name, r.Attempt))
		}
	}
	switch ready := v.facts.StableReady; {
	case !v.facts.Known || !st.Phase.Open():
	case ready == 0:
		set(v1alpha1.ConditionStableShort, v1alpha1.ReasonEmpty, st.Stable.Name+" has no ready endpoint")
	case ready < st.Progress.Base:
		set(v1alpha1.ConditionStableShort, v1alpha1.ReasonBelowBase, fmt.Sprintf("%s has %d ready endpoints, %d at the start", st.Stable.Name, ready, st.Progress.Base))
	}
}
