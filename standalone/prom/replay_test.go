package prom_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/sluice-dev/sluice/analysis"
	reader "github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/analysis/replay"
	"github.com/sluice-dev/sluice/analysis/report"
)

// scrapesOf writes an hour-old attempt into a storage: scrapes each 5 s of a proxy that sent 15 requests to v3, of which 3
// failed, and 85 to v2. It gives the time of the first one.
func scrapesOf(t *testing.T, dir string) time.Time {
	t.Helper()
	o := tsdb.DefaultOptions()
	o.NoLockfile = true
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	for n := range 60 {
		app, at := db.Appender(t.Context()), begin.Add(time.Duration(n)*5*time.Second).UnixMilli()
		for _, s := range []struct {
			name, subset, class string
			each                float64
		}{
			{"envoy_cluster_upstream_rq_completed", "v3", "", 15}, {"envoy_cluster_upstream_rq_xx", "v3", "5", 3},
			{"envoy_cluster_upstream_rq_completed", "v2", "", 85},
		} {
			l := labels.FromStrings("__name__", s.name, "envoy_cluster_name", "outbound|80|"+s.subset+"|reviews.shop.svc.cluster.local",
				"envoy_response_code_class", s.class, "job", "envoy", "instance", "gw")
			if s.class == "" {
				l = labels.NewBuilder(l).Del("envoy_response_code_class").Labels()
			}
			if _, err := app.Append(0, l, at, s.each*float64(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return begin
}

// What a real Prometheus still holds of an attempt is enough to find again why it was rolled back.
func TestReplay_findsTheFaultInRealSamples(t *testing.T) {
	dir := t.TempDir()
	begin := scrapesOf(t, dir)
	p := start(t, dir)
	t.Cleanup(func() { stop(t, p) })
	server, err := reader.New(reader.Config{URL: p.URL(), Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	end := begin.Add(3 * time.Minute)
	clusters, err := server.Clusters(t.Context(), "reviews.shop.svc.cluster.local", []string{"v3", "v2", "v9"}, begin, end)
	if err != nil || strings.Join(clusters, " ") != "outbound|80|v2|reviews.shop.svc.cluster.local outbound|80|v3|reviews.shop.svc.cluster.local" {
		t.Fatalf("clusters %q, %v", clusters, err)
	}
	a := replay.Attempt{Config: analysis.Default(), Arms: analysis.Arms{Stable: clusters[:1], Canary: clusters[1:]},
		Stages: []replay.Stage{{Step: 1, Weight: 15, From: begin.Add(10 * time.Second), To: end}}}
	ask := func(string) (analysis.Querier, error) { return server, nil }
	past, err := replay.Judge(t.Context(), a, ask)
	if err != nil {
		t.Fatal(err)
	}
	if final := past.Final(); final.Verdict != analysis.Rollback || final.Reason != analysis.RegressionDetected {
		t.Errorf("%s (%s): %+v", final.Verdict, final.Reason, final.Metrics)
	}
	if svg, err := report.SVG(past.Curves(past.Metric())); err != nil || len(svg) < 2000 {
		t.Errorf("the picture has %d bytes, %v", len(svg), err)
	}
	q := analysis.Query{Metric: "errors", Arms: a.Arms, From: begin, Until: end}
	text, err := server.Expression(q)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.PostForm(p.URL()+"/api/v1/query", url.Values{"query": {text}, "time": {end.Format(time.RFC3339)}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || strings.Count(string(body), `"metric":`) != 3 {
		t.Errorf("the expression %s is answered by %.300s, %v; want three series", text, body, err)
	}
	a.Stages[0].From, a.Stages[0].To = begin.Add(-24*time.Hour), begin.Add(-23*time.Hour)
	if _, err := replay.Judge(t.Context(), a, ask); !errors.Is(err, replay.ErrGone) {
		t.Errorf("a day before: %v", err)
	}
}
