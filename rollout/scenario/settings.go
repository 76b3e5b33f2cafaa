package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// settings is a spec as scripts write it.
type settings struct {
	spec     rollout.Spec
	steps    []rollout.StageSpec
	min, max time.Duration
	whole    bool // spec has its plan already: steps and bakes are its own
}

func defaults() settings {
	return settings{steps: rollout.DefaultSteps(), spec: rollout.Spec{
		Analysis:         rollout.AnalysisPolicy{BlindAfter: 10 * time.Minute},
		Capacity:         rollout.Capacity{MinReady: 1, Ratio: 50},
		Convergence:      rollout.Convergence{MinProxies: 1, Timeout: time.Minute},
		ProgressDeadline: 10 * time.Minute,
		MaxDuration:      168 * time.Hour,
		OnDeadline:       rollout.PolicyRollback,
		Back:             rollout.Back{WarmDown: 10 * time.Minute, Versions: 1, MaxAge: time.Hour},
		HistoryLimit:     10,
	}}
}

func (s settings) engine() rollout.Spec {
	if s.whole {
		return s.spec
	}
	out := s.spec
	out.Plan = rollout.Resolve(s.steps, s.min, s.max)
	return out
}

// take makes a spec that somebody else wrote the one that is set.
func (s *settings) take(spec rollout.Spec) { s.spec, s.whole = spec, true }

// set changes one setting.
func (s *settings) set(key, value string) (err error) {
	if s.whole && (strings.HasPrefix(key, "steps") || strings.HasPrefix(key, "bake.")) {
		return fmt.Errorf("%s: the spec that was given says what its steps are: change them there", key)
	}
	switch key {
	case "steps":
		var weights []int
		weights, err = integers(value)
		s.steps = nil
		for _, w := range weights {
			s.steps = append(s.steps, rollout.StageSpec{Weight: w})
		}
	case "bake.min":
		s.min, err = time.ParseDuration(value)
	case "bake.max":
		s.max, err = time.ParseDuration(value)
	case "onInconclusive":
		s.spec.Analysis.OnInconclusive, err = policy(value)
	case "onBlind":
		s.spec.Analysis.OnBlind, err = policy(value)
	case "blindAfter":
		s.spec.Analysis.BlindAfter, err = time.ParseDuration(value)
	case "paused":
		s.spec.Paused, err = strconv.ParseBool(value)
	case "initialStable":
		s.spec.InitialStable = value
	case "dryRun":
		s.spec.Render.DryRun, err = strconv.ParseBool(value)
	case "previewHost":
		s.spec.Render.Preview = value
	case "affinity":
		s.spec.Render.Affinity, err = affinity(value)
	default:
		if path, ok := strings.CutPrefix(key, "steps."); ok {
			return s.setStep(path, value)
		}
		return s.setLimit(key, value)
	}
	return err
}

func (s *settings) setLimit(key, value string) (err error) {
	switch key {
	case "capacity.minReady":
		s.spec.Capacity.MinReady, err = strconv.Atoi(value)
	case "capacity.ratio":
		s.spec.Capacity.Ratio, err = strconv.Atoi(value)
	case "convergence.minProxies":
		s.spec.Convergence.MinProxies, err = strconv.Atoi(value)
	case "convergence.timeout":
		s.spec.Convergence.Timeout, err = time.ParseDuration(value)
	case "progressDeadline":
		s.spec.ProgressDeadline, err = time.ParseDuration(value)
	case "maxDuration":
		s.spec.MaxDuration, err = time.ParseDuration(value)
	case "onDeadline":
		s.spec.OnDeadline, err = policy(value)
	case "warmDown":
		s.spec.Back.WarmDown, err = time.ParseDuration(value)
	case "rollbackWindow.versions":
		s.spec.Back.Versions, err = strconv.Atoi(value)
	case "rollbackWindow.maxAge":
		s.spec.Back.MaxAge, err = time.ParseDuration(value)
	case "historyLimit":
		s.spec.HistoryLimit, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return err
}

func policy(value string) (rollout.Policy, error) {
	switch value {
	case "pause", "hold":
		return rollout.PolicyPause, nil
	case "promote":
		return rollout.PolicyPromote, nil
	case "rollback":
		return rollout.PolicyRollback, nil
	}
	return "", fmt.Errorf("unknown policy %q", value)
}

func integers(list string) ([]int, error) {
	var out []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("%q in %q is no number", word, list)
		}
		out = append(out, n)
	}
	return out, nil
}
