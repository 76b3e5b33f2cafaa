package view

import (
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// EvidenceReport says what happened at one transition, and by which numbers.
type EvidenceReport struct {
	APIVersion string                  `json:"apiVersion"`
	Kind       string                  `json:"kind"`
	Rollout    Object                  `json:"rollout"`
	Note       v1alpha1.NoteKind       `json:"note"`
	Attempt    int64                   `json:"attempt"`
	Seq        int64                   `json:"seq"`
	At         time.Time               `json:"at"`
	Sentence   string                  `json:"sentence"`
	Place      Place                   `json:"place"`
	Version    *Version                `json:"version"`
	Stable     *Version                `json:"stable"`
	Metrics    []v1alpha1.MetricStatus `json:"metrics,omitempty"`
}

// Evidence gives the report for an entry of ro's outbox. The numbers are there only while the status still holds those
// of that attempt.
func Evidence(ro *v1alpha1.Rollout, n v1alpha1.PendingNote) EvidenceReport {
	r := EvidenceReport{
		APIVersion: APIVersion, Kind: KindEvidenceReport, Rollout: object(ro),
		Note: n.Kind, Attempt: n.Attempt, Seq: n.Seq, At: n.At.UTC(), Sentence: n.Text,
		Place: Place{Step: n.Step, Weight: n.Weight},
	}
	if ro.Status == nil {
		return r
	}
	r.Place.Steps = ro.Status.Steps
	r.Version = version(ro, attempted(ro.Status, n.Attempt))
	r.Stable = version(ro, ro.Status.Stable)
	if a := ro.Status.Analysis; a != nil && n.Attempt == ro.Status.Attempt {
		r.Metrics = a.Metrics
	}
	return r
}

// attempted is the version that an attempt was about, as far as the status still knows.
func attempted(st *v1alpha1.RolloutStatus, attempt int64) v1alpha1.VersionStatus {
	if st.Attempt == attempt && st.Canary != nil {
		return *st.Canary
	}
	for _, h := range st.History {
		if h.Attempt == attempt {
			return v1alpha1.VersionStatus{Name: h.Name, Digest: h.Digest, Commit: h.Commit}
		}
	}
	for _, r := range st.Rejected {
		if r.Attempt == attempt {
			return v1alpha1.VersionStatus{Name: r.Name, Digest: r.Digest, Commit: r.Commit}
		}
	}
	return v1alpha1.VersionStatus{}
}
