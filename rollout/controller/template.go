package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

// templates is what became of the metrics that name a MetricTemplate.
type templates struct {
	own     map[string]spec.Template // by metric: what is read
	servers servers
	missing []string // in words
	wrong   error    // with those that cannot be used
	// harmOnly says that the spec's analysis cannot be used, and was not since this process started.
	harmOnly bool
}

// unusable reports that some metric has no template that can be used, or no server to be read from.
func (t templates) unusable() bool {
	return len(t.missing) > 0 || t.wrong != nil || len(t.servers.missing) > 0
}

// readAnalysis makes the judge's Config of the spec and the templates it names. With one that is missing or wrong no
// attempt starts; an open one goes on with what was usable since it started. Where this process has not seen that, the
// metric cannot be read, which promotes nothing.
func (p *pass) readAnalysis(ctx context.Context) error {
	j := &p.memory.judged
	p.load(j)
	for i, m := range p.object.Spec.Analysis.Metrics {
		if m.Disabled || m.Template == "" {
			continue
		}
		if err := p.readTemplate(ctx, fmt.Sprintf("spec.analysis.metrics[%d]", i), m); err != nil {
			return err
		}
	}
	p.readServers()
	j.keep(&p.templates)
	p.analysis, p.analysisErr = spec.Config(p.object.Spec.Analysis, p.state.Stage().Min, p.templates.own)
	p.analysisErr = errors.Join(p.analysisErr, errors.Join(p.analysis.Validate()...))
	if p.analysisErr == nil {
		j.config = nil // at rest nothing is judged, and an attempt does not start with what cannot be used
		if !p.state.Phase.Rest() {
			j.config = new(p.analysis)
		}
	} else {
		p.standIn(j)
	}
	p.analysis.Criteria = p.required(p.analysis.Criteria)
	return nil
}

// standIn is what an open attempt is judged by while the spec's analysis cannot be used: what could be used last. Where this
// process has not seen that, the defaults, which then find harm only.
func (p *pass) standIn(j *judged) {
	if j.config != nil {
		p.analysis = *j.config
		p.analysis.Bake = p.state.Stage().Min
		return
	}
	p.templates.harmOnly = true
	p.analysis, _ = spec.Config(v1alpha1.Analysis{}, p.state.Stage().Min, nil) // the defaults hold no mistake
}

// cautious is a report that promotes nothing where what is judged is not what the spec asks for.
func (p *pass) cautious(r analysis.Report) analysis.Report {
	if p.templates.harmOnly && r.Verdict == analysis.Promote {
		r.Verdict, r.Reason = analysis.Inconclusive, analysis.GateInconclusive
		r.Message = "spec.analysis cannot be used: harm is looked for by the defaults, and nothing is promoted"
	}
	return r
}

// readTemplate finds what one metric reads.
func (p *pass) readTemplate(ctx context.Context, field string, m v1alpha1.Metric) error {
	t, err := p.template(ctx, m.Template)
	if err != nil {
		return err
	}
	if t == nil {
		p.templates.missing = append(p.templates.missing,
			fmt.Sprintf("%s.template: there is no MetricTemplate %s in the namespace, and no shared one: create it, or name another one", field, m.Template))
		return nil
	}
	own, err := p.usable(t, m.Args)
	if err != nil {
		p.templates.wrong = errors.Join(p.templates.wrong, fmt.Errorf("%s: MetricTemplate %s: %w", field, m.Template, err))
		return nil
	}
	if p.templates.own == nil {
		p.templates.own = map[string]spec.Template{}
	}
	p.templates.own[m.Name] = own
	p.templates.servers.refer(m.Name, field, t.Spec.Prometheus)
	return nil
}

// template finds the MetricTemplate of that name in the Rollout's namespace, else a shared one in the controller's own;
// nil: there is none.
func (p *pass) template(ctx context.Context, name string) (*v1alpha1.MetricTemplate, error) {
	for _, namespace := range []string{p.key.Namespace, p.controller.home()} {
		key := types.NamespacedName{Namespace: namespace, Name: name}
		t := &v1alpha1.MetricTemplate{}
		err := p.controller.config.Client.Get(ctx, key, t)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("reading MetricTemplate %s: %w", key, err)
		case namespace == p.key.Namespace || t.Spec.Shared:
			return t, nil
		}
	}
	return nil, nil //nolint:nilnil // none is an answer, and not a failure
}

// home is the namespace of the controller.
func (c *Controller) home() string { return c.config.Lead.Lease.Namespace }

// usable is what a template says with these args, if it can be used.
func (p *pass) usable(t *v1alpha1.MetricTemplate, args []v1alpha1.Argument) (spec.Template, error) {
	for _, found := range t.Validate() {
		if found.Severity == problem.Error {
			found.Object = ""
			return spec.Template{}, errors.New(found.String())
		}
	}
	own, err := spec.Read(t.Spec, args)
	if err != nil {
		return own, err
	}
	return own, p.controller.checks.of(own.Source)
}

// keep remembers for the attempt what can be used, and puts it where that is not so any more.
func (j *judged) keep(t *templates) {
	if !t.unusable() {
		j.own, j.servers = t.own, new(t.servers) // a copy: a pointer into the pass would keep all of it
		return
	}
	t.servers.rest(j.servers)
	all := map[string]spec.Template{}
	maps.Copy(all, j.own)
	maps.Copy(all, t.own)
	t.own = all
}

// starts reports that the first weight is still to come.
func (p *pass) starts() bool {
	return !p.state.Phase.Open() || p.state.Phase == rollout.Preparing
}

// arms says what tells the versions apart: their clusters and, for templates, the values of the variables.
func (p *pass) arms() analysis.Arms {
	return analysis.Arms{
		Canary: p.facts.CanaryClusters, CanaryVars: p.vars(p.state.Canary.Name, p.facts.CanaryClusters),
		Stable: p.facts.StableClusters, StableVars: p.vars(p.state.Stable.Name, p.facts.StableClusters),
	}
}

// vars are the values of the variables for a version, once for each of its clusters.
func (p *pass) vars(subset string, clusters []string) []map[string]string {
	var out []map[string]string
	for _, cluster := range clusters {
		vars := map[string]string{"namespace": p.key.Namespace, "rollout": p.key.Name, "subset": subset, "cluster": cluster}
		if port, _, host, ok := ir.ParseClusterName(cluster); ok {
			vars["port"], vars["host"] = strconv.Itoa(port), host
		}
		out = append(out, vars)
	}
	return out
}

// templateFault says what is wrong with templates and servers, for a person; empty: nothing.
func (p *pass) templateFault() string {
	all := slices.Concat(p.templates.missing, p.templates.servers.missing)
	if p.templates.wrong != nil {
		all = append(all, p.templates.wrong.Error())
	}
	return strings.Join(all, "; ")
}

// namesTemplate reports that a Rollout may read a MetricTemplate: one of its own namespace, or of the controller's.
func namesTemplate(ro *v1alpha1.Rollout, template client.Object, home string) bool {
	return (ro.Namespace == template.GetNamespace() || home == template.GetNamespace()) && slices.ContainsFunc(ro.Spec.Analysis.Metrics, func(m v1alpha1.Metric) bool {
		return !m.Disabled && m.Template == template.GetName()
	})
}
