package spec

import (
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Template is what a MetricTemplate gives a metric: what is read and, of a condition, its limits.
type Template struct {
	analysis.Source
	Limits analysis.Limits
}

// Read is what a template says with the values that a metric of a Rollout gives to its variables. Whether selectors,
// queries and rules can be read is not looked at.
func Read(t v1alpha1.MetricTemplateSpec, args []v1alpha1.Argument) (Template, error) {
	values, err := arguments(t.Args, args)
	var out Template
	switch {
	case t.Ratio != nil:
		out.Kind = analysis.KindRatio
		out.Ratio = &analysis.Ratio{Bad: t.Ratio.Bad, Good: t.Ratio.Good, Total: t.Ratio.Total, Args: values}
	case t.Histogram != nil:
		out.Kind = analysis.KindHistogram
		out.Histogram = &analysis.Histogram{Buckets: t.Histogram.Buckets, Unit: analysis.Seconds, Args: values}
		or(&out.Histogram.Unit, analysis.Unit(t.Histogram.Unit))
	case t.Condition != nil:
		c := t.Condition
		out.Kind = analysis.KindCondition
		out.Condition = &analysis.Condition{Query: c.Query, Pass: c.Pass, Fail: c.Fail, Args: values}
		out.Limits = limits(*c)
	default:
		err = errors.Join(err, errors.New("spec: set exactly one of ratio, histogram and condition"))
	}
	return out, err
}

// arguments are the template's own values where the metric gives none.
func arguments(own, given []v1alpha1.Argument) (map[string]string, error) {
	out := map[string]string{}
	for _, a := range own {
		out[a.Name] = a.Value
	}
	var errs []error
	for _, a := range given {
		if _, declared := out[a.Name]; !declared {
			errs = append(errs, fmt.Errorf("the template has no arg %q: correct the name, or declare it in the template's args", a.Name))
			continue
		}
		out[a.Name] = a.Value
	}
	return out, errors.Join(errs...)
}

// limits are those of a condition; zero stays zero where zero is said.
func limits(c v1alpha1.ConditionTemplate) analysis.Limits {
	out := analysis.Limits{
		Interval: c.Interval.Or(0), Count: int(c.Count), Failures: int(c.FailureLimit), Inconclusive: int(c.InconclusiveLimit),
		Successes: int(c.ConsecutiveSuccessLimit), Hold: c.OnFail == v1alpha1.FailHold,
	}
	if c.InitialDelay != nil {
		if out.InitialDelay = c.InitialDelay.Duration; out.InitialDelay == 0 {
			out.InitialDelay = -1 // none; the zero value means the default
		}
	}
	if c.ConsecutiveErrorLimit != nil {
		if out.Errors = int(*c.ConsecutiveErrorLimit); out.Errors == 0 {
			out.Errors = -1 // likewise
		}
	}
	return out
}

// suits says which fields of a metric have no meaning for what its template reads.
func (t Template) suits(m v1alpha1.Metric) error {
	if t.Condition == nil {
		return nil
	}
	for _, field := range []struct {
		name string
		said bool
	}{
		{"tolerance", m.Tolerance != ""}, {"harmful", m.Harmful != nil}, {"noise", m.Noise != ""}, {"window", m.Window != nil},
		{"warmup", m.Warmup != nil}, {"share", m.Share != 0},
	} {
		if field.said {
			return fmt.Errorf("%s belongs to a comparison, and the template is a condition: leave it out", field.name)
		}
	}
	return nil
}
