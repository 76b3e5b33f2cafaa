package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
)

// factorList is a list of numbers above 0.
type factorList struct {
	factors []float64
}

// String implements pflag.Value.
func (l *factorList) String() string {
	texts := make([]string, 0, len(l.factors))
	for _, f := range l.factors {
		texts = append(texts, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return strings.Join(texts, ",")
}

// Set implements pflag.Value.
func (l *factorList) Set(text string) error {
	l.factors = nil
	for word := range strings.SplitSeq(text, ",") {
		f, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || !(f >= 0.01 && f <= 1000) {
			return fmt.Errorf("%q is no factor: want 0.01 to 1000, such as 1.5", word)
		}
		l.factors = append(l.factors, f)
	}
	return nil
}

// Type implements pflag.Value.
func (l *factorList) Type() string { return "factors" }

// latencyFlags say how long answers take.
type latencyFlags struct {
	sim.Latency
	factors factorList
	asked   bool // some flag of these was given
	judged  bool // the analysis looks at it
}

// latencyNames are the flags.
func latencyNames() []string { return []string{"latency", "latency-sigma", "latency-factor"} }

func (l *latencyFlags) register(f *pflag.FlagSet) {
	l.factors.factors = []float64{1}
	f.DurationVar(&l.Median, "latency", 50*time.Millisecond, "median time of an answer, where latency is judged")
	f.Float64Var(&l.Sigma, "latency-sigma", 0.5, "standard deviation of its logarithm")
	f.Var(&l.factors, "latency-factor", "times as long the canary takes from the fault on; a list makes a row each")
}

// settle finds out whether the Config judges latency. Flags about what nobody looks at are refused.
func (l *latencyFlags) settle(cfg analysis.Config) error {
	l.judged = slices.ContainsFunc(cfg.Criteria, func(c analysis.Criterion) bool { return c.Name == metricLatency })
	switch {
	case l.asked && !l.judged:
		return errors.New("the analysis has no metric latency: leave --latency, --latency-sigma and --latency-factor out, or add it")
	case l.asked && (l.Median == 0 || l.Sigma == 0): // they would pass for the default
		return errors.New("--latency and --latency-sigma must be above 0")
	}
	return nil
}

// metricLatency is the built-in metric of how long answers take.
const metricLatency = "latency"

// of is the latency of a World; the zero value where nobody looks at it.
func (l *latencyFlags) of(factor float64) sim.Latency {
	if !l.judged {
		return sim.Latency{}
	}
	out := l.Latency
	out.Factor = factor
	return out
}

// fault is what is wrong with the canary of a row.
type fault struct {
	errors float64 // bad share
	slow   float64 // times as long
}

// faults are the rows: each bad share with each factor.
func (o *simulateOptions) faults() []fault {
	var out []fault
	for _, bad := range o.canaryErrors.shares {
		for _, factor := range o.latency.factors.factors {
			out = append(out, fault{bad, factor})
		}
	}
	return out
}

// factor is that of a row, where it says anything.
func (o *simulateOptions) factor(f fault) *float64 {
	if !o.latency.judged {
		return nil
	}
	return &f.slow
}

// timesOf writes a factor.
func timesOf(factor float64) string { return strconv.FormatFloat(factor, 'g', -1, 64) + "x" }

// fault is a row's as the table shows it: a cell, or two where latency is judged.
func (r plannedRow) fault() []string {
	cells := []string{percentOf(r.CanaryErrors)}
	if r.LatencyFactor != nil {
		cells = append(cells, timesOf(*r.LatencyFactor))
	}
	return cells
}

// world is the fault in words.
func (r plannedRow) world() string {
	text := percentOf(r.CanaryErrors) + " bad"
	if r.LatencyFactor != nil {
		text += " and " + timesOf(*r.LatencyFactor) + " the latency"
	}
	return text
}
