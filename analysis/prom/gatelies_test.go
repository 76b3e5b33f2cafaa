package prom_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

// vectorLiar answers what is asked of conditions and histograms with odd things. Values that could be used it gives never,
// but those of one condition, as often as told was asked for.
type vectorLiar struct {
	liar
	told atomic.Int64 // true values given
	tell float64      // 0: none are
}

// ServeHTTP implements http.Handler.
func (l *vectorLiar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.tell != 0 && l.random.IntN(4) == 0 {
		l.told.Add(1)
		answer(200, fmt.Sprintf(`{"status":"success","data":{"resultType":"scalar","result":[%d,"%v"]}}`, l.at.Load(), l.tell))(w, r)
		return
	}
	if l.random.IntN(2) == 0 {
		l.liar.ServeHTTP(w, r)
		return
	}
	at := l.at.Load()
	odd := pick(l.random, "NaN", "+Inf", "-Inf", "1e999", "", "five", "0x1p4", "1_0")
	one := fmt.Sprintf(`{"metric":{},"value":[%d,"0"]}`, at)
	bucket := func(cluster, le, values string) string {
		return series("envoy_cluster_upstream_rq_time_bucket", cluster, "", `,"le":"`+le+`"`, values)
	}
	answer(200, pick(l.random,
		`{"status":"success","data":{"resultType":"vector","result":[]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[`+one+`,`+one+`]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}`,
		fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"%s"]}]}}`, at, odd),
		fmt.Sprintf(`{"status":"success","data":{"resultType":"scalar","result":[%d,"%s"]}}`, at, odd),
		fmt.Sprintf(`{"status":"success","data":{"resultType":"string","result":[%d,"0"]}}`, at),
		fmt.Sprintf(`{"status":"success","warnings":["part"],"data":{"resultType":"scalar","result":[%d,"1"]}}`, at),
		success(bucket(canary, "NaN", l.values(3, 0)), bucket(stable, "5", l.values(17, 0))),
		success(bucket(canary, "5", l.values(0, 0)), bucket(canary, "+Inf", l.values(3, 0)), bucket(stable, "10", l.values(17, 0)), bucket(stable, "+Inf", l.values(17, 0))), // no bound in common
		success(bucket(canary, "5", l.values(0, 0)), bucket(stable, "5", l.values(17, 0))),                                                                                   // nothing counts all events
		success(bucket(canary, "+Inf", l.values(3, 0)), bucket(stable, "+Inf", l.values(17, 0))),
	))(w, r)
}

// watch looks for minutes at one criterion alone and gives the verdicts and how many measurements counted.
func (l *vectorLiar) watch(t *testing.T, c analysis.Criterion) (verdicts map[analysis.Verdict]analysis.Reason, counted int) {
	t.Helper()
	web := serverOf(t, l)
	s, err := prom.New(prom.Config{URL: web, Timeout: 150 * time.Millisecond, Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	begin := time.Unix(1_700_000_000, 0)
	cfg := analysis.Default()
	cfg.Criteria = []analysis.Criterion{c}
	arms := query().Arms
	arms.CanaryVars, arms.StableVars = []map[string]string{{"subset": "v2"}}, []map[string]string{{"subset": "v1"}}
	verdicts = map[analysis.Verdict]analysis.Reason{}
	var ev analysis.Evidence
	for after := 30 * time.Second; after < 4*time.Minute; after += 5 * time.Second {
		l.at.Store(begin.Add(after).Unix() - 1)
		m := analysis.Moment{At: begin.Add(after), Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: begin, Settled: begin}
		var reads []analysis.Read
		for _, q := range analysis.Queries(cfg, ev, m, arms) {
			read := analysis.Read{Metric: q.Metric}
			if q.Condition != nil {
				var one analysis.Measurement
				if one, read.Err = s.Measure(t.Context(), q); read.Err == nil {
					counted++
				}
				read.Measurement = &one
			} else {
				read.Series, read.Err = s.Series(t.Context(), q)
				if q.Base && read.Err == nil {
					read.Base, _ = s.Base(t.Context(), q)
				}
			}
			if read.Err != nil && reason(read.Err) == "" {
				t.Errorf("an error without a reason: %v", read.Err)
			}
			reads = append(reads, read)
		}
		var r analysis.Report
		ev, r = analysis.Judge(cfg, ev, analysis.Collect(cfg, ev, m, reads))
		verdicts[r.Verdict] = r.Reason
	}
	return verdicts, counted
}

// Lies about histograms and conditions neither promote nor roll back; only a condition that was really held against a value does.
func TestLies_aboutHistogramsAndConditions(t *testing.T) {
	latency, _ := analysis.Builtin("latency")
	gate := analysis.Criterion{Name: "queue", Source: analysis.Source{Condition: &analysis.Condition{
		Query: `sum(queue_depth{version="{{subset}}"})`, Pass: "value < 100.0 || value != value", Fail: "value >= 100.0",
	}}, Limits: analysis.Limits{Interval: 5 * time.Second, Errors: 4}}
	for seed := range uint64(4) {
		for name, c := range map[string]analysis.Criterion{"histogram": latency, "condition": gate} {
			l := &vectorLiar{liar: liar{random: rand.New(&dice{source: rand.NewPCG(seed, 11)})}}
			verdicts, counted := l.watch(t, c)
			_, promoted := verdicts[analysis.Promote]
			_, rolledBack := verdicts[analysis.Rollback]
			if promoted || rolledBack || counted > 0 {
				t.Errorf("%s, seed %d: %v, %d measurements counted", name, seed, verdicts, counted)
			}
		}
		l := &vectorLiar{liar: liar{random: rand.New(&dice{source: rand.NewPCG(seed, 13)})}, tell: 250}
		verdicts, counted := l.watch(t, gate)
		if counted == 0 || int64(counted) > l.told.Load() || verdicts[analysis.Rollback] != analysis.GateFailed {
			t.Errorf("condition that fails, seed %d: %v, %d measurements counted, %d told", seed, verdicts, counted, l.told.Load())
		}
	}
}
