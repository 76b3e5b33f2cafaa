package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// options says how a Source renders, with its variables as they are now.
func (p *pass) options(ctx context.Context) (gitsync.Options, error) {
	spec := p.src.Spec
	o := gitsync.Options{Path: spec.Path, Namespace: p.src.Namespace, Ignore: spec.Ignore}
	if spec.Substitute == nil {
		return o, nil
	}
	var err error
	o.Variables, err = p.controller.variables(ctx, p.src.Namespace, *spec.Substitute)
	return o, err
}

// variables reads what stands for ${NAME}: the objects in their order, and what the spec says itself over all of them.
func (c *Controller) variables(ctx context.Context, namespace string, s v1alpha1.SourceSubstitute) (gitsync.Variables, error) {
	var from []gitsync.Given
	for i, ref := range s.From {
		data, err := c.variablesOf(ctx, namespace, ref)
		if apierrors.IsNotFound(err) && ref.Optional {
			continue
		}
		field := fmt.Sprintf("spec.substitute.from[%d]", i)
		if apierrors.IsNotFound(err) {
			return gitsync.Variables{}, unset(problem.Problem{Code: "S325", Severity: problem.Error, Field: field,
				Message: fmt.Sprintf("there is no %s %s in the namespace", ref.Kind, ref.Name), Hint: "create it, or set optional"})
		}
		if err != nil {
			return gitsync.Variables{}, fmt.Errorf("reading %s %s: %w", ref.Kind, ref.Name, err)
		}
		from = append(from, gitsync.Given{Field: field, Secret: ref.Kind == "Secret", Data: data})
	}
	v, wrong := gitsync.GatherVariables(from, s.Vars)
	if wrong != nil {
		return v, unset(*wrong)
	}
	return v, nil
}

func (c *Controller) variablesOf(ctx context.Context, namespace string, ref v1alpha1.SubstituteFrom) (map[string]string, error) {
	key := types.NamespacedName{Namespace: namespace, Name: ref.Name}
	if ref.Kind == "ConfigMap" {
		cm := &corev1.ConfigMap{}
		err := c.config.Live.Get(ctx, key, cm)
		return cm.Data, err
	}
	s := &corev1.Secret{}
	err := c.config.Live.Get(ctx, key, s)
	out := map[string]string{}
	for k, value := range s.Data {
		out[k] = string(value)
	}
	return out, err
}

// unset is a Failure about variables.
func unset(p problem.Problem) error {
	return &gitsync.Failure{Reason: gitsync.BuildFailed, Err: fmt.Errorf("%s: %s", p.Field, p.Message), Problem: &p}
}

// veil takes values that came from Secrets out of what a status says.
func (p *pass) veil(s *v1alpha1.SourceStatus) {
	rev := p.memory.revision
	if rev == nil || len(rev.values.Hidden) == 0 {
		return
	}
	hide := rev.values.Hide
	s.Problems = slices.Clone(s.Problems)
	for i := range s.Problems {
		f := &s.Problems[i]
		f.Object, f.Field, f.Message, f.Hint = hide(f.Object), hide(f.Field), hide(f.Message), hide(f.Hint)
	}
	s.Conditions = slices.Clone(s.Conditions)
	for i := range s.Conditions {
		veiled(&s.Conditions[i], hide)
	}
}

func veiled(c *metav1.Condition, hide func(string) string) { c.Message = hide(c.Message) }
