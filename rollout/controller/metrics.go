package controller

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/analysis"
)

// Buckets of everything that a person waits for: from a tenth of a second to half an hour.
func buckets() []float64 { return []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800} }

// invariants is how many rules there are: C1 and so on, of rollout.Check and of notes.
const invariants = 14

// meters are what is measured and belongs to no Rollout. What belongs to one is in the tallies, or is read from the
// objects when somebody asks.
type meters struct {
	violations *prometheus.CounterVec
	refused    prometheus.Counter
	times      times
	queries    asking
	tallies    *tallies
}

// times are how long things took that a person waits for.
type times struct {
	pushToWeight prometheus.Histogram
	detect       prometheus.Histogram
	zero         prometheus.Histogram
	step         prometheus.Histogram
	decision     prometheus.Histogram
}

// asking is what became of queries.
type asking struct {
	seconds  prometheus.Histogram
	failures *prometheus.CounterVec
}

func newMeters() meters {
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()})
	}
	violations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_invariant_violations_total", Help: "Decisions that broke a rule of the engine and were thrown away, by rule.",
	}, []string{"invariant"})
	for i := range invariants {
		violations.WithLabelValues(fmt.Sprintf("C%d", i+1)) // a counter that begins with its first violation never rises
	}
	return meters{
		violations: violations,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_rollout_status_refused_total", Help: "Statuses that a guard rule or an admission policy of the API server would not store.",
		}),
		times: times{
			pushToWeight: seconds("sluice_rollout_push_to_weight_seconds", "From hearing of a commit to the first proxy that runs the first weight of its attempt."),
			detect:       seconds("sluice_rollout_detect_seconds", "From the moment that all proxies ran a step's weight to the decision to roll back."),
			zero:         seconds("sluice_rollout_zero_seconds", "From the decision to roll back to the last proxy that sends the canary nothing."),
			step:         seconds("sluice_rollout_step_seconds", "From asking for a step's weight to leaving the step, upwards or back."),
			decision:     seconds("sluice_rollout_decision_seconds", "From looking at a Rollout to the stored status of the transition that followed."),
		},
		queries: asking{
			seconds: seconds("sluice_analysis_query_seconds", "Time of one query for an analysis."),
			failures: prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: "sluice_analysis_query_failures_total", Help: "Queries for an analysis that gave no data, by reason.",
			}, []string{"reason"}),
		},
		tallies: &tallies{},
	}
}

func (m meters) collectors() []prometheus.Collector {
	t, q := m.times, m.queries
	return []prometheus.Collector{m.violations, m.refused, t.pushToWeight, t.detect, t.zero, t.step, t.decision, q.seconds, q.failures}
}

// Collectors are what the Controller measures, to be registered by whoever made it, once it was told whom to Tell.
func (c *Controller) Collectors() []prometheus.Collector {
	return append(c.meters.collectors(), newStanding(c))
}

// Measured are collectors like those of a Controller of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector {
	return append(newMeters().collectors(), newStanding(nil))
}

// violated counts the rules that a decision broke: an error of rollout.Check begins each line with one.
func (m meters) violated(broken error) {
	for line := range strings.Lines(broken.Error()) {
		rule, _, _ := strings.Cut(line, ":")
		m.violations.WithLabelValues(rule).Inc()
	}
}

// asked counts a query.
func (a asking) asked(took time.Duration, err error) {
	a.seconds.Observe(took.Seconds())
	if err == nil {
		return
	}
	reason := "Error"
	if f, ok := errors.AsType[analysis.Failure](err); ok {
		reason = string(f.BlindReason())
	}
	a.failures.WithLabelValues(reason).Inc()
}
