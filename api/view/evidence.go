package view

import (
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// EvidenceReport says what happened at one transition, and by which numbers.
type EvidenceReport struct {
	APIVersion string                  `json:"apiVersion"`
	Kind       string                  `json:"kind"`
	Rollout    Object                  `json:"rollout,omitzero"`
	Source     *Object                 `json:"source,omitempty"` // what the report is about, instead of a Rollout
	Git        *Git                    `json:"git,omitempty"`
	Note       v1alpha1.NoteKind       `json:"note"`
	Attempt    int64                   `json:"attempt"`
	Seq        int64                   `json:"seq"`
	At         time.Time               `json:"at"`
	Sentence   string                  `json:"sentence"`
	Place      Place                   `json:"place"`
	Version    *Version                `json:"version"`
	Stable     *Version                `json:"stable"`
	Metrics    []v1alpha1.MetricStatus `json:"metrics,omitempty"`
	AckedAt    *time.Time              `json:"ackedAt,omitempty"` // when every proxy had the weight of the step; absent: they had not
	ZeroAt     *time.Time              `json:"zeroAt,omitempty"`  // when every proxy sent a failed version nothing any more; absent: not known
	Proxies    *v1alpha1.ProxiesStatus `json:"proxies,omitempty"` // as the status had them when the note came to be
	Links      []Link                  `json:"links,omitempty"`
	Story      *Story                  `json:"story,omitempty"` // of a whole attempt, in a report on one
}

// Git is where a version comes from, and what became of it in the words of commit statuses: pending, success, failure or
// error. State is empty where a note changes none.
type Git struct {
	URL     string `json:"url,omitempty"`
	Commit  string `json:"commit"`
	Context string `json:"context"`
	State   string `json:"state,omitempty"`
}

// SourceEvidence gives the report for an entry of a Source's outbox.
func SourceEvidence(src *v1alpha1.Source, n v1alpha1.PendingNote) EvidenceReport {
	r := EvidenceReport{
		APIVersion: APIVersion, Kind: KindEvidenceReport, Source: &Object{Namespace: src.Namespace, Name: src.Name, UID: src.UID},
		Note: n.Kind, Seq: n.Seq, At: n.At.UTC(), Sentence: n.Text,
	}
	if n.Commit != "" {
		r.Git = &Git{URL: src.Spec.URL, Commit: n.Commit, Context: "sluice/" + src.Namespace + "/source/" + src.Name, State: stateOf(n.Kind)}
	}
	return r
}

// stateOf is what a kind of note says of the commit, in GitHub's words.
func stateOf(kind v1alpha1.NoteKind) string {
	switch kind {
	case v1alpha1.NoteStarted:
		return "pending"
	case v1alpha1.NoteCompleted, v1alpha1.NoteGitInSync:
		return "success"
	case v1alpha1.NoteRolledBack, v1alpha1.NoteAborted:
		return "failure"
	case v1alpha1.NoteBlocked, v1alpha1.NoteSourceFailed:
		return "error"
	default:
		return ""
	}
}

// Evidence gives the report for an entry of ro's outbox. The numbers are there only while the status still holds those
// of that attempt.
func Evidence(ro *v1alpha1.Rollout, n v1alpha1.PendingNote) EvidenceReport {
	r := EvidenceReport{
		APIVersion: APIVersion, Kind: KindEvidenceReport, Rollout: object(ro),
		Note: n.Kind, Attempt: n.Attempt, Seq: n.Seq, At: n.At.UTC(), Sentence: n.Text,
		Place: Place{Step: n.Step, Weight: n.Weight},
	}
	if n.AckedAt != nil {
		r.AckedAt = instant(n.AckedAt.Time)
	}
	if ro.Status == nil {
		return r
	}
	r.Place.Steps = ro.Status.Steps
	r.Version = version(ro, attempted(ro.Status, n.Attempt))
	r.Stable = version(ro, ro.Status.Stable)
	if r.Version != nil && r.Version.Commit != "" && ro.Labels[v1alpha1.LabelSourceName] != "" {
		r.Git = &Git{Commit: r.Version.Commit, Context: "sluice/" + ro.Namespace + "/" + ro.Name, State: stateOf(n.Kind)}
	}
	if n.Attempt != ro.Status.Attempt {
		return r
	}
	if a := ro.Status.Analysis; a != nil {
		r.Metrics = a.Metrics
	}
	r.Proxies = ro.Status.Proxies
	if n.Kind == v1alpha1.NoteRolledBack || n.Kind == v1alpha1.NoteAborted {
		r.ZeroAt = zeroAt(ro.Status)
	}
	return r
}

// zeroAt is when every proxy had sent back the traffic of the newest attempt, which failed; nil: they have not, or it is not
// known any more.
func zeroAt(st *v1alpha1.RolloutStatus) *time.Time {
	if st.Phase == v1alpha1.PhaseRolledBack && st.Reason == v1alpha1.ReasonRolledBack {
		return instant(st.Since.Time)
	}
	return nil
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
