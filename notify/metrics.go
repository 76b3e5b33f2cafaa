package notify

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What became of a try to send a note.
const (
	resultSent    = "sent"
	resultRetry   = "retry"   // it failed and is tried again
	resultGaveUp  = "gaveUp"  // it failed for the last time
	resultDropped = "dropped" // the receiver has no place for it
)

// sinkUnknown is the label of notes whose Notifier was not asked yet.
const sinkUnknown = "unknown"

// meters are what is measured of notes.
type meters struct {
	sends   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMeters() meters {
	labels := []string{"sink", "result"}
	return meters{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_notify_sends_total", Help: "Tries to send a note, by kind of sink and result: sent, retry, gaveUp, dropped.",
		}, labels),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_notify_send_seconds", Help: "Time of a try to send a note.", Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800},
		}, labels),
	}
}

// Collectors are what the Worker measures, to be registered by whoever made it.
func (w *Worker) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.meters.sends, w.meters.seconds, newWaiting(w)}
}

// Measured are collectors like those of a Worker of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector { return NewWorker(WorkerConfig{}).Collectors() }

// waiting is how many notes wait, and since when, counted when somebody asks.
type waiting struct {
	worker          *Worker
	pending, oldest *prometheus.Desc
}

func newWaiting(w *Worker) *waiting {
	return &waiting{
		worker:  w,
		pending: prometheus.NewDesc("sluice_notify_pending", "Notes that are not sent yet.", []string{"sink"}, nil),
		oldest:  prometheus.NewDesc("sluice_notify_oldest_pending_timestamp_seconds", "When the oldest note that is not sent yet came up; absent where none waits.", []string{"sink"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *waiting) Describe(to chan<- *prometheus.Desc) {
	to <- s.pending
	to <- s.oldest
}

// Collect implements prometheus.Collector.
func (s *waiting) Collect(to chan<- prometheus.Metric) {
	for sink, w := range s.worker.waiting() {
		to <- prometheus.MustNewConstMetric(s.pending, prometheus.GaugeValue, float64(w.notes), sink)
		if !w.since.IsZero() {
			to <- prometheus.MustNewConstMetric(s.oldest, prometheus.GaugeValue, float64(w.since.UnixMilli())/1e3, sink)
		}
	}
}

// backlog is what one kind of sink has not sent.
type backlog struct {
	notes int
	since time.Time // of the oldest; zero: there is none
}

// waiting is the backlog of each kind of sink that was ever asked, and of those that were not yet.
func (w *Worker) waiting() map[string]backlog {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]backlog{}
	for _, sink := range w.sinks {
		out[sink] = backlog{}
	}
	for _, q := range w.queues {
		for _, it := range q.items {
			if it.final {
				continue
			}
			sink := w.sinks[q.notifier(it)]
			if sink == "" {
				sink = sinkUnknown
			}
			b := out[sink]
			b.notes++
			if b.since.IsZero() || it.at.Before(b.since) {
				b.since = it.at
			}
			out[sink] = b
		}
	}
	return out
}

// met keeps which kind of sink a Notifier has.
func (w *Worker) met(notifier types.NamespacedName, sink string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sinks[notifier] = sink
}

// sinkOf is the kind of a Notifier's sink, as its field is called.
func sinkOf(n *v1alpha1.Notifier) string {
	switch {
	case n.Spec.Webhook != nil:
		return "webhook"
	case n.Spec.Slack != nil:
		return "slack"
	case n.Spec.Teams != nil:
		return "teams"
	case n.Spec.Grafana != nil:
		return "grafana"
	case n.Spec.GitStatus != nil:
		return "gitStatus"
	}
	return "other"
}

// counted notes what became of a try that did reach for the sink. final: nothing more is tried.
func (m meters) counted(l landing, final bool) {
	if l.sink == "" || errors.Is(l.err, errSuspended) {
		return
	}
	result := resultSent
	if f, failed := errors.AsType[*Failure](l.err); l.err != nil {
		switch {
		case failed && f.Hope == Dropped:
			result = resultDropped
		case final:
			result = resultGaveUp
		default:
			result = resultRetry
		}
	}
	m.sends.WithLabelValues(l.sink, result).Inc()
	m.seconds.WithLabelValues(l.sink, result).Observe(l.took.Seconds())
}
