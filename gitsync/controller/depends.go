package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

const dependencyPatience = 10 * time.Minute // until Ready says that a dependency is not met

// blocked writes what the Source waits for of those it depends on; false: it waits for nothing.
func (p *pass) blocked(ctx context.Context) (bool, error) {
	m := p.memory
	if len(p.src.Spec.DependsOn) == 0 {
		m.blocked = time.Time{}
		return false, nil
	}
	siblings := &v1alpha1.SourceList{}
	if err := p.controller.config.Client.List(ctx, siblings, inNamespace(p.src.Namespace)); err != nil {
		return true, fmt.Errorf("listing Sources: %w", err)
	}
	if way := gitsync.Cycle(p.src.Name, dependencies(siblings.Items, p.src)); way != nil {
		return true, p.halt(ctx, cyclic(p.src, way))
	}
	for _, d := range p.src.Spec.DependsOn {
		at := slices.IndexFunc(siblings.Items, func(s v1alpha1.Source) bool { return s.Name == d.Name })
		why := "there is no Source of that name"
		if at >= 0 {
			why = p.unmet(&siblings.Items[at])
		}
		if why != "" {
			return true, p.halt(ctx, p.waiting(fmt.Sprintf("%s: waits for Source %s: %s", short(m.revision.commit), d.Name, why)))
		}
	}
	m.blocked = time.Time{}
	return false, nil
}

// halt writes why nothing is applied; the Sources that it depends on wake it.
func (p *pass) halt(ctx context.Context, change edit) error {
	m := p.memory
	m.settled = false
	m.waits.Store(true)
	if m.blocked.IsZero() {
		m.blocked = p.started
	}
	if late := m.blocked.Add(dependencyPatience); p.started.Before(late) {
		m.again = late
	}
	return p.write(ctx, change)
}

func (p *pass) waiting(text string) edit {
	m := p.memory
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		s.Ref, s.LastAttemptedRevision = m.revision.commit.Ref, m.revision.commit.Revision()
		if p.started.Sub(m.blocked) >= dependencyPatience {
			c.Failing(v1alpha1.ReasonDependencyNotReady, text)
		} else {
			c.Moving(v1alpha1.ReasonDependencyNotReady, text)
		}
		keepPruneHeld(s, c)
	}
}

func cyclic(src *v1alpha1.Source, way []string) edit {
	found := problem.Problem{Code: "S213", Severity: problem.Error, Object: v1alpha1.KindSource + "/" + src.Namespace + "/" + src.Name, Field: "spec.dependsOn",
		Message: "it depends on itself: " + strings.Join(way, " needs "), Hint: "take one of them out of dependsOn"}
	return func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Failures = 0
		setProblems(s, []problem.Problem{found})
		c.Stalled(v1alpha1.ReasonDependencyCycle, found.Message)
		keepPruneHeld(s, c)
	}
}

// dependencies of the Sources of a namespace; of src itself those that it has now.
func dependencies(siblings []v1alpha1.Source, src *v1alpha1.Source) map[string][]string {
	out := map[string][]string{}
	for _, s := range append(slices.Clone(siblings), *src) {
		out[s.Name] = nil
		for _, d := range s.Spec.DependsOn {
			out[s.Name] = append(out[s.Name], d.Name)
		}
	}
	return out
}

// unmet says why another Source is not yet what this one needs, or "": it must be ready, with its newest spec, and, where
// both follow the same ref of the same repository, have handled this very commit.
func (p *pass) unmet(other *v1alpha1.Source) string {
	ready := v1alpha1.Condition(other.Status.Conditions, v1alpha1.ConditionReady)
	revision := p.memory.revision.commit.Revision()
	shared := gitsync.SharedURL(other.Spec.URL) == gitsync.SharedURL(p.src.Spec.URL) && other.Spec.Ref == p.src.Spec.Ref
	switch {
	case ready == nil || ready.Status != metav1.ConditionTrue:
		return "it is not ready"
	case other.Status.ObservedGeneration != other.Generation:
		return "its spec has changed"
	case shared && (other.Status.LastAttemptedRevision != revision || other.Status.LastAppliedRevision != revision):
		return "it has not applied this commit"
	}
	return ""
}

// dependents are the Sources that wait and name src among those they depend on.
func (c *Controller) dependents(ctx context.Context, src client.Object) []reconcile.Request {
	siblings := &v1alpha1.SourceList{}
	if err := c.config.Client.List(ctx, siblings, inNamespace(src.GetNamespace())); err != nil {
		return nil // the cache cannot fail once it runs
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []reconcile.Request
	for _, s := range siblings.Items {
		name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
		m := c.memory[name]
		if s.Name != src.GetName() && len(s.Spec.DependsOn) > 0 && m != nil && m.waits.Load() {
			out = append(out, reconcile.Request{NamespacedName: name})
		}
	}
	return out
}

// advanced passes what may end the wait of a Source that depends on this one.
func advanced() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, okBefore := e.ObjectOld.(*v1alpha1.Source)
		after, okAfter := e.ObjectNew.(*v1alpha1.Source)
		if !okBefore || !okAfter {
			return false
		}
		was, is := v1alpha1.Condition(before.Status.Conditions, v1alpha1.ConditionReady), v1alpha1.Condition(after.Status.Conditions, v1alpha1.ConditionReady)
		return before.Generation != after.Generation || before.Status.ObservedGeneration != after.Status.ObservedGeneration ||
			before.Status.LastAppliedRevision != after.Status.LastAppliedRevision || before.Status.LastAttemptedRevision != after.Status.LastAttemptedRevision ||
			(is != nil && (was == nil || was.Status != is.Status))
	}}
}
