// Package prom reads raw counter samples from a Prometheus over its HTTP API.
//
// It fetches and refuses, and computes nothing: one query brings the samples of both arms of a metric, and
// analysis.Assemble makes windows of them. Partial, odd, oversized or late answers are a *Failure with a Reason and
// never data. Nothing is retried; the next look comes anyway.
//
//	server, err := prom.New(prom.Config{URL: "http://127.0.0.1:9090"})
//	series, err := server.Series(ctx, query) // server is an analysis.Querier
package prom

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"

	"github.com/sluice-dev/sluice/analysis"
)

// Bounds of a read.
const (
	DefaultTimeout = 5 * time.Second
	MaxTimeout     = 30 * time.Second
	MaxBody        = 16 << 20 // bytes, after decompression
	MaxSeries      = 20_000
	MaxSamples     = 2_000_000
	MaxAtOnce      = 20 // queries at a time
)

// Config says which server to read and how.
type Config struct {
	URL     string        // http or https, with a path prefix where there is one
	Timeout time.Duration // of a whole query, body included; DefaultTimeout
	// Dial opens connections; nil: a plain net.Dialer. The guarded dialer comes in here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Server is one Prometheus. It is an analysis.Querier and may be used by many goroutines.
type Server struct {
	client  api.Client
	timeout time.Duration
	slots   chan struct{}
	close   func()
}

// New checks the Config; it connects to nothing.
func New(cfg Config) (*Server, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("the address of Prometheus is not a URL: want such as http://prometheus.monitoring:9090")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the address of Prometheus is %q: want http:// or https:// and a host", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of Prometheus is %q: it must end with its path", u.Redacted())
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Timeout < 0 || cfg.Timeout > MaxTimeout {
		return nil, fmt.Errorf("the timeout of Prometheus is %v: want at most %v", cfg.Timeout, MaxTimeout)
	}
	transport := &http.Transport{
		DialContext:           cfg.Dial,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:   MaxAtOnce,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   MaxTimeout,
		ForceAttemptHTTP2:     true,
		ResponseHeaderTimeout: MaxTimeout,
	}
	client, err := api.NewClient(api.Config{Address: u.String(), Client: &http.Client{
		Transport: bounded{next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect would carry the query, and credentials, elsewhere
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("preparing to read Prometheus: %w", err)
	}
	return &Server{
		client: client, timeout: cfg.Timeout,
		slots: make(chan struct{}, MaxAtOnce), close: transport.CloseIdleConnections,
	}, nil
}

// Close closes idle connections.
func (s *Server) Close() { s.close() }

// Series implements analysis.Querier. Its errors are *Failure. Both arms of a built-in metric come by one query, so from
// the same scrapes; a ratio of one's own takes four or more, at one time and within one timeout.
func (s *Server) Series(ctx context.Context, q analysis.Query) ([]analysis.Series, error) {
	ask, fail := plan(q)
	if fail != nil {
		return nil, fail
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, failed(analysis.Timeout, "waited for other queries of this server for %v", s.timeout)
	}
	var all []analysis.Series
	for _, question := range ask {
		body, fail := s.ask(ctx, question.expression, q.Until)
		if fail != nil {
			return nil, fail
		}
		matrix, fail := decode(body)
		if fail != nil {
			return nil, fail
		}
		series, fail := sorted(matrix, q, question.label)
		if fail != nil {
			return nil, fail
		}
		all = append(all, series...)
	}
	if fail := lacking(q, all); fail != nil {
		return nil, fail
	}
	return all, nil
}

// Base implements analysis.Querier.
func (s *Server) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) {
	return nil, failed(analysis.QueryRejected, "histograms are not read yet")
}

// Measure implements analysis.Querier.
func (s *Server) Measure(context.Context, analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{}, failed(analysis.QueryRejected, "conditions are not read yet")
}

// Failure says why a read gave no data. Detail is for people: at most 256 bytes, without credentials.
type Failure struct {
	Reason analysis.Reason
	Detail string
}

// Error implements error.
func (f *Failure) Error() string { return string(f.Reason) + ": " + f.Detail }

// BlindReason implements analysis.Failure.
func (f *Failure) BlindReason() analysis.Reason { return f.Reason }

func failed(reason analysis.Reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Detail: clean(fmt.Sprintf(format, args...))}
}

var (
	_ analysis.Querier = (*Server)(nil)
	_ analysis.Failure = (*Failure)(nil)
)
