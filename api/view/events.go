package view

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// EventsView says what happened to a Rollout, to the Source that it comes from, to its notes and on its proxies, oldest first.
type EventsView struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Rollout    Object  `json:"rollout"`
	Events     []Event `json:"events"`
}

// Event is something that happened to an object.
type Event struct {
	Object string    `json:"object"` // kind/name, in lower case
	Reason string    `json:"reason"`
	Note   string    `json:"note"`
	Count  int32     `json:"count"`
	At     time.Time `json:"at"` // when it happened last
}

// Events makes the view of what happened to ro; it takes the events in their order.
func Events(ro *v1alpha1.Rollout, happened []Event) EventsView {
	v := EventsView{APIVersion: APIVersion, Kind: KindEventsView, Rollout: object(ro), Events: happened}
	if v.Events == nil {
		v.Events = []Event{}
	}
	return v
}

// DescribeView tells all about a Rollout.
type DescribeView struct {
	APIVersion string                  `json:"apiVersion"`
	Kind       string                  `json:"kind"`
	Rollout    Object                  `json:"rollout"`
	Host       string                  `json:"host"`
	Wanted     Version                 `json:"wanted"` // what Git wants
	Status     StatusView              `json:"status"`
	Plan       []v1alpha1.PlanStep     `json:"plan"`
	Gates      []v1alpha1.Gate         `json:"gates"`
	Conditions []metav1.Condition      `json:"conditions"`
	History    []v1alpha1.HistoryEntry `json:"history"`
	Events     []Event                 `json:"events"` // the newest
}

// Describe makes the view of ro with the newest events; nil events are none.
func Describe(ro *v1alpha1.Rollout, happened []Event) DescribeView {
	v := DescribeView{
		APIVersion: APIVersion, Kind: KindDescribeView, Rollout: object(ro), Host: ro.Spec.Host, Status: Status(ro),
		Wanted: Version{Name: ro.Spec.Subset, Commit: ro.Annotations[v1alpha1.AnnotationCommit], Author: ro.Annotations[v1alpha1.AnnotationCommitAuthor],
			Subject: ro.Annotations[v1alpha1.AnnotationCommitSubject]},
		Plan: []v1alpha1.PlanStep{}, Gates: []v1alpha1.Gate{}, Conditions: []metav1.Condition{}, History: []v1alpha1.HistoryEntry{}, Events: Events(ro, happened).Events,
	}
	if st := ro.Status; st != nil {
		v.Plan = append(v.Plan, st.Plan...)
		v.Gates = append(v.Gates, st.Gates...)
		v.Conditions = append(v.Conditions, st.Conditions...)
		v.History = append(v.History, st.History...)
	}
	return v
}
