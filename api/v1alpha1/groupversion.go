package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of all kinds of this package.
const Group = "sluice.dev"

// Version is the API version of all kinds of this package.
const Version = "v1alpha1"

// The names of the kinds.
const (
	KindRollout        = "Rollout"
	KindSource         = "Source"
	KindMetricTemplate = "MetricTemplate"
	KindNotifier       = "Notifier"
	KindFleetReport    = "FleetReport"
	KindRolloutAction  = "RolloutAction"
)

// The annotations and labels that the parts of Sluice agree on.
const (
	AnnotationDigest        = "sluice.dev/digest"         // digest of what a version consists of, 64 hex
	AnnotationCommit        = "sluice.dev/commit"         // full id of the commit an object came from
	AnnotationCommitAuthor  = "sluice.dev/commit-author"  // name only
	AnnotationCommitEmail   = "sluice.dev/commit-email"   // address of the author
	AnnotationCommitSubject = "sluice.dev/commit-subject" // first line of the message
	AnnotationCommitTime    = "sluice.dev/commit-time"    // RFC 3339
	AnnotationPath          = "sluice.dev/path"           // file within the Source
	AnnotationFreeze        = "sluice.dev/freeze"         // on a Namespace: why none of its Rollouts is raised
	AnnotationReconcile     = "sluice.dev/reconcile"      // on a Source: any new value asks for a look now
	LabelSourceName         = "source.sluice.dev/name"
	LabelSourceNamespace    = "source.sluice.dev/namespace"
)

// RolloutFinalizer keeps a Rollout until its canary serves nothing.
const RolloutFinalizer = "sluice.dev/rollout"

// SourceFinalizer keeps a Source until the objects that go with it are gone.
const SourceFinalizer = "sluice.dev/source"

// GroupVersion is sluice.dev/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme registers the kinds of this package and their lists.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&Rollout{}, &RolloutList{},
		&Source{}, &SourceList{},
		&MetricTemplate{}, &MetricTemplateList{},
		&Notifier{}, &NotifierList{},
		&FleetReport{}, &FleetReportList{},
		&RolloutAction{}, &RolloutActionList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
