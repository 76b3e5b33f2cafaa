package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// specOf is the API spec with all defaults, as the engine takes it. An error says what is wrong with it; what is given
// with it still serves an attempt that is open, whose plan is frozen.
func specOf(ro *v1alpha1.Rollout) (rollout.Spec, error) {
	s := ro.Spec.DeepCopy()
	s.Default()
	steps := make([]rollout.StageSpec, len(s.Steps))
	for i := range s.Steps {
		steps[i] = stageSpec(&s.Steps[i])
	}
	out := rollout.Spec{
		InitialStable: s.InitialStable,
		Plan:          rollout.Resolve(steps, s.Analysis.Bake.Or(0), s.Analysis.MaxDuration.Or(0)),
		Paused:        s.Paused,
		Analysis: rollout.AnalysisPolicy{
			OnInconclusive: inconclusive(s.Analysis.OnInconclusive),
			BlindAfter:     s.Analysis.BlindAfter.Duration,
		},
		Capacity:         rollout.Capacity{MinReady: int(s.Capacity.MinReady), Ratio: int(*s.Capacity.Ratio)},
		Convergence:      rollout.Convergence{MinProxies: int(s.Convergence.MinProxies), Timeout: s.Convergence.Timeout.Duration},
		ProgressDeadline: s.ProgressDeadline.Duration,
		MaxDuration:      s.MaxDuration.Duration,
		OnDeadline:       rollout.PolicyRollback,
		Back:             rollout.Back{WarmDown: s.WarmDown.Duration, Versions: int(*s.RollbackWindow.Versions), MaxAge: s.RollbackWindow.MaxAge.Duration},
		Render:           rollout.Render{Affinity: affinityOf(s.Affinity, ro.Name), Preview: s.PreviewHost, DryRun: s.DryRun},
		HistoryLimit:     int(s.HistoryLimit),
	}
	if s.Analysis.OnBlind == v1alpha1.BlindRollback {
		out.Analysis.OnBlind = rollout.PolicyRollback
	}
	if s.OnDeadline == v1alpha1.DeadlinePause {
		out.OnDeadline = rollout.PolicyPause
	}
	return out, mistakes(ro, out.Plan)
}

// stageSpec is a step as written.
func stageSpec(step *v1alpha1.Step) rollout.StageSpec {
	out := rollout.StageSpec{Name: step.Name, Weight: int(step.Weight), Promotion: rollout.Promotion(step.Promotion),
		Parts: rollout.Parts{Metrics: step.Metrics, Pause: pauseOf(step.Pause), Match: matchesOf(step.Match), Mirror: mirrorOf(step.Mirror)}}
	if step.Bake != nil {
		out.Min, out.Max = length(step.Bake.Min), length(step.Bake.Max)
	}
	if step.Approval != nil {
		out.Approvals = int(step.Approval.Count)
	}
	return out
}

func length(d *v1alpha1.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	return &d.Duration
}

func inconclusive(p v1alpha1.InconclusivePolicy) rollout.Policy {
	switch p {
	case v1alpha1.InconclusivePromote:
		return rollout.PolicyPromote
	case v1alpha1.InconclusiveRollback:
		return rollout.PolicyRollback
	case v1alpha1.InconclusivePause:
	}
	return rollout.PolicyPause
}

// mistakes are those that the API server would refuse too, for objects that were stored before it did.
func mistakes(ro *v1alpha1.Rollout, plan []rollout.Stage) error {
	var errs []error
	for _, p := range ro.Validate() {
		if p.Severity == problem.Error {
			p.Object = ""
			errs = append(errs, errors.New(p.String()))
		}
	}
	if len(plan) > rollout.MaxSteps {
		errs = append(errs, fmt.Errorf("spec.steps: %d with the last one of 100, at most %d", len(plan), rollout.MaxSteps))
	}
	return errors.Join(errs...)
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
