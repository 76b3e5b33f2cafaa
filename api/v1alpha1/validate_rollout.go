package v1alpha1

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

const (
	anyTime  = 720 * time.Hour
	maxSteps = 16
)

// Validate gives what is wrong with the spec: all that the API server would refuse, said with a place and a way out,
// and warnings for what it would take. It changes nothing; fields left open are judged by their defaults.
func (r *Rollout) Validate() []problem.Problem {
	f := &findings{object: KindRollout + "/" + r.Namespace + "/" + r.Name}
	s := r.Spec.DeepCopy()
	s.Default()
	if r.Name != "" {
		f.name("metadata.name", r.Name, label())
		f.text("metadata.name", r.Name, 1, 63)
	}
	f.text("spec.host", s.Host, 1, 253)
	f.text("spec.subset", s.Subset, 1, 63)
	if s.Host != "" {
		f.name("spec.host", s.Host, host())
	}
	if s.Subset != "" {
		f.name("spec.subset", s.Subset, subset())
	}
	if s.InitialStable != "" {
		f.name("spec.initialStable", s.InitialStable, subset())
	}
	f.routes(s.Routes)
	f.steps(s)
	f.analysis(&s.Analysis)
	f.begun(s)
	f.affinity(s.Affinity)
	f.calendar(s)
	f.strategy(s)
	f.limits(s)
	return f.list
}

func (f *findings) routes(routes []string) {
	if len(routes) > 16 {
		f.bound("spec.routes", "name 16 at most", "%d routes", len(routes))
	}
	seen := map[string]bool{}
	for i, name := range routes {
		field := fmt.Sprintf("spec.routes[%d]", i)
		f.text(field, name, 1, 63)
		if seen[name] {
			f.bound(field, "name each route once", "%q stands twice", name)
		}
		seen[name] = true
	}
}

func (f *findings) steps(s *RolloutSpec) {
	if len(s.Steps) > maxSteps {
		f.bound("spec.steps", "use 16 at most", "%d steps", len(s.Steps))
	}
	names, before := map[string]bool{}, int32(0)
	for i := range s.Steps {
		step, field := &s.Steps[i], fmt.Sprintf("spec.steps[%d]", i)
		f.within(field+".weight", step.Weight, 0, 100)
		switch {
		case i > 0 && step.Weight < before:
			f.add(CodeWeightsFall, problem.Error, field+".weight", fmt.Sprintf("weight %d follows weight %d", step.Weight, before),
				"order the steps by weight")
		case step.Weight == 100 && before == 100:
			f.bound(field+".weight", "keep one step of 100", "weight 100 stands twice")
		}
		before = max(before, step.Weight)
		if step.Name != "" {
			f.text(field+".name", step.Name, 1, 32)
		}
		name := step.called(i + 1)
		if names[name] {
			f.bound(field+".name", "give each step a name of its own", "%q stands twice", name)
		}
		names[name] = true
		f.bake(field+".bake", step.Bake)
		f.parts(field, step, s.Analysis.Metrics)
		one(f, field+".promotion", step.Promotion, "", PromotionEvidence, PromotionTimeOnly)
	}
	f.plan(s.Steps)
	if added := (&Step{}).called(len(s.Steps) + 1); before < 100 && names[added] {
		f.bound("spec.steps", "write the step of 100", "the step of 100 that is added would be a second %q", added)
	}
	if before < 100 {
		f.add(CodeLastStep, problem.Warning, fmt.Sprintf("spec.steps[%d].weight", len(s.Steps)-1),
			fmt.Sprintf("the last weight is %d; a step of 100 is added", before), "write the step of 100")
	}
}

// called is the name of a step, from 1.
func (s *Step) called(n int) string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprintf("step-%d", n)
}

func (f *findings) bake(field string, b *Bake) {
	if b == nil {
		return
	}
	f.lasts(field+".min", b.Min, 0, anyTime)
	f.lasts(field+".max", b.Max, time.Second, anyTime)
	if b.Min != nil && b.Max != nil && b.Min.Duration > b.Max.Duration {
		f.bound(field, "make max the longer one", "min %v is longer than max %v", b.Min, b.Max)
	}
}

func (f *findings) analysis(a *Analysis) {
	f.percent("spec.analysis.falseRollback", a.FalseRollback)
	f.percent("spec.analysis.falsePromotion", a.FalsePromotion)
	f.percent("spec.analysis.objective", a.Objective)
	f.lasts("spec.analysis.bake", a.Bake, 0, anyTime)
	f.lasts("spec.analysis.maxDuration", a.MaxDuration, time.Second, anyTime)
	f.lasts("spec.analysis.blindAfter", a.BlindAfter, time.Second, anyTime)
	one(f, "spec.analysis.onInconclusive", a.OnInconclusive, InconclusivePause, InconclusivePromote, InconclusiveRollback)
	one(f, "spec.analysis.onBlind", a.OnBlind, BlindHold, BlindRollback)
	f.prometheus("spec.analysis.prometheus", a.Prometheus)
	if len(a.Metrics) > 12 {
		f.bound("spec.analysis.metrics", "use 12 at most", "%d metrics", len(a.Metrics))
	}
	if n := len(gates(a.Metrics)) + shown(a.Metrics); n > 12 {
		f.bound("spec.analysis.metrics", "disable some of them", "%d metrics with those that are on by themselves, 12 at most", n)
	}
	seen := map[string]bool{}
	for i := range a.Metrics {
		field := fmt.Sprintf("spec.analysis.metrics[%d]", i)
		f.metric(field, &a.Metrics[i])
		if seen[a.Metrics[i].Name] {
			f.bound(field+".name", "give each metric a name of its own", "%q stands twice", a.Metrics[i].Name)
		}
		seen[a.Metrics[i].Name] = true
	}
}

// shown counts the metrics that only show what they find.
func shown(metrics []Metric) int {
	n := 0
	for i := range metrics {
		if metrics[i].DryRun && !metrics[i].Disabled {
			n++
		}
	}
	return n
}

// begun finds metrics that no step is late enough for.
func (f *findings) begun(s *RolloutSpec) {
	steps := len(s.Steps)
	if steps > 0 && s.Steps[steps-1].Weight < 100 {
		steps++ // the one of 100 that is added
	}
	for i, m := range s.Analysis.Metrics {
		if int(m.FromStep) > steps {
			f.bound(fmt.Sprintf("spec.analysis.metrics[%d].fromStep", i), "name one of the steps, from 1", "there are %d steps: the metric would never count", steps)
		}
	}
}

func (f *findings) metric(field string, m *Metric) {
	f.name(field+".name", m.Name, metric())
	f.text(field+".name", m.Name, 1, 63)
	f.percent(field+".tolerance", m.Tolerance)
	f.lasts(field+".window", m.Window, time.Second, 10*time.Minute)
	f.lasts(field+".warmup", m.Warmup, 0, time.Hour)
	one(f, field+".noise", m.Noise, "", NoiseBursty, NoiseIndependent)
	if m.Share != 0 {
		f.within(field+".share", m.Share, 1, 100)
	}
	one(f, field+".promotion", m.Promotion, "", PromotionIgnored, PromotionRequired)
	if m.FromStep != 0 {
		f.within(field+".fromStep", m.FromStep, 1, 16)
	}
	if m.DryRun && m.Promotion == PromotionRequired {
		f.bound(field+".promotion", "leave one of the two out", "promotion cannot require a metric in dryRun")
	}
	if m.Harmful != nil {
		f.percent(field+".harmful.rate", m.Harmful.Rate)
		if _, err := m.Harmful.Ratio.Float(); m.Harmful.Ratio != "" && err != nil {
			f.bound(field+".harmful.ratio", "", "%v", err)
		}
	}
	switch {
	case m.Template != "":
		f.name(field+".template", m.Template, label())
	case !slices.Contains(BuiltinMetrics(), m.Name):
		f.bound(field+".name", "name a MetricTemplate in template", "%q is not a built-in metric; %s are", m.Name, strings.Join(BuiltinMetrics(), ", "))
	}
	if len(m.Args) > 0 && m.Template == "" {
		f.bound(field+".args", "name a MetricTemplate in template", "args belong to a template")
	}
	f.args(field+".args", m.Args)
}

func (f *findings) args(field string, args []Argument) {
	if len(args) > 16 {
		f.bound(field, "use 16 at most", "%d arguments", len(args))
	}
	for i, a := range args {
		f.name(fmt.Sprintf("%s[%d].name", field, i), a.Name, variable())
		f.text(fmt.Sprintf("%s[%d].value", field, i), a.Value, 1, 253)
		if problem.Clean(a.Value, len(a.Value)) != a.Value {
			f.bound(fmt.Sprintf("%s[%d].value", field, i), "", "%q has control characters", a.Value)
		}
	}
}

func (f *findings) limits(s *RolloutSpec) {
	f.within("spec.capacity.minReady", s.Capacity.MinReady, 1, 1000)
	f.within("spec.capacity.ratio", *s.Capacity.Ratio, 0, 100)
	f.within("spec.convergence.minProxies", s.Convergence.MinProxies, 1, 10000)
	f.lasts("spec.convergence.timeout", s.Convergence.Timeout, time.Second, 10*time.Minute)
	f.lasts("spec.progressDeadline", s.ProgressDeadline, 10*time.Second, 24*time.Hour)
	f.lasts("spec.maxDuration", s.MaxDuration, time.Minute, anyTime)
	f.lasts("spec.warmDown", s.WarmDown, 0, 168*time.Hour)
	f.within("spec.historyLimit", s.HistoryLimit, 1, 10)
	one(f, "spec.onDeadline", s.OnDeadline, DeadlineRollback, DeadlinePause)
}
