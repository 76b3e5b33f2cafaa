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
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"time"

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
	MaxBounds      = 64 // finite bounds of a histogram
)

// Config says which server to read and how.
type Config struct {
	URL     string        // http or https, with a path prefix where there is one
	Timeout time.Duration // of a whole query, body included; DefaultTimeout
	// Dial opens connections; nil: a plain net.Dialer. The guarded dialer comes in here.
	Dial         func(ctx context.Context, network, addr string) (net.Conn, error)
	Access       Access
	Headers      []Header
	ServerName   string   // expected in the certificate; empty: the URL's host
	Dialect      Dialect  // of the proxies; Envoy
	TargetLabels []string // that tell scraped targets apart; job and instance
	// Gather is how long a query waits for others that can be asked together with it; DefaultGather. Negative: each is made alone.
	Gather time.Duration
}

// Server is one Prometheus. It is an analysis.Querier and may be used by many goroutines.
type Server struct {
	line
	names   names
	targets []string
	gather  time.Duration
	plans   plans
	spelled spellings
	origins origins
	rules   compiled
	batches batches
}

// line is how a server is reached.
type line struct {
	client  *http.Client
	url     *url.URL // of queries
	timeout time.Duration
	headers http.Header
	secrets []string // never to be shown
	slots   chan struct{}
	pages   pages
	close   func()
}

// New checks the Config; it connects to nothing. Its errors hold no credentials.
func New(cfg Config) (*Server, error) {
	u, err := address(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Timeout < 0 || cfg.Timeout > MaxTimeout {
		return nil, fmt.Errorf("the timeout of Prometheus is %v: want at most %v", cfg.Timeout, MaxTimeout)
	}
	if len(cfg.TargetLabels) == 0 {
		cfg.TargetLabels = []string{"job", "instance"}
	}
	if cfg.Gather == 0 {
		cfg.Gather = DefaultGather
	}
	out := &Server{
		line:   line{timeout: cfg.Timeout, secrets: cfg.Access.secrets(cfg.Headers), slots: make(chan struct{}, MaxAtOnce)},
		gather: cfg.Gather, targets: cfg.TargetLabels,
		origins: origins{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}},
		batches: batches{open: map[batchKey]*batch{}, alone: map[string]int{}, most: firstTogether},
	}
	if err := cfg.Access.check(u.Scheme); err != nil {
		return nil, err
	}
	if out.names, err = cfg.Dialect.names(); err != nil {
		return nil, err
	}
	if out.headers, err = cfg.Access.headers(cfg.Headers); err != nil {
		return nil, err
	}
	if cfg.ServerName != "" && u.Scheme != "https" {
		return nil, errors.New("a server name is of no use over plain http: write https")
	}
	return out, out.connect(u, cfg)
}

// address reads a URL without credentials.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the address of Prometheus is not a URL: want such as http://prometheus.monitoring:9090")
	case (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return nil, errors.New("the address of Prometheus is not a URL: want http:// or https:// and a host")
	case u.User != nil:
		return nil, fmt.Errorf("the address of Prometheus at %s has a user: credentials belong into a Secret", u.Host)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the address of Prometheus at %s has a query or a fragment: it must end with its path", u.Host)
	}
	return u, nil
}

// connect makes the client.
func (s *Server) connect(u *url.URL, cfg Config) error {
	secure, err := cfg.Access.tls(cfg.ServerName)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DialContext:            cfg.Dial,
		TLSClientConfig:        secure,
		MaxIdleConnsPerHost:    MaxAtOnce,
		ReadBufferSize:         64 << 10, // answers are long
		WriteBufferSize:        16 << 10,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    MaxTimeout,
		ForceAttemptHTTP2:      true,
		ResponseHeaderTimeout:  MaxTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
	s.close = transport.CloseIdleConnections
	s.url = u.JoinPath("api/v1/query")
	s.client = &http.Client{
		Transport: bounded{next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect would carry the query, and credentials, elsewhere
		},
	}
	return nil
}

// Close waits for the queries under way and closes the connections.
func (s *Server) Close() {
	s.batches.running.Wait()
	s.close()
}

// Series implements analysis.Querier. Its errors are *Failure. What several queries read is asked for together where that
// is possible: both arms always, and so from the same scrapes.
func (s *Server) Series(ctx context.Context, q analysis.Query) ([]analysis.Series, error) {
	all, fail := s.series(ctx, q)
	if fail != nil {
		return nil, s.shown(fail)
	}
	return all, nil
}

// shown is a failure without secrets, and not too long.
func (s *Server) shown(fail *Failure) *Failure {
	return &Failure{Reason: fail.Reason, Detail: clean(scrub(fail.Detail, s.secrets))}
}

func (s *Server) series(ctx context.Context, q analysis.Query) ([]analysis.Series, *Failure) {
	if !q.From.Before(q.Until) {
		return nil, failed(analysis.QueryRejected, "an empty range of time is asked for")
	}
	plan, fail := s.plans.of(q, s.wants)
	if fail != nil {
		return nil, fail
	}
	les := s.spelled.of(q.Bounds, plan.unit())
	known, fail := s.look(ctx, plan, q, les)
	if fail == nil && les != nil && !covers(known.series, q.Bounds) {
		// Some target counts by others, or writes them in another way.
		known, fail = s.look(ctx, plan, q, nil)
	}
	if fail == nil {
		fail = complete(q, known.series)
	}
	if fail != nil {
		return nil, fail
	}
	plan.keep(known)
	return known.series, nil
}

// look reads what is new since the last read: of buckets, those with these texts of the bounds; none: all.
func (s *Server) look(ctx context.Context, p *plan, q analysis.Query, les []string) (*lastRead, *Failure) {
	var bounds []float64
	if les != nil {
		bounds = q.Bounds
	}
	from, recent := p.since(q, bounds)
	read, fail := s.read(ctx, p, q, from, les)
	if fail != nil {
		return nil, fail
	}
	return read.after(q, from, bounds, recent), nil
}

// read asks for the series of a plan from a time on.
func (s *Server) read(ctx context.Context, p *plan, q analysis.Query, from time.Time, les []string) (found, *Failure) {
	members := make([]member, len(p.groups))
	for i := range members {
		members[i] = member{group: &p.groups[i], from: from, until: q.Until}
		if les != nil {
			members[i].bounds, members[i].les = q.Bounds, les
		}
	}
	joined := make([]*batch, len(members))
	for i := range members {
		joined[i] = s.enter(ctx, &members[i])
	}
	var fail *Failure
	for i, b := range joined { // to the last: what is not waited for has to be given up
		fail = cmp.Or(fail, s.await(ctx, b, &members[i]))
	}
	if fail != nil {
		return found{}, fail
	}
	all := members[0].found
	for _, m := range members[1:] {
		all.series, all.ids = append(all.series, m.series...), append(all.ids, m.ids...)
	}
	return all, nil
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
	return &Failure{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

var (
	_ analysis.Querier = (*Server)(nil)
	_ analysis.Failure = (*Failure)(nil)
)
