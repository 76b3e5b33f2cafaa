package analysis

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Errors of a condition are measured again after at most retryAfter; a gate that looks until the step ends needs
// leastMeasured measurements, and the last must not be older than freshFor intervals.
const (
	retryAfter    = 10 * time.Second
	leastMeasured = 3
	freshFor      = 3
)

// Standing is what a gate has come to. Its zero value is StandingOpen.
type Standing string

// The states of a gate. Each but StandingOpen and, where it looks until the step ends, StandingPassed is kept for the step.
const (
	StandingOpen   Standing = ""       // not enough measurements yet
	StandingPassed Standing = "Passed" // promotion may go on
	StandingFailed Standing = "Failed" // more fails than are allowed
	StandingUnsure Standing = "Unsure" // it ended without a pass
)

// gateState is the memory of a condition: counters of the step. The keys are those of the persisted form.
type gateState struct {
	Pass   int       `json:"pass,omitempty"`
	Fail   int       `json:"fail,omitempty"`
	Unsure int       `json:"inc,omitempty"`
	Errors int       `json:"err,omitempty"` // in a row
	Passes int       `json:"ok,omitempty"`  // in a row
	Done   bool      `json:"done,omitempty"`
	Last   *measured `json:"last,omitempty"`
	Next   int64     `json:"next,omitempty"` // when to measure again, Unix ms; 0: at the first moment allowed
}

// measured is the newest measurement.
type measured struct {
	Value   float64 `json:"value"`
	Outcome Outcome `json:"outcome"`
	At      int64   `json:"ms"`
}

// fold counts a measurement; one that was counted before, or comes after the end, changes nothing.
func (g *gateState) fold(m Measurement, l Limits) {
	at := millis(m.At)
	if g.Done || (g.Last != nil && at <= g.Last.At) {
		return
	}
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		m.Outcome, m.Value = OutcomeError, 0
	}
	g.Last = &measured{Value: m.Value, Outcome: m.Outcome, At: at}
	if m.Outcome != OutcomePass {
		g.Passes = 0
	}
	switch m.Outcome {
	case OutcomePass:
		g.Pass++
		g.Passes++
	case OutcomeFail:
		g.Fail++
	case OutcomeInconclusive:
		g.Unsure++
	default: // OutcomeError, and what is none: it uses up no count
		g.Last.Outcome = OutcomeError
		g.Errors++
		g.Next = at + min(l.Interval, retryAfter).Milliseconds()
		return
	}
	g.Errors = 0
	g.Next = at + l.Interval.Milliseconds()
	if state := g.state(l, m.At); state != StandingOpen && (state != StandingPassed || l.Count > 0 || l.Successes > 0) {
		g.Done, g.Next = true, 0
	}
}

// taken is how many measurements count.
func (g *gateState) taken() int { return g.Pass + g.Fail + g.Unsure }

// state is what the measurements have come to at that time.
func (g *gateState) state(l Limits, at time.Time) Standing {
	passed := g.Last != nil && g.Last.Outcome == OutcomePass
	switch {
	case l.Failures >= 0 && g.Fail > l.Failures:
		return StandingFailed
	case g.Unsure > l.Inconclusive:
		return StandingUnsure
	case l.Successes > 0 && g.Passes >= l.Successes:
		return StandingPassed
	case l.Count > 0 && g.taken() >= l.Count:
		if passed && l.Successes == 0 {
			return StandingPassed
		}
		return StandingUnsure
	case l.Count == 0 && l.Successes == 0 && g.taken() >= leastMeasured && passed &&
		millis(at)-g.Last.At <= (freshFor*l.Interval).Milliseconds():
		return StandingPassed
	default:
		return StandingOpen
	}
}

// dark reports that too many errors came in a row for anything to be known.
func (g *gateState) dark(l Limits) bool { return !g.Done && g.Errors > max(l.Errors, 0) }

// due is when the next measurement is to be made, in a step that settled then; zero: none is.
func (g *gateState) due(l Limits, settled time.Time) time.Time {
	switch {
	case g.Done || settled.IsZero():
		return time.Time{}
	case g.Next == 0:
		return settled.Add(max(l.InitialDelay, 0))
	default:
		return instant(g.Next)
	}
}

// check finds what fold cannot have left behind.
func (g *gateState) check() error {
	for _, n := range []int{g.Pass, g.Fail, g.Unsure, g.Errors, g.Passes} {
		if n < 0 {
			return errors.New("a count of measurements is negative")
		}
	}
	switch {
	case g.Last == nil && *g != gateState{}:
		return errors.New("measurements are counted, and there is no last one")
	case g.Last == nil:
		return nil
	case g.Next < 0 || (g.Done && g.Next != 0):
		return errors.New("the time of the next measurement cannot be")
	}
	counted := map[Outcome]int{OutcomePass: min(g.Pass, g.Passes), OutcomeFail: g.Fail, OutcomeInconclusive: g.Unsure, OutcomeError: g.Errors}
	switch n, known := counted[g.Last.Outcome]; {
	case !known:
		return fmt.Errorf("outcome %q", g.Last.Outcome)
	case n == 0:
		return fmt.Errorf("the last outcome, %s, is not counted", g.Last.Outcome)
	case g.Passes > g.Pass || (g.Passes > 0) != (g.Last.Outcome == OutcomePass):
		return fmt.Errorf("%d passes in a row of %d, the last outcome being %s", g.Passes, g.Pass, g.Last.Outcome)
	case (g.Errors > 0) != (g.Last.Outcome == OutcomeError) || (g.Done && g.Errors > 0):
		return fmt.Errorf("%d errors in a row, the last outcome being %s", g.Errors, g.Last.Outcome)
	}
	return nil
}

// measure takes in a measurement of a condition. Only those of the settled step count.
func (j *judge) measure(in Measurement) {
	m, ok := j.ev.metrics[in.Metric]
	if !ok || j.ev.at == 0 || millis(in.At) < j.ev.at {
		return
	}
	c := j.criterion(in.Metric)
	if c.Kind != KindCondition || j.b.Step < c.FromStep {
		return
	}
	was := m.Errors
	m.gateState.fold(in, c.Limits)
	switch {
	case m.Errors == 0:
		m.Gap = nil
	case m.Errors > was:
		since := millis(in.At)
		if was > 0 && m.Gap != nil {
			since = m.Gap.Since
		}
		reason := in.Reason
		or(&reason, BadResponse)
		m.Gap = &gap{Reason: reason, Since: since}
	}
	j.ev.metrics[in.Metric] = m
}

// gates are the conditions that count at this step.
func (j *judge) gates() []Criterion {
	var gates []Criterion
	for _, c := range j.active {
		if c.Kind == KindCondition && !c.DryRun {
			gates = append(gates, c)
		}
	}
	return gates
}

// failedGate finds a gate whose fails roll back.
func (j *judge) failedGate() string {
	return j.gate(func(c Criterion, s Standing) bool { return s == StandingFailed && !c.Limits.Hold })
}

// unsureGate finds a gate that ended without a pass, or whose fails hold the step.
func (j *judge) unsureGate() string {
	return j.gate(func(c Criterion, s Standing) bool {
		return (s == StandingUnsure && c.Required) || (s == StandingFailed && c.Limits.Hold)
	})
}

// openGate finds a gate that promotion waits for.
func (j *judge) openGate() string {
	return j.gate(func(c Criterion, s Standing) bool { return s == StandingOpen && c.Required })
}

// gate finds the first gate by name for which the question holds.
func (j *judge) gate(holds func(c Criterion, s Standing) bool) string {
	for _, c := range j.gates() {
		m := j.ev.metrics[c.Name]
		if holds(c, m.state(c.Limits, j.b.At)) {
			return c.Name
		}
	}
	return ""
}
