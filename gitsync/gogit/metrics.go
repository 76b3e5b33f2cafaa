package gogit

import "github.com/prometheus/client_golang/prometheus"

// meters are what is measured of repositories.
type meters struct {
	recycles *prometheus.CounterVec // by reason
	fetched  prometheus.Counter     // bytes
}

func newMeters() meters {
	return meters{
		recycles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_source_recycles_total", Help: "Repositories that were fetched anew, by reason: damaged, fetches, grown, large, storage.",
		}, []string{"reason"}),
		fetched: prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_source_fetch_bytes_total", Help: "Bytes of the packs that remotes have sent."}),
	}
}

// Collectors are what the Repositories measure, to be registered by whoever made them.
func (r *Repositories) Collectors() []prometheus.Collector { return r.meters.collectors() }

// Measured are collectors like those of Repositories of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector { return newMeters().collectors() }

func (m meters) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.recycles, m.fetched}
}
