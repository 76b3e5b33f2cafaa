package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// The codes of steps that the expected traffic is too little for.
const (
	codeUndecided = "S701" // the step cannot be cleared in its time
	codeUnfound   = "S702" // nor a doubled error rate be found
)

// expectedRate is the annotation of a Rollout that says how many requests a second are expected; Options win.
const expectedRate = "sluice.dev/expected-rps"

// worlds is how many steps are simulated to see whether a doubled error rate is found.
const worlds = 8

// detectable asks of each step of a Rollout whether its time is enough at the expected traffic.
func detectable(mesh *manifest.Mesh, o Options) []problem.Problem {
	var found []problem.Problem
	for _, it := range mesh.Items() {
		if it.Content["kind"] != v1alpha1.KindRollout {
			continue
		}
		text, err := json.Marshal(it.Content)
		var ro v1alpha1.Rollout
		if err != nil || json.Unmarshal(text, &ro) != nil {
			continue // its form is another rule's concern
		}
		rate := o.Rate
		if rate == 0 {
			rate = o.Rates[it.Ref]
		}
		if given := ro.Annotations[expectedRate]; rate == 0 && given != "" {
			if rate, err = strconv.ParseFloat(given, 64); err != nil || !(rate > 0 && rate <= 1e6) {
				found = append(found, problem.Problem{
					Code: v1alpha1.CodeBound, Severity: problem.Error, Object: it.Ref, Field: `metadata.annotations["` + expectedRate + `"]`,
					Message: fmt.Sprintf("%.40q is no rate: want requests a second, such as 20", given),
				})
				continue
			}
		}
		if rate > 0 {
			found = append(found, tooLittle(it.Ref, &ro, rate)...)
		}
	}
	return found
}

// tooLittle finds the steps that the rate is too little for, by the built-in metrics of all answers: of others no rate is known.
func tooLittle(ref string, ro *v1alpha1.Rollout, rate float64) []problem.Problem {
	s := ro.Spec.DeepCopy()
	s.Default()
	cfg, err := spec.Config(s.Analysis, 0, nil)
	if errors.Join(append(cfg.Validate(), err)...) != nil {
		return nil // said elsewhere
	}
	cfg = cfg.WithDefaults()
	if !slices.ContainsFunc(cfg.Criteria, func(c analysis.Criterion) bool { return c.Name == v1alpha1.MetricErrors && c.Required && !c.DryRun }) {
		return nil
	}
	cfg.Criteria = slices.DeleteFunc(cfg.Criteria, func(c analysis.Criterion) bool {
		return c.DryRun || !slices.Contains(v1alpha1.DefaultMetrics(), c.Name) || c.Ratio != nil || c.Histogram != nil || c.Condition != nil
	})
	var found []problem.Problem
	for n, stage := range plan(s) {
		if stage.Weight == 0 || stage.Weight == 100 || stage.Promotion == rollout.TimeOnly {
			continue
		}
		p := judge(cfg, stage, rate)
		if p == nil {
			continue
		}
		p.Severity, p.Object, p.Field = problem.Warning, ref, "spec"
		if n < len(ro.Spec.Steps) {
			p.Field = fmt.Sprintf("spec.steps[%d]", n)
		}
		found = append(found, *p)
	}
	return found
}

// plan are the steps as the engine resolves them.
func plan(s *v1alpha1.RolloutSpec) []rollout.Stage {
	steps := make([]rollout.StageSpec, len(s.Steps))
	for i, step := range s.Steps {
		steps[i] = rollout.StageSpec{Name: step.Name, Weight: int(step.Weight), Promotion: rollout.Promotion(step.Promotion)}
		if b := step.Bake; b != nil {
			steps[i].Min, steps[i].Max = length(b.Min), length(b.Max)
		}
	}
	return rollout.Resolve(steps, s.Analysis.Bake.Or(0), s.Analysis.MaxDuration.Or(0))
}

func length(d *v1alpha1.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	return &d.Duration
}

// judge looks at one step: can it be cleared without a single failure, and is a doubled error rate found more often than not?
func judge(cfg analysis.Config, stage rollout.Stage, rate float64) *problem.Problem {
	share := float64(stage.Weight) / 100
	needed, bad := int64(0), 0.0
	for _, c := range cfg.Criteria {
		if c.Required {
			needed = max(needed, analysis.Needed(c, cfg.Beta, 0, (1-share)/share))
		}
		if c.Name == v1alpha1.MetricErrors {
			bad = c.Harmful.Rate
		}
	}
	wait := time.Duration(float64(needed) / (rate * share) * float64(time.Second))
	if wait > stage.Max {
		return &problem.Problem{
			Code: codeUndecided,
			Message: fmt.Sprintf("the step of %d%% cannot be cleared in %s: that takes %d canary requests without a failure, and %.0f come at %v rps",
				stage.Weight, analysis.Span(stage.Max), needed, rate*share*stage.Max.Seconds(), rate),
			Hint: fmt.Sprintf("it needs %s at %v rps: give it that time, or a larger weight", analysis.Span(wait), rate),
		}
	}
	trial := sim.Trial{ // with all that is judged beside errors: it takes its share of alpha
		World:  sim.World{Rate: rate, Stable: bad, Canary: 2 * bad, Latency: sim.Latency{Median: 50 * time.Millisecond}, Scrape: sim.Scrape{Loads: true}},
		Config: cfg, Weight: stage.Weight, Horizon: stage.Max,
	}
	hits := 0
	for seed := range uint64(worlds) {
		if trial.Run(seed).RolledBack != sim.Never {
			hits++
		}
	}
	if 2*hits >= worlds {
		return nil
	}
	return &problem.Problem{
		Code: codeUnfound,
		Message: fmt.Sprintf("twice the error rate (%s against %s) is found in %d of %d simulated steps of %d%% and %s at %v rps",
			analysis.Percent(2*bad), analysis.Percent(bad), hits, worlds, stage.Weight, analysis.Span(stage.Max), rate),
		Hint: "it would not be promoted either; a longer step, a larger weight or noise: independent finds it",
	}
}
