package prom_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	reader "github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/test/poll"
)

// A version that never failed has no series of failures. Its first ones, all before the first scrape of that series, count:
// rate and increase would lose them.
func TestSeries_aBurstBeforeTheFirstScrapeOfItsSeriesCounts(t *testing.T) {
	p := start(t, t.TempDir())
	defer stop(t, p)
	scrapes := 0 // one scraper
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes++
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		for _, cluster := range []string{"canary", "stable"} {
			fmt.Fprintf(w, "envoy_cluster_upstream_rq_completed{envoy_cluster_name=%q} %d\n", cluster, 100*scrapes)
		}
		if scrapes > 20 { // 50 failures within one interval, and none since
			fmt.Fprint(w, "envoy_cluster_upstream_rq_xx{envoy_cluster_name=\"canary\",envoy_response_code_class=\"5\"} 50\n")
		}
	}))
	defer web.Close()
	begin := time.Now()
	p.Targets(prom.Target{Address: strings.TrimPrefix(web.URL, "http://")})
	server, err := reader.New(reader.Config{URL: p.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	err = poll.Until(20*time.Second, func() error {
		now := time.Now()
		series, err := server.Series(t.Context(), analysis.Query{
			Metric: "errors", Arms: analysis.Arms{Canary: []string{"canary"}, Stable: []string{"stable"}}, From: begin.Add(-time.Minute), Until: now,
		})
		if err != nil {
			return err
		}
		windows, _ := analysis.Assemble(analysis.Cut{Metric: "errors", Since: begin.Truncate(time.Second), Until: now, Window: time.Second, Weight: 15}, series)
		canary, stable := uint64(0), uint64(0)
		for _, w := range windows {
			canary, stable = canary+w.Canary.Bad, stable+w.Stable.Bad
		}
		if canary != 50 || stable != 0 {
			return fmt.Errorf("%d windows show %d failures of the canary and %d of stable, want 50 and 0", len(windows), canary, stable)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
