package controller

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are what is measured.
type meters struct {
	violations *prometheus.CounterVec
	refused    prometheus.Counter
	brakes     *prometheus.GaugeVec
}

func newMeters() meters {
	return meters{
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_invariant_violations_total", Help: "Decisions that broke a rule of the engine and were thrown away, by rule.",
		}, []string{"invariant"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_rollout_status_refused_total", Help: "Statuses that a guard rule or an admission policy of the API server would not store.",
		}),
		brakes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_rollout_brake", Help: "1 while a canary gets no traffic from the proxies of this process although that is not stored yet.",
		}, []string{"namespace", "rollout"}),
	}
}

// Collectors are what the Controller measures, to be registered by whoever made it.
func (c *Controller) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.meters.violations, c.meters.refused, c.meters.brakes}
}

// violated counts the rules that a decision broke: an error of rollout.Check begins each line with one.
func (m meters) violated(broken error) {
	for line := range strings.Lines(broken.Error()) {
		rule, _, _ := strings.Cut(line, ":")
		m.violations.WithLabelValues(rule).Inc()
	}
}
