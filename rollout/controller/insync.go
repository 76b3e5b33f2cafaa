package controller

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// inSyncWithGit compares what runs with what Git wants, for an object that a Source brought.
func (v *verdicts) inSyncWithGit() {
	if sourceOf(v.object).Name == "" {
		return
	}
	set := func(status metav1.ConditionStatus, reason, message string) {
		v.list.Set(v1alpha1.ConditionInSyncWithGit, status, reason, message)
	}
	st := v.next
	wants := fmt.Sprintf("Git wants %s (%s), %s runs", v.object.Spec.Subset, v.commit(), st.Stable.Name)
	switch held, down := v.held(), v.sourceDown(); {
	case held != nil:
		set(metav1.ConditionFalse, v1alpha1.ReasonHeld, "the Source holds newer content back: "+strings.Join(held.Codes, ", "))
	case st.Phase == rollout.RolledBack:
		reason, sentence := v.refusal()
		set(metav1.ConditionFalse, reason, fmt.Sprintf("%s: %s; retry: sluice retry %s -n %s; or revert %s", wants, sentence, v.object.Name, v.object.Namespace,
			or(short(v.object.Annotations[v1alpha1.AnnotationCommit], 7), "the commit")))
	case down != "":
		set(metav1.ConditionUnknown, v1alpha1.ReasonSourceNotReady, down)
	case st.Phase == rollout.Idle && v.want.Digest == st.Stable.Digest:
		set(metav1.ConditionTrue, v1alpha1.ReasonInSync, fmt.Sprintf("%s runs, as %s says", st.Stable.Name, v.commit()))
	default:
		set(metav1.ConditionUnknown, v1alpha1.ReasonProgressing, wants)
	}
}

// commit names the commit that brought what Git wants, as 3f9c2ab "Retry budget".
func (v *verdicts) commit() string {
	commit := short(v.object.Annotations[v1alpha1.AnnotationCommit], 7)
	if subject := v.object.Annotations[v1alpha1.AnnotationCommitSubject]; subject != "" {
		return strings.TrimSpace(fmt.Sprintf("%s %q", commit, subject))
	}
	return or(commit, "an unknown commit")
}

// refusal says who ended the attempt at what Git wants, and why.
func (v *verdicts) refusal() (reason, sentence string) {
	r, listed := v.next.Rejection(v.next.Attempted)
	if !listed {
		return v1alpha1.ReasonRolledBack, "it was rolled back"
	}
	reason, sentence = v1alpha1.ReasonRolledBack, fmt.Sprintf("rejected in attempt %d (%s)", r.Attempt, r.Reason)
	if h := v.past(r.Attempt); h.Text != "" {
		sentence = h.Text
	}
	if v.next.Outcome == rollout.OutcomeAborted && r.Attempt == v.next.Attempt {
		reason = v1alpha1.ReasonAborted
	}
	return reason, sentence
}

// sourceDown says why it is not known what Git wants; empty: it is. A Source that holds the objects of others back has
// applied these.
func (v *verdicts) sourceDown() string {
	if v.source == nil || !v.want.Known {
		return "what Git wants is not known: its Source is missing, or has not said it"
	}
	ready := v1alpha1.Condition(v.source.Status.Conditions, v1alpha1.ConditionReady)
	others := []string{v1alpha1.ReasonContentInvalid, v1alpha1.ReasonForbidden, v1alpha1.ReasonNotAllowed}
	if ready != nil && ready.Status == metav1.ConditionFalse && !slices.Contains(others, ready.Reason) {
		return fmt.Sprintf("what Git wants is not known: Source %s: %s: %s", v.source.Name, ready.Reason, ready.Message)
	}
	return ""
}
