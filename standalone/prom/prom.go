// Package prom runs Prometheus's own storage, scraper and query engine inside this process, behind Prometheus's own
// HTTP API on loopback. It is the "default" Prometheus of a Sluice without a cluster.
//
// It evaluates no rules, sends no alerts and takes no remote writes. What is scraped is given by Targets; samples
// survive the end of the process by whatever cause.
//
//	p, err := prom.Start(ctx, prom.Config{Dir: dir, Interval: time.Second})
//	defer p.Stop()
//	p.Targets(prom.Target{Address: admin, Labels: map[string]string{"proxy": "gw-1"}})
//	querier := prom.New(p.URL())
package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/sluice-dev/sluice/standalone/port"
)

const (
	// Path is where an Envoy serves its statistics for Prometheus.
	Path = "/stats/prometheus"

	job             = "envoy"
	defaultInterval = 5 * time.Second
	retention       = 24 * time.Hour
	maxBytes        = 512 << 20
	stopTimeout     = 10 * time.Second
)

// Config is what Start needs.
type Config struct {
	Dir      string        // of the samples; made when absent
	Port     int           // wanted on 127.0.0.1; a busy one and 0 give a free one
	Interval time.Duration // between scrapes of a target; 5 s
	Log      *slog.Logger  // of storage, scraper and engine; nil: discard
}

// Target is an Envoy to scrape.
type Target struct {
	Address string            // host:port of its administration interface
	Labels  map[string]string // put on each of its samples, beside job and instance
}

// Prometheus is a running one.
type Prometheus struct {
	url     string
	db      *tsdb.DB
	scraper *scrape.Manager
	targets chan map[string][]*targetgroup.Group
	http    *http.Server
	done    chan struct{} // closed when scraper and HTTP server have ended
}

// Start opens the storage and serves queries. It scrapes nothing until Targets is called. The context bounds the
// start only; Stop ends it.
func Start(ctx context.Context, c Config) (*Prometheus, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	cfg, err := configuration(c)
	if err != nil {
		return nil, fmt.Errorf("starting prometheus: %w", err)
	}
	registry := prometheus.NewRegistry() // its own: the process's default one belongs to the API server
	db, err := tsdb.Open(c.Dir, c.Log, registry, storage(), nil)
	if err != nil {
		return nil, fmt.Errorf("opening prometheus's storage in %s: %w", c.Dir, err)
	}
	p := &Prometheus{db: db, targets: make(chan map[string][]*targetgroup.Group), done: make(chan struct{})}
	if err := p.serve(ctx, c, cfg, registry); err != nil {
		return nil, errors.Join(fmt.Errorf("starting prometheus: %w", err), db.Close())
	}
	return p, nil
}

// configuration makes the one scrape job by way of the file format, which is how it gets all its defaults.
func configuration(c Config) (*config.Config, error) {
	interval := model.Duration(c.Interval)
	return config.Load(fmt.Sprintf(`
global: {scrape_interval: %v, scrape_timeout: %v}
scrape_configs:
- {job_name: %s, metrics_path: %s}
`, interval, interval, job, Path), c.Log)
}

func storage() *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = retention.Milliseconds()
	o.MaxBytes = maxBytes
	o.MaxBlockDuration = (retention / 10).Milliseconds()
	o.NoLockfile = true // the state directory as a whole is locked
	return o
}

func (p *Prometheus) serve(ctx context.Context, c Config, cfg *config.Config, registry *prometheus.Registry) error {
	scraper, err := scrape.NewManager(&scrape.Options{DiscoveryReloadInterval: model.Duration(100 * time.Millisecond)},
		c.Log, nil, p.db, registry)
	if err != nil {
		return err
	}
	if err := scraper.ApplyConfig(cfg); err != nil {
		return err
	}
	p.scraper = scraper
	listener, err := port.Listen(c.Port)
	if err != nil {
		return err
	}
	p.url = "http://" + listener.Addr().String()
	p.http = &http.Server{Handler: p.api(c, cfg, registry), ReadHeaderTimeout: 10 * time.Second}
	scraped := make(chan struct{})
	go func() {
		defer close(scraped)
		if err := scraper.Run(p.targets); err != nil {
			c.Log.Error("scraper ended", "err", err)
		}
	}()
	go func() {
		defer close(p.done)
		if err := p.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.Log.Error("HTTP server ended", "err", err)
		}
		<-scraped
	}()
	return nil
}

// URL is where its HTTP API is, without a path.
func (p *Prometheus) URL() string { return p.url }

// Targets replaces what is scraped. Series of a target that is gone end at once.
func (p *Prometheus) Targets(targets ...Target) {
	groups := make([]*targetgroup.Group, len(targets))
	for i, t := range targets {
		g := &targetgroup.Group{
			Source:  t.Address,
			Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(t.Address)}},
			Labels:  model.LabelSet{},
		}
		for name, value := range t.Labels {
			g.Labels[model.LabelName(name)] = model.LabelValue(value)
		}
		groups[i] = g
	}
	select {
	case p.targets <- map[string][]*targetgroup.Group{job: groups}:
	case <-p.done:
	}
}

// Stop ends queries and scrapes and closes the storage.
func (p *Prometheus) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := p.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.http.Close()
	}
	p.scraper.Stop()
	<-p.done
	return errors.Join(err, p.db.Close())
}
