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
	ratios  map[string]analysis.Ratio // by metric
	servers servers
	missing []string // in words
	wrong   error    // with those that cannot be used
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
	p.analysis, p.analysisErr = spec.Config(p.object.Spec.Analysis, p.state.Stage().Min, p.templates.ratios)
	p.analysis.Criteria = p.required(p.analysis.Criteria)
	p.analysisErr = errors.Join(p.analysisErr, errors.Join(p.analysis.Validate()...))
	return nil
}

// readTemplate finds the counters of one metric.
func (p *pass) readTemplate(ctx context.Context, field string, m v1alpha1.Metric) error {
	key := types.NamespacedName{Namespace: p.key.Namespace, Name: m.Template}
	t := &v1alpha1.MetricTemplate{}
	if err := p.controller.config.Client.Get(ctx, key, t); apierrors.IsNotFound(err) {
		p.templates.missing = append(p.templates.missing,
			fmt.Sprintf("%s.template: there is no MetricTemplate %s in the namespace: create it, or name another one", field, m.Template))
		return nil
	} else if err != nil {
		return fmt.Errorf("reading MetricTemplate %s: %w", key, err)
	}
	r, err := p.comparison(t, m.Args)
	if err != nil {
		p.templates.wrong = errors.Join(p.templates.wrong, fmt.Errorf("%s: MetricTemplate %s: %w", field, m.Template, err))
		return nil
	}
	if p.templates.ratios == nil {
		p.templates.ratios = map[string]analysis.Ratio{}
	}
	p.templates.ratios[m.Name] = r
	p.templates.servers.refer(m.Name, field, t.Spec.Prometheus)
	return nil
}

// comparison is what a template says with these args, if it can be used.
func (p *pass) comparison(t *v1alpha1.MetricTemplate, args []v1alpha1.Argument) (analysis.Ratio, error) {
	for _, found := range t.Validate() {
		if found.Severity == problem.Error {
			found.Object = ""
			return analysis.Ratio{}, errors.New(found.String())
		}
	}
	r, err := spec.Ratio(t.Spec, args)
	if err != nil {
		return r, err
	}
	return r, p.controller.config.CheckRatio(r)
}

// keep remembers for the attempt what can be used, and puts it where that is not so any more.
func (j *judged) keep(t *templates) {
	if !t.unusable() {
		j.ratios, j.servers = t.ratios, &t.servers
		return
	}
	t.servers.rest(j.servers)
	all := map[string]analysis.Ratio{}
	maps.Copy(all, j.ratios)
	maps.Copy(all, t.ratios)
	t.ratios = all
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

// namesTemplate reports that a Rollout reads a MetricTemplate.
func namesTemplate(ro *v1alpha1.Rollout, template client.Object) bool {
	return ro.Namespace == template.GetNamespace() && slices.ContainsFunc(ro.Spec.Analysis.Metrics, func(m v1alpha1.Metric) bool {
		return !m.Disabled && m.Template == template.GetName()
	})
}
