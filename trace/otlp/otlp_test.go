package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/trace"
	"github.com/sluice-dev/sluice/trace/otlp"
)

// receiver is a collector that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex // guards all
	header http.Header
	path   string
	got    map[string]*spans.Span // by id
	status int                    // of answers; 0: 200
	hold   chan struct{}          // answers wait until it is closed; nil: they do not
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: map[string]*spans.Span{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil && req.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	var message collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &message)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	hold, status := r.hold, r.status
	r.header, r.path = req.Header.Clone(), req.URL.Path
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range message.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				r.got[hex.EncodeToString(s.SpanId)] = s
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (r *receiver) span(id trace.ID) *spans.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[hex.EncodeToString(id[:])]
}

// run starts a worker that ends with the test, or with what it returns.
func run(t *testing.T, c otlp.Config) (*otlp.Worker, func()) {
	t.Helper()
	w, err := otlp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return w, stop
}

func until(t *testing.T, limit time.Duration, cond func() error) {
	t.Helper()
	if err := poll.Until(limit, cond); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, w *otlp.Worker, result string) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(w.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].Metric {
		if m.Label[0].GetValue() == result {
			return m.GetCounter().GetValue()
		}
	}
	return -1
}

var (
	of = trace.Attempt{UID: "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90", Number: 3}
	t0 = time.Unix(1_800_000_000, 0)
)

func TestWorker_aLaterProcessGoesOnWithTheTrace(t *testing.T) {
	r := newReceiver(t)
	c := otlp.Config{Endpoint: r.URL, Headers: map[string]string{"Authorization": "Bearer x"}, Version: "v1", Replica: "a"}
	first, stop := run(t, c)
	first.Tell(trace.Span{Attempt: of, Name: trace.StepName(1), Step: 1, From: t0, To: t0.Add(time.Minute), Attributes: []trace.Attribute{{Key: trace.KeyStep, Value: 1}}})
	push := trace.Span{Attempt: of, Name: trace.NamePush, Parent: of.Step(1), From: t0, To: t0.Add(time.Second), Failure: "overtaken",
		Events: []trace.Event{{At: t0.Add(time.Second), Name: trace.EventNack, Attributes: []trace.Attribute{{Key: trace.KeyProxy, Value: "gw-1"}}}}}
	first.Tell(push)
	stop() // what waits is sent
	second, _ := run(t, c)
	second.Tell(trace.Span{Attempt: of, Name: trace.NameAttempt, From: t0, To: t0.Add(time.Hour), Attributes: []trace.Attribute{{Key: trace.KeyResult, Value: trace.ResultSuccess}}})
	until(t, 10*time.Second, func() error {
		if r.span(of.Root()) == nil {
			return fmt.Errorf("the root has not come")
		}
		return nil
	})
	root, step, pushed := r.span(of.Root()), r.span(of.Step(1)), r.span(push.ID())
	if step == nil || pushed == nil {
		t.Fatalf("step %v, push %v", step, pushed)
	}
	for _, s := range []*spans.Span{root, step, pushed} {
		if hex.EncodeToString(s.TraceId) != "d753614f83399d6ecce332879f93186d" {
			t.Errorf("%s is in trace %x", s.Name, s.TraceId)
		}
	}
	if len(root.ParentSpanId) != 0 || hex.EncodeToString(root.SpanId) != "2eedd6d49444b398" || root.Name != "rollout attempt" ||
		root.StartTimeUnixNano != uint64(t0.UnixNano()) || root.EndTimeUnixNano != uint64(t0.Add(time.Hour).UnixNano()) {
		t.Errorf("root %v", root)
	}
	if hex.EncodeToString(step.ParentSpanId) != "2eedd6d49444b398" || step.Name != "step 1" {
		t.Errorf("step %v", step)
	}
	if !bytes.Equal(pushed.ParentSpanId, step.SpanId) || len(pushed.Events) != 1 || pushed.Events[0].Name != "nack" || pushed.Status.GetMessage() != "overtaken" {
		t.Errorf("push %v", pushed)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.path != "/v1/traces" || r.header.Get("Authorization") != "Bearer x" {
		t.Errorf("asked at %s with %v", r.path, r.header)
	}
}

func TestWorker_aSlowCollectorDelaysNothing(t *testing.T) {
	r := newReceiver(t)
	r.hold = make(chan struct{})
	w, _ := run(t, otlp.Config{Endpoint: r.URL})
	began := time.Now()
	for i := range 10_000 {
		w.Tell(trace.Span{Attempt: of, Name: trace.NameDecide, From: t0.Add(time.Duration(i)), To: t0.Add(time.Second)})
	}
	if took := time.Since(began); took > 20*time.Second { // the collector would not have answered yet
		t.Errorf("telling took %v", took)
	}
	if dropped := count(t, w, "dropped"); dropped < 7000 {
		t.Errorf("%v of 10000 spans were dropped, want all but those that wait", dropped)
	}
	close(r.hold)
	until(t, 20*time.Second, func() error {
		if sent := count(t, w, "sent"); sent < 2048 {
			return fmt.Errorf("%v sent", sent)
		}
		return nil
	})
}

// However much waits, a process that ends waits for a collector that is away no longer than a moment.
func TestWorker_aDeadCollectorDelaysNoEnd(t *testing.T) {
	r := newReceiver(t)
	r.hold = make(chan struct{})
	defer close(r.hold)
	w, stop := run(t, otlp.Config{Endpoint: r.URL})
	for i := range 2000 {
		w.Tell(trace.Span{Attempt: of, Name: trace.NameDecide, From: t0.Add(time.Duration(i)), To: t0.Add(time.Second)})
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 8*time.Second { // a request to it has longer
		t.Errorf("the end took %v", took)
	}
	if lost := count(t, w, "failed") + count(t, w, "dropped"); lost != 2000 {
		t.Errorf("%v spans are counted as not sent, want 2000", lost)
	}
}

func TestWorker_countsWhatIsRefused(t *testing.T) {
	r := newReceiver(t)
	r.status = http.StatusForbidden
	failed := make(chan error, 1)
	w, _ := run(t, otlp.Config{Endpoint: r.URL, Failed: func(err error) { failed <- err }})
	w.Tell(trace.Span{Attempt: of, Name: trace.NameDecide, From: t0, To: t0})
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	until(t, 5*time.Second, func() error {
		if n := count(t, w, "failed"); n != 1 {
			return fmt.Errorf("%v failed", n)
		}
		return nil
	})
}

func TestNew_refusesWhatIsNoEndpoint(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "localhost:4318", "grpc://a:1", "http://", "http://me:secret@a:1", "http://a b"} {
		if _, err := otlp.New(otlp.Config{Endpoint: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
