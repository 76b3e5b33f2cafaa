// Package otlp sends the spans of package trace to an OpenTelemetry collector, over OTLP by HTTP. It delays nothing: what comes
// faster than it can be sent is dropped and counted. internal/app makes it where an endpoint is configured.
//
//	w, err := otlp.New(otlp.Config{Endpoint: "http://127.0.0.1:4318", Now: now})
//	go w.Start(ctx)
//	w.Tell(span)
package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"

	"github.com/sluice-dev/sluice/trace"
)

// Bounds of what waits, of one request, and of the time for it.
const (
	queueLength  = 2048
	batchLength  = 256
	gatherFor    = time.Second
	exportWithin = 10 * time.Second
	flushWithin  = time.Second  // of a process that ends, for all that waits
	path         = "/v1/traces" // where the endpoint names none
)

// Results of spans.
const (
	resultSent    = "sent"
	resultFailed  = "failed"
	resultDropped = "dropped"
)

// Config is what New needs. Only Endpoint is required.
type Config struct {
	Endpoint string            // URL; without a path /v1/traces is meant
	Headers  map[string]string // of each request
	Version  string            // of this program
	Replica  string            // name of this process
	Failed   func(error)       // called when a batch was not sent; nil: nobody asks
}

// Worker sends spans.
type Worker struct {
	cfg   Config
	queue chan trace.Span
	spans *prometheus.CounterVec
}

// New checks a Config and makes a Worker. It connects to nothing before Start.
func New(c Config) (*Worker, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the endpoint of traces is no URL such as http://127.0.0.1:4318 without credentials")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = path
	}
	c.Endpoint = u.String()
	return &Worker{cfg: c, queue: make(chan trace.Span, queueLength), spans: newSpans()}, nil
}

func newSpans() *prometheus.CounterVec {
	out := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_trace_spans_total", Help: "Spans of traces, by result: sent, failed, and dropped where they came faster than they could be sent.",
	}, []string{"result"})
	for _, result := range []string{resultSent, resultFailed, resultDropped} {
		out.WithLabelValues(result)
	}
	return out
}

// Collectors are what the Worker measures, to be registered by whoever made it.
func (w *Worker) Collectors() []prometheus.Collector { return []prometheus.Collector{w.spans} }

// Measured are collectors like those of a Worker of which nothing is counted: for a list of what there is.
func Measured() []prometheus.Collector { return []prometheus.Collector{newSpans()} }

// Tell takes a span to be sent soon, or drops it. It never waits.
func (w *Worker) Tell(s trace.Span) {
	select {
	case w.queue <- s:
	default:
		w.spans.WithLabelValues(resultDropped).Inc()
	}
}

// NeedLeaderElection makes a manager run the Worker in every replica: one that does not lead has nothing to send.
func (w *Worker) NeedLeaderElection() bool { return false }

// Start sends until ctx ends, and then for a short time what is left.
func (w *Worker) Start(ctx context.Context) error {
	exporter, err := otlptracehttp.New(context.WithoutCancel(ctx), w.options()...) // one that is to end at once still sends what waits
	if err != nil {
		return fmt.Errorf("making the exporter of traces: %w", err)
	}
	made := newSpanner(w.cfg)
	for {
		batch := w.gather(ctx)
		if ctx.Err() != nil {
			return w.flush(context.WithoutCancel(ctx), exporter, made, batch)
		}
		w.send(ctx, exporter, made, batch)
	}
}

func (w *Worker) options() []otlptracehttp.Option {
	out := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(w.cfg.Endpoint), otlptracehttp.WithTimeout(exportWithin),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportWithin}),
	}
	if len(w.cfg.Headers) > 0 {
		out = append(out, otlptracehttp.WithHeaders(w.cfg.Headers))
	}
	return out
}

// gather waits for a span, and a little for those that follow it.
func (w *Worker) gather(ctx context.Context) []trace.Span {
	var batch []trace.Span
	select {
	case s := <-w.queue:
		batch = append(batch, s)
	case <-ctx.Done():
		return nil
	}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for len(batch) < batchLength {
		select {
		case s := <-w.queue:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// send exports a batch, at most for as long as an export may take.
func (w *Worker) send(ctx context.Context, to *otlptrace.Exporter, made *spanner, batch []trace.Span) {
	ctx, cancel := context.WithTimeout(ctx, exportWithin)
	defer cancel()
	result := resultSent
	if err := to.ExportSpans(ctx, made.spans(ctx, batch)); err != nil {
		result = resultFailed
		if w.cfg.Failed != nil {
			w.cfg.Failed(err)
		}
	}
	w.spans.WithLabelValues(result).Add(float64(len(batch)))
}

// flush sends a batch that was gathered and what waits, and closes: all within one time, whatever the collector does.
func (w *Worker) flush(ctx context.Context, to *otlptrace.Exporter, made *spanner, batch []trace.Span) error {
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	for {
		for len(batch) < batchLength && len(w.queue) > 0 {
			batch = append(batch, <-w.queue)
		}
		if len(batch) == 0 || ctx.Err() != nil {
			w.spans.WithLabelValues(resultDropped).Add(float64(len(batch) + len(w.queue)))
			_ = to.Shutdown(ctx) // it holds connections only, and the process ends
			return nil
		}
		w.send(ctx, to, made, batch)
		batch = nil
	}
}
