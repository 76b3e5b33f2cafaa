package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// judgedConfig is the analysis block of a Rollout as the analysis takes it. Unlike in a cluster, metrics of templates
// need no template here: their counts stand in the input.
func judgedConfig(a v1alpha1.Analysis) (analysis.Config, error) {
	var errs []error
	percent := func(field string, text v1alpha1.Percent) float64 {
		if text == "" {
			return 0
		}
		v, err := text.Fraction()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		return v
	}
	cfg := analysis.Config{
		Alpha:     percent("falseRollback", a.FalseRollback),
		Beta:      percent("falsePromotion", a.FalsePromotion),
		Objective: percent("objective", a.Objective),
		Bake:      a.Bake.Or(5 * time.Minute),
	}
	metrics := a.Metrics
	if !slices.ContainsFunc(metrics, func(m v1alpha1.Metric) bool { return m.Name == v1alpha1.MetricErrors }) {
		metrics = append([]v1alpha1.Metric{{Name: v1alpha1.MetricErrors}}, metrics...)
	}
	for _, m := range metrics {
		if m.Disabled {
			continue
		}
		c := judgedMetric(m.Name)
		c.Tolerance = percent(m.Name+" tolerance", m.Tolerance)
		c.Noise, c.Window = analysis.Noise(m.Noise), m.Window.Or(0)
		if m.Share > 0 {
			c.Share = int(m.Share)
		}
		if m.Warmup != nil {
			if c.Warmup = m.Warmup.Duration; c.Warmup == 0 {
				c.Warmup = -1 // none, where zero would be the default
			}
		}
		if m.Harmful != nil {
			c.Harmful.Rate = percent(m.Name+" harmful rate", m.Harmful.Rate)
			if m.Harmful.Ratio != "" {
				ratio, err := m.Harmful.Ratio.Float()
				errs = append(errs, err)
				c.Harmful.Ratio = ratio
			}
		}
		cfg.Criteria = append(cfg.Criteria, c)
	}
	return cfg, errors.Join(errs...)
}
