package prom

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/analysis"
)

// CheckSource says whether what a template reads would be taken as it is written, before anything is asked.
func CheckSource(s analysis.Source) error {
	switch {
	case s.Ratio != nil:
		return CheckRatio(*s.Ratio)
	case s.Histogram != nil:
		return CheckHistogram(*s.Histogram)
	case s.Condition != nil:
		return CheckCondition(*s.Condition)
	default:
		return errors.New("set exactly one of ratio, histogram and condition")
	}
}

// CheckHistogram says the same of a histogram.
func CheckHistogram(h analysis.Histogram) error {
	if err := checkArgs(h.Args); err != nil {
		return err
	}
	_, err := bucketsOf(h, trial())
	return err
}

// trial are arms that stand for any.
func trial() analysis.Arms {
	arm := func(name string) []map[string]string {
		return []map[string]string{{"namespace": "x", "host": "x", "port": "1", "rollout": "x", "subset": name, "cluster": name}}
	}
	return analysis.Arms{CanaryVars: arm("a"), StableVars: arm("b")}
}

// checkArgs refuses args that would be given by the rollout, or that no label can hold.
func checkArgs(args map[string]string) error {
	given := trial().CanaryVars[0]
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if _, taken := given[name]; taken {
			return fmt.Errorf("the variable %s is given by the rollout", name)
		}
		if err := checkValue(args[name]); err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
	}
	return nil
}
