package report_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
)

// judged is the report on one window of a step of 15 %.
func judged(seconds int64, canary, stable analysis.Counts, change func(*analysis.Config)) analysis.Report {
	cfg := analysis.Default()
	if change != nil {
		change(&cfg)
	}
	start := time.Unix(1_000_000, 0)
	end := start.Add(time.Duration(seconds) * time.Second)
	m := analysis.Moment{At: end, Step: 1, Weight: 15, Endpoints: 3, Since: start, Settled: start}
	_, r := analysis.Judge(cfg, analysis.Evidence{}, analysis.Batch{Moment: m, Windows: []analysis.Window{
		{Metric: "errors", Start: start, End: end, Canary: canary, Stable: stable},
	}})
	return r
}

func independent(c *analysis.Config) { c.Criteria[0].Noise = analysis.Independent }

func place(step, weight int) report.Place {
	return report.Place{Stable: "v1", Canary: "v2", Step: step, Steps: 3, Weight: weight}
}

func counts(n, bad uint64) analysis.Counts { return analysis.Counts{N: n, Bad: bad} }

func TestSentence_golden(t *testing.T) {
	bad := judged(30, counts(418, 84), counts(2380, 1), independent)
	few := judged(1500, counts(225, 0), counts(1275, 0), nil)
	for got, want := range map[string]string{
		report.Sentence(place(1, 15), bad): "rolled back to v1 at step 1/3 (15%): errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%); v1 serves 100%",
		report.Sentence(place(1, 15), few): "step 1/3 (15%): needs about 640 more requests on v2, 1h11m at this rate",
		report.RolledBack(place(2, 50), "proxy gw-1 rejected the routes: unknown cluster"): "rolled back to v1 at step 2/3 (50%): " +
			"proxy gw-1 rejected the routes: unknown cluster; v1 serves 100%",
		report.Sentence(place(1, 15), judged(600, counts(900, 0), counts(5100, 0), nil)):                                                             "step 1/3 (15%): v2 is no worse after 10m",
		report.Sentence(place(1, 15), analysis.Report{}):                                                                                             "step 1/3 (15%): nothing judged yet",
		report.Sentence(place(1, 15), analysis.Report{Verdict: analysis.Blind, Reason: analysis.Timeout, Metric: "errors", Blind: 75 * time.Second}): "step 1/3 (15%): blind, errors: Timeout for 1m15s; the weight is held",
	} {
		if got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestRows_golden(t *testing.T) {
	few := judged(1500, counts(225, 0), counts(1275, 0), nil)
	want := []string{"errors  canary 0% (0/225)  stable 0% (0/1275)  safe 1.72 of 20: needs about 640 more canary requests, 1h11m at this rate"}
	if diff := cmp.Diff(want, report.Rows(few)); diff != "" {
		t.Error(diff)
	}
	two := judged(5, counts(1350, 14), counts(7650, 8), func(c *analysis.Config) {
		independent(c)
		c.Criteria = append(c.Criteria, analysis.Criterion{Name: "clientErrors", DryRun: true})
	})
	want = []string{
		"clientErrors  canary n/a              stable n/a              harm 5496 of 100  dry run",
		"errors        canary 1.04% (14/1350)  stable 0.105% (8/7650)  9.92x, at least 2.11x (99%)  limit 1.25x  harm 5496 of 100: rolled back after 1 window",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(report.Table(two), "\n"), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestSentence_hostileTextIsMadeFitToShow(t *testing.T) {
	got := report.RolledBack(place(1, 15), "bad\x1b[31m\nroutes \u202e"+strings.Repeat("é", 1000)+string([]byte{0xff}))
	if len(got) > report.MaxSentence || strings.ContainsAny(got, "\x1b\n\u202e") || !strings.HasSuffix(got, "; v1 serves 100%") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	huge := analysis.Report{Verdict: analysis.Rollback, Reason: analysis.RegressionDetected, Metric: "m", LogE: 400, Limit: math.Log(100),
		Metrics: []analysis.MetricReport{{Name: "m", Tally: analysis.Tally{Step: analysis.Pair{Canary: counts(9, 9), Stable: counts(9, 0)}}}}}
	if rows := report.Table(huge); !strings.Contains(rows, "harm 1e173 of 100") {
		t.Errorf("got %s", rows)
	}
}
