package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/xds/ir"
)

// meters are what is measured. Their labels never name a node, a cluster or a commit.
type meters struct {
	streams       *prometheus.GaugeVec
	responses     *prometheus.CounterVec
	responseBytes *prometheus.CounterVec
	ack           *prometheus.HistogramVec
	publishToAck  *prometheus.HistogramVec
	nacks         *prometheus.CounterVec
	gateWait      prometheus.Histogram
	gateTimeouts  prometheus.Counter
	barrier       prometheus.Histogram
	refused       *prometheus.CounterVec
	pending       prometheus.Gauge
}

// typeOther is the label of a type that is not served.
const typeOther = "other"

// Reasons for turning a stream away.
const (
	refusedNotComplete    = "NotComplete"    // the configuration is still being read
	refusedTooFast        = "TooFast"        // too many new streams at once
	refusedTooMany        = "TooMany"        // too many streams
	refusedSilent         = "Silent"         // it has not said who it is
	refusedBadNode        = "BadNode"        // what it says of itself is not acceptable
	refusedNotProven      = "NotProven"      // or not what its certificate says
	refusedTooManyClasses = "TooManyClasses" // too many classes of proxies
	refusedNothingKnown   = "NothingKnown"   // nothing is published for its class
)

// lane is what made a change urgent.
type lane string

const (
	laneWeight    lane = "weight"
	laneEndpoints lane = "endpoints"
	laneConfig    lane = "config"
)

// Buckets in seconds: from what a connection on the same machine takes to what a warming cluster may take.
func buckets() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60}
}

func newMeters() *meters {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	histogram := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()}
	}
	return &meters{
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_xds_streams", Help: "Streams of proxies, by kind of proxy and protocol: delta or sotw.",
		}, []string{"kind", "protocol"}),
		responses:     counter("sluice_xds_responses_total", "Responses written, by type of resource.", "type"),
		responseBytes: counter("sluice_xds_response_bytes_total", "Bytes of responses written, by type of resource.", "type"),
		ack: prometheus.NewHistogramVec(histogram("sluice_xds_ack_seconds",
			"Time from a response until the proxy has acknowledged it, by type of resource."), []string{"type"}),
		publishToAck: prometheus.NewHistogramVec(histogram("sluice_xds_publish_to_ack_seconds",
			"Time from a published change until one connected proxy has acknowledged it, by what was changed: weight, endpoints or config."), []string{"lane"}),
		nacks: counter("sluice_xds_nacks_total", "Responses that a proxy has rejected, by type of resource.", "type"),
		gateWait: prometheus.NewHistogram(histogram("sluice_xds_gate_wait_seconds",
			"Time that a route or listener was held back until the clusters it names were acknowledged.")),
		gateTimeouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_xds_gate_timeouts_total", Help: "Routes and listeners that went out although a cluster they name was not acknowledged in time.",
		}),
		barrier: prometheus.NewHistogram(histogram("sluice_xds_barrier_seconds",
			"Time until it was proven, or had failed, that nothing newer exists than what is published.")),
		refused: counter("sluice_xds_streams_refused_total", "Streams that were turned away, by reason.", "reason"),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_xds_pending", Help: "Streams that have not answered every response yet.",
		}),
	}
}

// Collectors are what the Server measures, to be registered by whoever made it.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.meters
	return append(s.loads.collectors(),
		m.streams, m.responses, m.responseBytes, m.ack, m.publishToAck, m.nacks, m.gateWait, m.gateTimeouts, m.barrier, m.refused, m.pending,
		newStanding(s),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_xds_certificate_expiry_timestamp_seconds", Help: "When the certificate ends that proxies are shown, in Unix time; 0 where they are shown none.",
		}, s.certificateEnds),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_lrs_told_replicas", Help: "Other replicas that have told this one within 15 s what their proxies report; on the one that decides, while canaries are under way.",
		}, func() float64 { return float64(s.loads.tellers(s.now())) }),
	)
}

// Measured are collectors like those of a Server of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector {
	return (&Server{meters: newMeters(), told: told{loads: &loads{}}}).Collectors()
}

// timed is a Barrier whose runs are measured; nil stays nil.
func (m *meters) timed(b Barrier, now func() time.Time) Barrier {
	if b == nil {
		return nil
	}
	return func(ctx context.Context) error {
		begin := now()
		defer func() { m.barrier.Observe(now().Sub(begin).Seconds()) }()
		return b(ctx)
	}
}

// opened counts a stream, until what it returns is called.
func (m *meters) opened(kind ir.Kind, sotw bool) (closed func()) {
	protocol := "delta"
	if sotw {
		protocol = "sotw"
	}
	g := m.streams.WithLabelValues(string(kind), protocol)
	g.Inc()
	return g.Dec
}

// wrote counts a response.
func (m *meters) wrote(typeURL string, bytes int) {
	of := typeOther
	if k, known := kindOf(typeURL); known {
		of = k.String()
	}
	m.responses.WithLabelValues(of).Inc()
	m.responseBytes.WithLabelValues(of).Add(float64(bytes))
}

// answers takes what a conversation has noted, and empties it.
func (m *meters) answers(n *notes, now time.Time) {
	for _, one := range n.landed {
		if one.refused {
			m.nacks.WithLabelValues(one.kind.String()).Inc()
		} else {
			m.ack.WithLabelValues(one.kind.String()).Observe(now.Sub(one.sent).Seconds())
		}
	}
	for _, d := range n.held {
		m.gateWait.Observe(d.Seconds())
	}
	n.landed, n.held = n.landed[:0], n.held[:0]
}

// applied measures the acknowledgements of what was published after the stream had been opened.
func (m *meters) applied(outcomes []outcome, opened, now time.Time) {
	for _, o := range outcomes {
		if o.what == acked && o.item.born.at.After(opened) {
			m.publishToAck.WithLabelValues(string(o.item.born.lane)).Observe(now.Sub(o.item.born.at).Seconds())
		}
	}
}

// notes are what a conversation has seen that is worth measuring and not collected yet.
type notes struct {
	planned time.Time // when the newest plan was made
	landed  []landing
	held    []time.Duration // how long what was held back has waited
}

// landing is an answer to a response.
type landing struct {
	kind    kind
	sent    time.Time
	refused bool
}

// birth is when and why a version was published. The zero value: it was not, but made of others.
type birth struct {
	at   time.Time
	lane lane
}

// bear marks the items of a set that the one before it has not. Nobody else knows them yet.
func (s *set) bear(before *set, now time.Time) {
	b := birth{at: now, lane: s.lane(before)}
	for _, i := range s.fresh(before) {
		i.born = b
	}
}

// lane says what has changed since before.
func (s *set) lane(before *set) lane {
	if before == nil {
		return laneConfig
	}
	var changed [kinds]bool
	for k := range kinds {
		changed[k] = s.of[k] != before.of[k]
	}
	switch {
	case changed[clusters] || changed[secrets]:
		return laneConfig
	case changed[endpoints] && !changed[listeners] && !changed[routes]:
		return laneEndpoints
	case s.weighs(before):
		return laneWeight
	default:
		return laneConfig
	}
}

// weighs reports whether some split has another weight than before.
func (s *set) weighs(before *set) bool {
	for at, use := range s.uses {
		if at < len(before.uses) && before.uses[at] == use {
			continue
		}
		if was := useOf(before.uses, use.Key); was != nil && was.Gives() != use.Gives() {
			return true
		}
	}
	return false
}
