package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/api/problem"
)

// meters are what is measured. Their labels never name an object or a proxy.
type meters struct {
	seconds    *prometheus.HistogramVec
	problems   *prometheus.GaugeVec
	mismatches prometheus.Counter
}

func newMeters() meters {
	return meters{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_mesh_compile_seconds", Help: "Time from a change that is due to what is published for all classes of proxies, by what was compiled: weight, endpoints, config, or full for a comparison from nothing.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"mode"}),
		problems: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_mesh_problems", Help: "Problems of the newest compilation over all classes of proxies.",
		}, []string{"code", "severity"}),
		mismatches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_mesh_incremental_mismatch_total", Help: "Comparisons in which what was compiled change by change was not what is compiled from nothing.",
		}),
	}
}

// Collectors are what the Controller measures, to be registered by whoever made it.
func (c *Controller) Collectors() []prometheus.Collector { return c.metrics.collectors() }

// Measured are collectors like those of a Controller of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector { return newMeters().collectors() }

func (m meters) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.problems, m.mismatches}
}

// compiled notes how long the lanes took.
func (m meters) compiled(of lanes, took time.Duration) {
	mode := "weight"
	switch {
	case of.rest:
		mode = "config"
	case of.endpoints:
		mode = "endpoints"
	}
	m.seconds.WithLabelValues(mode).Observe(took.Seconds())
}

// found counts Problems.
func (m meters) found(ps []problem.Problem) {
	m.problems.Reset()
	for _, p := range ps {
		m.problems.WithLabelValues(p.Code, string(p.Severity)).Inc()
	}
}
