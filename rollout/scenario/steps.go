package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// setStep changes one setting of one step, named by number from 1: "2.pause".
func (s *settings) setStep(path, value string) (err error) {
	number, key, _ := strings.Cut(path, ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(s.steps) {
		return fmt.Errorf("there is no step %s", number)
	}
	s.steps = slices.Clone(s.steps) // plans of attempts may share it
	step := &s.steps[n-1]
	switch key {
	case "name":
		step.Name = value
	case "min":
		step.Min, err = duration(value)
	case "max":
		step.Max, err = duration(value)
	case "promotion":
		step.Promotion = rollout.Promotion(value)
	case "metrics":
		step.Metrics = strings.Split(value, ",")
	case "pause":
		step.Pause, err = pause(value)
	case "approvals":
		step.Approvals, err = strconv.Atoi(value)
	case "match":
		step.Match, err = matches(value)
	case "mirror":
		step.Mirror.Methods = []string{"GET", "HEAD"}
		step.Mirror.Percent, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown setting %q of a step", key)
	}
	return err
}

func duration(value string) (*time.Duration, error) {
	d, err := time.ParseDuration(value)
	return &d, err
}

// pause is "open", "none" or a time.
func pause(value string) (rollout.Pause, error) {
	switch value {
	case "open":
		return rollout.Pause{On: true}, nil
	case "none":
		return rollout.Pause{}, nil
	}
	d, err := time.ParseDuration(value)
	return rollout.Pause{On: true, For: d}, err
}

// matches is "none" or headers with exact values, "x-beta:1,x-team:blue": any of them.
func matches(value string) ([]rollout.Match, error) {
	if value == "none" {
		return nil, nil
	}
	var out []rollout.Match
	for word := range strings.SplitSeq(value, ",") {
		name, exact, found := strings.Cut(word, ":")
		if !found {
			return nil, fmt.Errorf("%q is no header:value", word)
		}
		out = append(out, rollout.Match{Headers: []rollout.Condition{{Name: name, Kind: rollout.Exact, Value: exact}}})
	}
	return out, nil
}

// affinity is "none", "cookie" or "header:NAME".
func affinity(value string) (*rollout.Affinity, error) {
	name, isHeader := strings.CutPrefix(value, "header:")
	switch {
	case value == "none":
		return nil, nil
	case isHeader:
		return &rollout.Affinity{Header: name}, nil
	case value == "cookie":
		return &rollout.Affinity{Cookie: rollout.Cookie{Name: "sluice-reviews", MaxAge: 24 * time.Hour, Path: "/", SameSite: "lax", Secure: true}}, nil
	}
	return nil, fmt.Errorf("unknown affinity %q", value)
}
