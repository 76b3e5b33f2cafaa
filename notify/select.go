package notify

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// About is what decides who is told: the kind of the note, and the namespace and labels of the Rollout or Source.
type About struct {
	Kind      v1alpha1.NoteKind
	Namespace string
	Labels    map[string]string
	System    string // namespace whose Notifiers may speak of all others; empty: none may
}

// SeverityOf gives the severity of a kind of note. An unknown kind is an Error: better told than lost.
func SeverityOf(kind v1alpha1.NoteKind) v1alpha1.Severity {
	switch kind {
	case v1alpha1.NoteStarted, v1alpha1.NoteStepPassed, v1alpha1.NoteCompleted, v1alpha1.NoteResumed,
		v1alpha1.NoteSuperseded, v1alpha1.NoteGitInSync:
		return v1alpha1.SeverityInfo
	case v1alpha1.NotePaused, v1alpha1.NoteApprovalNeeded, v1alpha1.NoteWaitingForTraffic, v1alpha1.NoteSuspicious, v1alpha1.NoteGitDrift:
		return v1alpha1.SeverityWarning
	case v1alpha1.NoteRolledBack, v1alpha1.NoteAborted, v1alpha1.NoteBlocked, v1alpha1.NoteSourceFailed:
		return v1alpha1.SeverityError
	}
	return v1alpha1.SeverityError
}

// Matching gives the names, sorted, as outboxes hold them (NameFor), of those Notifiers that want to be told. One whose
// selector cannot be read matches nothing; its own status says so.
func Matching(notifiers []v1alpha1.Notifier, about About) []string {
	var names []string
	for i := range notifiers {
		if wants(&notifiers[i], about) {
			names = append(names, NameFor(&notifiers[i], about.Namespace))
		}
	}
	slices.Sort(names)
	return names
}

func wants(n *v1alpha1.Notifier, about About) bool {
	if n.Spec.Suspend || !n.DeletionTimestamp.IsZero() || !Reaches(n, about.Namespace, about.System) {
		return false
	}
	if rank(SeverityOf(about.Kind)) < rank(n.Spec.MinSeverity) || !slices.Contains(kinds(n), about.Kind) {
		return false
	}
	if n.Spec.Selector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(n.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(about.Labels))
}

// kinds are those the Notifier names, or its sink's default: everything for programs and threads, the milestones for a
// channel.
func kinds(n *v1alpha1.Notifier) []v1alpha1.NoteKind {
	switch s := n.Spec; {
	case len(s.Kinds) > 0:
		return s.Kinds
	case s.Teams != nil, s.Slack != nil && s.Slack.TokenSecretRef == nil:
		return []v1alpha1.NoteKind{v1alpha1.NoteStarted, v1alpha1.NoteCompleted, v1alpha1.NoteApprovalNeeded,
			v1alpha1.NoteRolledBack, v1alpha1.NoteAborted, v1alpha1.NoteBlocked, v1alpha1.NoteSourceFailed}
	case s.GitStatus != nil:
		return []v1alpha1.NoteKind{v1alpha1.NoteStarted, v1alpha1.NoteCompleted, v1alpha1.NoteRolledBack, v1alpha1.NoteAborted, v1alpha1.NoteBlocked,
			v1alpha1.NoteGitInSync, v1alpha1.NoteSourceFailed}
	case s.Grafana != nil:
		return []v1alpha1.NoteKind{v1alpha1.NoteWaitingForTraffic, v1alpha1.NoteSuspicious, v1alpha1.NotePaused, v1alpha1.NoteApprovalNeeded,
			v1alpha1.NoteStepPassed, v1alpha1.NoteCompleted, v1alpha1.NoteSuperseded, v1alpha1.NoteRolledBack, v1alpha1.NoteAborted}
	}
	return v1alpha1.NoteKinds()
}

func rank(s v1alpha1.Severity) int {
	switch s {
	case v1alpha1.SeverityInfo:
		return 0
	case v1alpha1.SeverityWarning:
		return 1
	case v1alpha1.SeverityError:
		return 2
	}
	return 0
}
