package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Bounds of what a status holds.
const (
	maxProblems = 50
	maxHeld     = 20
	maxNames    = 10
	maxHistory  = 10
	maxCodes    = 16
)

// edit changes a status; conditions that it does not set again are gone.
type edit func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions)

// write patches the status when the edit changes it, on condition that the Source is still as it was read. It is the
// only place that does.
func (p *pass) write(ctx context.Context, change edit) error {
	before := p.src.DeepCopy()
	s := &p.src.Status
	generation := p.generation()
	conditions := v1alpha1.NewConditions(s.Conditions, generation, p.controller.config.Now())
	change(s, conditions)
	p.sayVerified(before.Status.Conditions, conditions)
	p.setDrifted(s, conditions)
	s.Conditions = conditions.List()
	p.veil(s)
	s.ObservedGeneration = generation
	if p.looked || p.src.Spec.Suspend {
		s.LastHandledReconcile = p.src.Annotations[v1alpha1.AnnotationReconcile]
	}
	if err := p.note(ctx, before.Status.Conditions, s); err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(before.Status, p.src.Status) {
		p.measure()
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := p.controller.config.Client.Status().Patch(ctx, p.src, patch); err != nil {
		return fmt.Errorf("writing the status of the Source: %w", err)
	}
	p.measure()
	p.announce(before.Status.Conditions)
	p.stored()
	return nil
}

// generation is that of the spec which was acted on: a repair before the first look at a new spec was not.
func (p *pass) generation() int64 {
	if p.looked || p.src.Spec.Suspend || p.memory.generation == p.src.Generation {
		return p.src.Generation
	}
	return p.src.Status.ObservedGeneration
}

// announce tells of a new failure once; successes are told by applied with their numbers.
func (p *pass) announce(before []metav1.Condition) {
	was, is := v1alpha1.Condition(before, v1alpha1.ConditionReady), v1alpha1.Condition(p.src.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || is.Status != metav1.ConditionFalse || (was != nil && was.Status == is.Status && was.Reason == is.Reason && was.Message == is.Message) {
		return
	}
	p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
}

// keepPruneHeld carries that condition over where a pass says nothing about it.
func keepPruneHeld(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	if held := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionPruneHeld); held != nil {
		c.Set(held.Type, held.Status, held.Reason, held.Message)
	}
}

// keepAll carries every condition over but those that write sets itself.
func keepAll(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	for _, was := range s.Conditions {
		if was.Type != v1alpha1.ConditionDrifted {
			c.Set(was.Type, was.Status, was.Reason, was.Message)
		}
	}
}

// stand derives the conditions from the problems and holds that the status lists.
func (p *pass) stand(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	if refusedUnits(s) > 0 || slices.ContainsFunc(s.Problems, func(f v1alpha1.ProblemStatus) bool { return f.Severity == string(problem.Error) }) {
		c.Stalled(invalidReason(s), invalid(s))
	}
	keepPruneHeld(s, c)
}

func setProblems(s *v1alpha1.SourceStatus, problems []problem.Problem) {
	s.ProblemCount = int32(len(problems))
	s.Problems = nil
	for _, f := range problems[:min(len(problems), maxProblems)] {
		s.Problems = append(s.Problems, problemStatus(f))
	}
}

func problemStatus(f problem.Problem) v1alpha1.ProblemStatus {
	return v1alpha1.ProblemStatus{Code: f.Code, Severity: string(f.Severity), Path: problem.Clean(f.Path, 512), Line: int32(f.Line),
		Column: int32(f.Column), Object: problem.Clean(f.Object, 400), Field: problem.Clean(f.Field, 256), Message: problem.Clean(f.Message, problem.MaxMessage),
		Hint: problem.Clean(f.Hint, problem.MaxMessage)}
}

func inNamespace(namespace string) client.ListOption { return client.InNamespace(namespace) }
