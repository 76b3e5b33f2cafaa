package view

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// APIVersion of all documents of this package.
const APIVersion = "view.sluice.dev/v1alpha1"

// The kinds of documents.
const (
	KindStatusView       = "StatusView"
	KindEvidenceReport   = "EvidenceReport"
	KindLintReport       = "LintReport"
	KindCodeList         = "CodeList"
	KindFleetView        = "FleetView"
	KindProxyView        = "ProxyView"
	KindTraceView        = "TraceView"
	KindDiffView         = "DiffView"
	KindConversionReport = "ConversionReport"
	KindTreeView         = "TreeView"
	KindDoctorReport     = "DoctorReport"
	KindEventsView       = "EventsView"
	KindDescribeView     = "DescribeView"
	KindVersionView      = "VersionView"
)

// Object names the stored object a document was made from.
type Object struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
}

// Version names what serves or is to serve, with what is known of the commit that brought it.
type Version struct {
	Name    string `json:"name"`
	Digest  string `json:"digest,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Author  string `json:"author,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// Place is a step of the plan and its weight in percent. Step 0 is before the first and at rest.
type Place struct {
	Step   int32 `json:"step"`
	Steps  int32 `json:"steps"`
	Weight int32 `json:"weight"`
}

// version gives v with author and subject where the object still names that commit.
func version(ro *v1alpha1.Rollout, v v1alpha1.VersionStatus) *Version {
	if v.Name == "" {
		return nil
	}
	out := &Version{Name: v.Name, Digest: v.Digest, Commit: v.Commit}
	if v.Commit != "" && ro.Annotations[v1alpha1.AnnotationCommit] == v.Commit {
		out.Author = ro.Annotations[v1alpha1.AnnotationCommitAuthor]
		out.Subject = ro.Annotations[v1alpha1.AnnotationCommitSubject]
	}
	return out
}

// object names ro.
func object(ro *v1alpha1.Rollout) Object {
	return Object{Namespace: ro.Namespace, Name: ro.Name, UID: ro.UID}
}

// instant gives a time of the API as it leaves the process: UTC, nil where unknown.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Short gives a commit as people name it: 7 characters.
func Short(commit string) string { return commit[:min(7, len(commit))] }
