// Package spec makes of what a Rollout and its MetricTemplates write what the analysis takes: numbers for texts,
// defaults by the name of a metric, the variables of a template. It decides nothing.
//
//	own, err := spec.Read(template.Spec, metric.Args)
//	cfg, err := spec.Config(rollout.Spec.Analysis, bake, map[string]spec.Template{metric.Name: own})
package spec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Config is an analysis block as the judge takes it. bake is what the present step needs; templates are, by the names of
// metrics, what those with a template read. A metric that is neither built in nor among them cannot be read: it
// stays required, so that its silence promotes nothing. The Config that comes with an error is not to be used; whether
// another one is sound, its Validate says.
func Config(a v1alpha1.Analysis, bake time.Duration, templates map[string]Template) (analysis.Config, error) {
	var p parser
	out := analysis.Config{
		Alpha:     p.percent("spec.analysis.falseRollback", a.FalseRollback),
		Beta:      p.percent("spec.analysis.falsePromotion", a.FalsePromotion),
		Objective: p.percent("spec.analysis.objective", a.Objective),
		Bake:      bake,
	}
	for _, name := range v1alpha1.DefaultMetrics() {
		if !slices.ContainsFunc(a.Metrics, func(m v1alpha1.Metric) bool { return m.Name == name }) {
			c := Metric(name)
			c.Optional = true // nobody asked for it
			out.Criteria = append(out.Criteria, c)
		}
	}
	for i, m := range a.Metrics {
		if m.Disabled {
			continue
		}
		field := fmt.Sprintf("spec.analysis.metrics[%d]", i)
		c := p.criterion(field, m)
		if t, known := templates[m.Name]; known && m.Template != "" {
			c.Source, c.Limits = t.Source, t.Limits
			p.refuse(field, t.suits(m))
		}
		out.Criteria = append(out.Criteria, c)
	}
	return out, errors.Join(p.errs...)
}

// Metric is the metric of that name with the share and the part in promotion that it has by itself. All else is zero,
// which means the defaults.
func Metric(name string) analysis.Criterion {
	out := analysis.Criterion{Name: name, Share: 1, Required: true}
	if b, builtin := analysis.Builtin(name); builtin {
		out.Share, out.Required, out.Source = b.Share, b.Required, b.Source
	}
	return out
}

// Attempts is the metric of all tries, retried ones too; promotion does not need it.
const Attempts = v1alpha1.MetricAttempts

// parser reads the written numbers of a spec and keeps what is wrong with them.
type parser struct {
	errs []error
}

func (p *parser) percent(field string, text v1alpha1.Percent) float64 {
	if text == "" {
		return 0
	}
	v, err := text.Fraction()
	if err == nil && v == 0 { // it would pass for the default
		err = fmt.Errorf("%s is out of bounds: want more than 0%%", text)
	}
	p.refuse(field, err)
	return v
}

func (p *parser) decimal(field string, text v1alpha1.Decimal) float64 {
	if text == "" {
		return 0
	}
	v, err := text.Float()
	if err == nil && v == 0 {
		err = fmt.Errorf("%q is out of bounds: want more than 0", string(text))
	}
	p.refuse(field, err)
	return v
}

func (p *parser) refuse(field string, err error) {
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", field, err))
	}
}

// criterion is a metric of the block; what it does not say stays at the default.
func (p *parser) criterion(field string, m v1alpha1.Metric) analysis.Criterion {
	c := Metric(m.Name)
	or(&c.Tolerance, p.percent(field+".tolerance", m.Tolerance))
	if m.Harmful != nil {
		or(&c.Harmful.Ratio, p.decimal(field+".harmful.ratio", m.Harmful.Ratio))
		or(&c.Harmful.Rate, p.percent(field+".harmful.rate", m.Harmful.Rate))
	}
	or(&c.Noise, analysis.Noise(m.Noise))
	or(&c.Window, m.Window.Or(0))
	or(&c.Share, int(m.Share))
	c.FromStep, c.DryRun = int(m.FromStep), m.DryRun
	if m.Promotion != "" {
		c.Required = m.Promotion == v1alpha1.PromotionRequired
	}
	c.Optional = m.Name == Attempts && m.Template == "" && m.Promotion == "" && !m.DryRun // it may stand in for errors
	if m.Warmup != nil {
		if c.Warmup = m.Warmup.Duration; c.Warmup == 0 {
			c.Warmup = -1 // none; the zero value means the default
		}
	}
	return c
}

// or takes what is said; the zero value says nothing.
func or[T comparable](to *T, said T) {
	var nothing T
	if said != nothing {
		*to = said
	}
}
