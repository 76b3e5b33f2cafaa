package prom

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

const (
	queryTimeout   = 30 * time.Second
	querySamples   = 5_000_000
	lookback       = 5 * time.Minute
	readSamples    = 5_000_000
	readConcurrent = 10
	readFrame      = 1 << 20
)

// api gives the handler of /api/v1, as Prometheus has it, and of /-/ready.
func (p *Prometheus) api(c Config, cfg *config.Config, registry *prometheus.Registry) http.Handler {
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: c.Log, Reg: registry, MaxSamples: querySamples, Timeout: queryTimeout, LookbackDelta: lookback,
		EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Duration(cfg.GlobalConfig.EvaluationInterval).Milliseconds() },
	})
	open := func(h http.HandlerFunc) http.HandlerFunc { return h } // storage is open before the first request
	nothing := none{}
	api := v1.NewAPI(
		engine, p.db, nil, p.db,
		func(context.Context) v1.ScrapePoolsRetriever { return p.scraper },
		func(context.Context) v1.TargetRetriever { return p.scraper },
		func(context.Context) v1.AlertmanagerRetriever { return nothing },
		func() config.Config { return *cfg },
		map[string]string{},
		v1.GlobalURLOptions{ListenAddress: p.url, Host: p.url, Scheme: "http"},
		open, storageStatus{p.db}, c.Dir, false, c.Log,
		func(context.Context) v1.RulesRetriever { return nothing },
		readSamples, readConcurrent, readFrame, false,
		regexp.MustCompile(`^$`), // no page of another origin may read answers
		func() (v1.RuntimeInfo, error) {
			return v1.RuntimeInfo{StorageRetention: retention.String(), GOMAXPROCS: runtime.GOMAXPROCS(0)}, nil
		},
		&v1.PrometheusVersion{Version: "0.309.1", GoVersion: runtime.Version()},
		func() []notifications.Notification { return []notifications.Notification{} },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		registry, registry, nil,
		false, nil, false, false, false, false, // nothing is written but by scraping
		lookback, false, false, nil, nil,
	)
	mux := http.NewServeMux()
	router := route.New()
	api.Register(router)
	mux.Handle("/api/v1/", http.StripPrefix("/api/v1", router))
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

// none has neither rules nor alert managers.
type none struct{}

func (none) RuleGroups() []*rules.Group           { return nil }
func (none) AlertingRules() []*rules.AlertingRule { return nil }
func (none) Alertmanagers() []*url.URL            { return nil }
func (none) DroppedAlertmanagers() []*url.URL     { return nil }

// storageStatus adds to the storage what the API's status pages ask for.
type storageStatus struct{ *tsdb.DB }

// Stats counts what the newest part of the storage holds.
func (s storageStatus) Stats(label string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(label, limit), nil
}

// WALReplayStatus says that nothing is left to replay: the storage is open.
func (s storageStatus) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return tsdb.WALReplayStatus{}, nil
}

// BlockMetas describes the blocks on disk.
func (s storageStatus) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }
