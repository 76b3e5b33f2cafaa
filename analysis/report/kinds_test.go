package report_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
)

// kinds judges a Rollout with a metric of each kind: slow is the share of the canary's requests that take over 100 ms.
func kinds(t *testing.T, windows int, slow uint64, seen ...analysis.Outcome) analysis.Report {
	t.Helper()
	cfg := analysis.Default()
	latency, _ := analysis.Builtin("latency")
	queue := analysis.Criterion{Name: "queue", Required: true}
	queue.Condition = &analysis.Condition{Query: "sum(queue_depth)", Pass: "value < 100.0"}
	queue.Limits = analysis.Limits{Interval: 10 * time.Second, Failures: 1}
	cfg.Criteria = append(cfg.Criteria, latency, queue)
	if errs := cfg.Validate(); len(errs) > 0 {
		t.Fatal(errs)
	}
	start := time.Unix(1_000_000, 0).UTC()
	b := analysis.Batch{Moment: analysis.Moment{Step: 1, Weight: 15, Endpoints: 3, Since: start, Settled: start}}
	for i := range windows {
		from := start.Add(time.Duration(i) * 5 * time.Second)
		b.At = from.Add(5 * time.Second)
		errors := analysis.Window{Metric: "errors", Start: from, End: b.At, Canary: counts(75, 0), Stable: counts(425, 0)}
		times := analysis.Window{Metric: "latency", Start: from, End: b.At, Le: []float64{10, 100, 1000},
			Canary: analysis.Counts{N: 75, Le: []uint64{23, 73 - slow, 75}}, Stable: analysis.Counts{N: 425, Le: []uint64{128, 412, 425}}}
		b.Windows = append(b.Windows, errors, times)
	}
	for i, o := range seen {
		at := start.Add(10 * time.Second * time.Duration(i+1))
		b.Measurements = append(b.Measurements, analysis.Measurement{Metric: "queue", At: at, Outcome: o, Value: 12.3, Reason: analysis.Timeout})
	}
	_, r := analysis.Judge(cfg, analysis.Evidence{}, b)
	return r
}

func TestRows_goldenOfEachKind(t *testing.T) {
	pass, fail, none := analysis.OutcomePass, analysis.OutcomeFail, analysis.OutcomeError
	for name, r := range map[string]struct {
		report analysis.Report
		want   []string
	}{
		"no bounds yet": {kinds(t, 1, 0), []string{
			"errors   canary 0% (0/75)  stable 0% (0/425)  safe 1.17 of 20: needs about 790 more canary requests, 52s at this rate",
			"latency  canary n/a        stable n/a         bounds not chosen, 425 requests known  safe 1 of 20: needs about 432 more canary requests",
			"queue    gate open: 0 of 3 measurements",
		}},
		"going on": {kinds(t, 10, 0, pass, fail, pass), []string{
			"errors   canary 0% (0/750)      stable 0% (0/4250)      safe 12.1 of 20: needs about 115 more canary requests, 7.7s at this rate",
			"latency  canary 2.67% (14/525)  stable 3.06% (91/2975)  slower than 100ms  0.872x, at least 0.246x (99%)  limit 1.1x  safe 29.3 of 20: cleared",
			"queue    gate passed: 3 of 3 measurements, 2 passed, 1 failed, last 12.3",
		}},
		"slow": {kinds(t, 20, 20, pass, none), []string{
			"errors   canary 0% (0/1500)       stable 0% (0/8500)       harm 1e11 of 100",
			"latency  canary 29.3% (374/1275)  stable 3.06% (221/7225)  slower than 100ms  9.59x, at least 6.85x (99%)  limit 1.1x  harm 1e11 of 100: rolled back after 17 windows  most beyond 100ms: 1e12",
			"queue    gate open: 1 of 3 measurements, 1 passed, 1 without an answer since  no data: Timeout",
		}},
		"failed": {kinds(t, 5, 0, fail, fail), []string{
			"errors   canary 0% (0/375)     stable 0% (0/2125)     harm 0.867 of 100",
			"latency  canary 2.67% (4/150)  stable 3.06% (26/850)  slower than 100ms  0.872x, at least 0.063x (99%)  limit 1.1x  harm 0.867 of 100",
			"queue    gate failed: 2 of 3 measurements, 2 failed, last 12.3",
		}},
	} {
		if diff := cmp.Diff(r.want, report.Rows(r.report)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
