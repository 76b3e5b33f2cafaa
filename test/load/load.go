// Package load sends requests as users do: at random instants of their own, whether or not the server keeps up, and it
// remembers who answered each. Latency counts from the instant a request was due, so a stall cannot hide in the pauses
// it causes. Tests and the demo use it; it decides nothing.
//
//	g, err := load.Start(ctx, load.Config{URL: "http://127.0.0.1:8080/", Host: "reviews.example", RPS: 600, Seed: 1})
//	tally := g.Record().Tally(from, to)
//	share := tally.Share("v2")
//	g.Stop()
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultConnections = 64
	defaultInFlight    = 2000
	defaultTimeout     = 5 * time.Second
	maxBody            = 1 << 20
)

// VersionHeader is the response header by which a version says that it made the answer.
const VersionHeader = "x-demo-version"

// Config says what is asked, and how often.
type Config struct {
	URL         string
	Host        string        // Host header; empty: the URL's
	RPS         float64       // mean rate of the Poisson process
	Seed        uint64        // of the instants
	Connections int           // at most; 64
	MaxInFlight int           // requests due and not answered; beyond, they are shed; 2000
	Timeout     time.Duration // of one request from its sending; 5 s
}

// Arrivals is a Poisson process: the same seed and rate give the same instants.
type Arrivals struct {
	rng *rand.Rand
	rps float64
	at  float64 // seconds
}

// NewArrivals starts a process of rps arrivals a second.
func NewArrivals(seed uint64, rps float64) *Arrivals {
	return &Arrivals{rng: rand.New(rand.NewPCG(seed, 0x51)), rps: rps}
}

// Next gives the time from the start of the process to its next arrival.
func (a *Arrivals) Next() time.Duration {
	a.at += a.rng.ExpFloat64() / a.rps
	return time.Duration(a.at * float64(time.Second))
}

// Generator is a running load. Its methods may be called from any goroutine.
type Generator struct {
	cfg      Config
	client   *http.Client
	record   *Record
	inFlight atomic.Int64
	shed     atomic.Int64
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// Start sends requests until Stop, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Generator, error) {
	if cfg.Connections == 0 {
		cfg.Connections = defaultConnections
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultInFlight
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if !(cfg.RPS > 0) || math.IsInf(cfg.RPS, 1) {
		return nil, fmt.Errorf("a load of %v requests a second is none", cfg.RPS)
	}
	if _, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.URL, nil); err != nil {
		return nil, fmt.Errorf("load on %s: %w", cfg.URL, err)
	}
	transport := &http.Transport{MaxConnsPerHost: cfg.Connections, MaxIdleConnsPerHost: cfg.Connections, MaxIdleConns: cfg.Connections}
	g := &Generator{cfg: cfg, record: NewRecord(), client: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
	ctx, g.cancel = context.WithCancel(ctx)
	due := make(chan time.Time, cfg.MaxInFlight)
	for range cfg.Connections {
		g.done.Go(func() { g.work(ctx, due) })
	}
	g.done.Go(func() {
		defer close(due)
		g.schedule(ctx, due)
	})
	return g, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Record gives what has been answered so far; it grows while the load runs.
func (g *Generator) Record() *Record { return g.record }

// Shed is the number of requests that were due and not sent because too many were in flight.
func (g *Generator) Shed() int64 { return g.shed.Load() }

// InFlight is the number of requests that are due and not answered.
func (g *Generator) InFlight() int64 { return g.inFlight.Load() }

// Stop ends the load: what has not been sent is dropped, what is under way is waited for.
func (g *Generator) Stop() {
	g.cancel()
	g.done.Wait()
	g.client.CloseIdleConnections()
}

func (g *Generator) schedule(ctx context.Context, due chan<- time.Time) {
	arrivals, start := NewArrivals(g.cfg.Seed, g.cfg.RPS), time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := start.Add(arrivals.Next())
		if wait := time.Until(at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		if g.inFlight.Load() >= int64(g.cfg.MaxInFlight) {
			g.shed.Add(1)
			continue
		}
		g.inFlight.Add(1)
		due <- at // never blocks: its capacity is MaxInFlight
	}
}

func (g *Generator) work(ctx context.Context, due <-chan time.Time) {
	for at := range due {
		if ctx.Err() == nil {
			g.record.Add(g.send(context.WithoutCancel(ctx), at))
		}
		g.inFlight.Add(-1)
	}
}

// send asks once. A request that has begun is carried through, so that the end of the load looks like no failure.
func (g *Generator) send(ctx context.Context, due time.Time) Answer {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	a := Answer{Due: due, Start: time.Now()}
	err := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.cfg.URL, nil)
		if err != nil {
			return err
		}
		req.Host = g.cfg.Host
		resp, err := g.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		a.Version, a.Status = resp.Header.Get(VersionHeader), resp.StatusCode
		n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
		if err == nil && n == maxBody {
			err = errors.New("the answer is too large")
		}
		return err
	}()
	if err != nil {
		a.Status = Broken
	}
	a.End = time.Now()
	return a
}
