package server

import "github.com/prometheus/client_golang/prometheus"

// standing is what is counted when somebody asks, since it is known anyway.
type standing struct {
	server                                   *Server
	classes, resources, stalled, quarantined *prometheus.Desc
}

func newStanding(s *Server) standing {
	return standing{
		server:      s,
		classes:     prometheus.NewDesc("sluice_xds_classes", "Classes of proxies that are served.", nil, nil),
		resources:   prometheus.NewDesc("sluice_xds_resources", "Resources held, each content once for all classes, by type.", []string{"type"}, nil),
		stalled:     prometheus.NewDesc("sluice_xds_stalled", "Streams whose proxy does not read.", nil, nil),
		quarantined: prometheus.NewDesc("sluice_xds_quarantined", "Resources that some kind of proxy rejects and that are kept from others like it, by type.", []string{"type"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.classes, s.resources, s.stalled, s.quarantined} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s standing) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	classes, held := s.server.registry.size()
	var rejected [kinds]int
	for _, r := range s.server.ledger.rejected() {
		if k, known := kindOf(r.TypeURL); known {
			rejected[k]++
		}
	}
	gauge(s.classes, classes)
	gauge(s.stalled, int(s.server.writers.stalled.Load()))
	for k := range kinds {
		gauge(s.resources, held[k], k.String())
		gauge(s.quarantined, rejected[k], k.String())
	}
}

// size is the number of classes, and of contents by kind.
func (r *registry) size() (classes int, held [kinds]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := range r.bytes {
		held[at.kind]++
	}
	return len(r.classes), held
}
