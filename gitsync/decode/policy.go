package decode

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// Policy says what a Source may apply.
type Policy struct {
	Kinds []string // "Kind.group", "Kind" of the core group, "*.group" or "*"; nil: DefaultKinds
	// Sound says what is wrong with the content of an object whose form is right; nil: the server alone judges it.
	Sound func(content map[string]any) []problem.Problem
}

// DefaultKinds are the kinds that a Source may apply where the operator says nothing.
func DefaultKinds() []string {
	return []string{
		"Rollout.sluice.dev", "MetricTemplate.sluice.dev", "Notifier.sluice.dev",
		"Gateway.networking.istio.io", "VirtualService.networking.istio.io", "DestinationRule.networking.istio.io",
		"ServiceEntry.networking.istio.io", "WorkloadEntry.networking.istio.io", "Sidecar.networking.istio.io",
		"Service", "ConfigMap", "Deployment.apps", "HorizontalPodAutoscaler.autoscaling", "PodDisruptionBudget.policy",
	}
}

// allows reports whether a kind may be applied. Some never: commands, reports and what asks for rights.
func (p Policy) allows(id gitsync.ID) bool {
	kind := id.GroupKind()
	switch kind {
	case "RolloutAction.sluice.dev", "FleetReport.sluice.dev", "Lease.coordination.k8s.io", "SubjectAccessReview.authorization.k8s.io",
		"LocalSubjectAccessReview.authorization.k8s.io", "SelfSubjectAccessReview.authorization.k8s.io", "SelfSubjectRulesReview.authorization.k8s.io":
		return false
	}
	kinds := p.Kinds
	if kinds == nil {
		kinds = DefaultKinds()
	}
	if slices.Contains(kinds, kind) {
		return true
	}
	return !delicate(id) && (slices.Contains(kinds, "*") || slices.Contains(kinds, "*."+id.Group))
}

// delicate kinds must be named in full: no wildcard reaches them.
func delicate(id gitsync.ID) bool {
	switch id.GroupKind() {
	case "Secret", "Namespace", "Source.sluice.dev", "CustomResourceDefinition.apiextensions.k8s.io":
		return true
	}
	return strings.HasPrefix(id.Group, "rbac.")
}
