package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Standing is how a Rollout stands, in the words that decide about a wait.
type Standing string

// The standings.
const (
	Ready      Standing = "Ready"      // at rest on what Git wants
	Moving     Standing = "Moving"     // going on by itself
	Paused     Standing = "Paused"     // somebody must act before it goes on
	RolledBack Standing = "RolledBack" // Git wants a version that failed
	Failing    Standing = "Failing"    // it cannot start
)

// StatusView says how a Rollout stands.
type StatusView struct {
	APIVersion string                  `json:"apiVersion"`
	Kind       string                  `json:"kind"`
	Rollout    Object                  `json:"rollout"`
	Standing   Standing                `json:"standing"`
	Reason     string                  `json:"reason"`
	Message    string                  `json:"message"`
	Phase      v1alpha1.Phase          `json:"phase,omitempty"`
	Attempt    int64                   `json:"attempt"`
	Place      *Place                  `json:"place"`
	Stable     *Version                `json:"stable"`
	Canary     *Version                `json:"canary"`
	Rejected   *Version                `json:"rejected"`
	Metrics    []v1alpha1.MetricStatus `json:"metrics,omitempty"`
	Proxies    *v1alpha1.ProxiesStatus `json:"proxies"`
	Since      *time.Time              `json:"since"`
	Deadline   *time.Time              `json:"deadline"`

	wanted string // the commit that asks for what was rejected; empty: not known
}

// Status gives the view of ro as it is stored.
func Status(ro *v1alpha1.Rollout) StatusView {
	v := StatusView{
		APIVersion: APIVersion, Kind: KindStatusView, Rollout: object(ro),
		Standing: Moving, Reason: v1alpha1.ReasonPending, Message: "Sluice has not looked at it yet",
	}
	st := ro.Status
	if st == nil {
		return v
	}
	v.Phase, v.Attempt = st.Phase, st.Attempt
	v.Stable, v.Proxies, v.Since = version(ro, st.Stable), st.Proxies, instant(st.Since.Time)
	if st.Canary != nil {
		v.Canary = version(ro, *st.Canary)
		v.Place = &Place{Step: st.Step, Steps: st.Steps, Weight: st.Weight}
	}
	if st.Deadline != nil {
		v.Deadline = instant(st.Deadline.Time)
	}
	if st.Analysis != nil {
		v.Metrics = st.Analysis.Metrics
	}
	if c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionReady); c != nil {
		v.Reason, v.Message = c.Reason, c.Message
		v.Standing = standing(ro, c)
	}
	if v.Standing == RolledBack && len(st.Rejected) > 0 {
		r := st.Rejected[max(0, slices.IndexFunc(st.Rejected, func(r v1alpha1.RejectedVersion) bool { return r.Name == ro.Spec.Subset }))]
		v.Rejected = version(ro, v1alpha1.VersionStatus{Name: r.Name, Digest: r.Digest, Commit: r.Commit})
		v.wanted = cmp.Or(ro.Annotations[v1alpha1.AnnotationCommit], r.Commit)
	}
	return v
}

// Undo says what to do in Git about a version that was rejected: a later commit than the one it was rejected with may ask for it.
func (v StatusView) Undo() string {
	const other = "push a version with other content"
	if v.wanted == "" {
		return other
	}
	return "revert " + Short(v.wanted) + " in Git, or " + other
}

func standing(ro *v1alpha1.Rollout, ready *metav1.Condition) Standing {
	st := ro.Status
	switch {
	case st.ObservedGeneration < ro.Generation:
		return Moving // the newest spec was not looked at
	case st.Phase == v1alpha1.PhaseRolledBack:
		return RolledBack
	case v1alpha1.Condition(st.Conditions, v1alpha1.ConditionPaused) != nil:
		return Paused
	case ready.Status == metav1.ConditionTrue:
		return Ready
	case v1alpha1.Condition(st.Conditions, v1alpha1.ConditionStalled) != nil:
		return Failing
	}
	return Moving
}

// Line is the view in one line: who, how, and the sentence.
func (v StatusView) Line() string {
	return fmt.Sprintf("%s %s: %s", v.Rollout.Name, v.Reason, v.Message)
}
