package app

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/notify"
	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/trace"
	"github.com/sluice-dev/sluice/trace/otlp"
)

// Traces says where traces of attempts are sent.
type Traces struct {
	Endpoint    string // URL of an OpenTelemetry collector that takes OTLP over HTTP; empty: there are no traces
	HeadersFile string // file of headers of each request, as "Name: value" lines; empty: none
	Environment string // what traces say of where this is, such as prod; empty: nothing
}

// tracer sends spans where an endpoint is configured.
type tracer struct {
	tell func(trace.Span) // nil: nobody wants them
}

func newTracer(mgr ctrl.Manager, c Config) (*tracer, error) {
	if c.Telemetry.Traces.Endpoint == "" {
		return &tracer{}, nil
	}
	headers, err := readHeaders(c.Telemetry.Traces.HeadersFile)
	if err != nil {
		return nil, err
	}
	w, err := otlp.New(otlp.Config{Endpoint: c.Telemetry.Traces.Endpoint, Headers: headers, Version: c.Proxies.Version, Replica: c.Replica,
		Failed: func(err error) { c.Log.Warn("spans were not sent", "err", err) }})
	if err != nil {
		return nil, err
	}
	if err := register(w.Collectors()); err != nil {
		return nil, fmt.Errorf("registering what is measured of traces: %w", err)
	}
	return &tracer{tell: w.Tell}, mgr.Add(w)
}

// readHeaders reads a file of "Name: value" lines. What it says wrong is said without what it says.
func readHeaders(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the headers of traces: %w", err)
	}
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("reading the headers of traces: %s:%d: want Name: value", path, n)
		}
		out[name] = strings.TrimSpace(value)
	}
	if lines.Err() != nil {
		return nil, errors.New("reading the headers of traces: a line is too long")
	}
	return out, nil
}

// noted is the observer of tries to send notes; nil: nobody wants to know.
func (t *tracer) noted() func(notify.Try) {
	if t.tell == nil {
		return nil
	}
	return func(n notify.Try) {
		if n.Attempt == 0 {
			return
		}
		s := trace.Span{Attempt: trace.Attempt{UID: string(n.Of), Number: n.Attempt}, Name: trace.NameNotify, One: n.ID, From: n.From, To: n.To, Attributes: []trace.Attribute{
			{Key: trace.KeyNotifier, Value: n.Notifier.String()}, {Key: trace.KeyNote, Value: string(n.Kind)}}}
		if n.Err != nil {
			s.Failure = "the receiver did not take it" // its words may hold what is nobody's business
		}
		t.tell(s)
	}
}

// arrival is how a commit came in, as the rollout controller wants to know it.
func (c *commits) arrival(source types.NamespacedName, commit string) rolloutcontroller.Arrival {
	run, known := c.run(source, commit)
	if !known {
		return rolloutcontroller.Arrival{}
	}
	out := rolloutcontroller.Arrival{Heard: run.Heard}
	for _, p := range []rolloutcontroller.Phase{
		{Name: trace.NameFetch, From: run.Fetch.From, To: run.Fetch.To}, {Name: trace.NameRender, From: run.Render.From, To: run.Render.To},
		{Name: trace.NameApply, From: run.Apply.From, To: run.Apply.To},
	} {
		if !p.From.IsZero() && !p.To.IsZero() {
			out.Phases = append(out.Phases, p)
		}
	}
	return out
}
