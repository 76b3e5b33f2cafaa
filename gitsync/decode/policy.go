package decode

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// Policy says what Sources may apply at most: the operator's lists.
type Policy struct {
	Kinds          []string // "Kind.group", "Kind" of the core group, "*.group" or "*"; nil: DefaultKinds
	CrossNamespace bool     // Sources may name other namespaces, and apply kinds without a namespace
	// Sound says what is wrong with the content of an object whose form is right; nil: the server alone judges it.
	Sound func(content map[string]any) []problem.Problem
}

// Scope is one Source's part of a Policy. It narrows and never widens it.
type Scope struct {
	Namespace  string   // of the Source
	Kinds      []string // as in Policy; empty: all that the Policy allows
	Namespaces []string // names, or prefix*; empty: the Source's own
}

var kindForm = regexp.MustCompile(`^([*]|[A-Z][A-Za-z0-9]*([.][a-z0-9.-]+)?|[*][.][a-z0-9.-]+)$`)

func (p Policy) validate() error {
	for _, kind := range p.Kinds {
		if !kindForm.MatchString(kind) {
			return fmt.Errorf("kind %q: want Kind.group, Kind, *.group or *", kind)
		}
	}
	return nil
}

// reaches reports whether a Source may apply to a namespace; "" is the cluster as a whole.
func (p Policy) reaches(s Scope, namespace string) bool {
	if namespace != s.Namespace && !p.CrossNamespace {
		return false
	}
	if namespace == "" {
		return true
	}
	if len(s.Namespaces) == 0 {
		return namespace == s.Namespace
	}
	return slices.ContainsFunc(s.Namespaces, func(want string) bool {
		prefix, wild := strings.CutSuffix(want, "*")
		return want == namespace || (wild && strings.HasPrefix(namespace, prefix))
	})
}

// takes reports whether the Source itself wants objects of this kind.
func (s Scope) takes(id gitsync.ID) bool {
	return len(s.Kinds) == 0 || listed(s.Kinds, id) || wildcard(s.Kinds, id)
}

func listed(kinds []string, id gitsync.ID) bool { return slices.Contains(kinds, id.GroupKind()) }

func wildcard(kinds []string, id gitsync.ID) bool {
	return slices.Contains(kinds, "*") || slices.Contains(kinds, "*."+id.Group)
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
	return listed(kinds, id) || (!delicate(id) && wildcard(kinds, id))
}

// delicate kinds must be named in full: no wildcard reaches them.
func delicate(id gitsync.ID) bool {
	switch id.GroupKind() {
	case "Secret", "Namespace", "Source.sluice.dev", "CustomResourceDefinition.apiextensions.k8s.io":
		return true
	}
	return strings.HasPrefix(id.Group, "rbac.")
}
