package prom_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
)

// timed is a Prometheus whose two targets count by twelve bounds. From some time on one of them writes its bounds otherwise,
// and later that one counts by fewer.
type timed struct {
	start, otherwise, fewer int64
	whole, part             int // queries
}

// ServeHTTP implements http.Handler.
func (s *timed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	until, _ := strconv.ParseFloat(r.PostForm.Get("time"), 64)
	q := r.PostForm.Get("query")
	length, _ := strconv.ParseInt(q[strings.LastIndex(q, "[")+1:len(q)-2], 10, 64)
	s.whole++
	if strings.Contains(q, ",le=~") {
		s.part++
		s.whole--
	}
	var out []string
	for _, target := range []string{"steady", "changes"} {
		for _, cluster := range []string{canary, stable} {
			for i, le := range []string{"1", "2", "5", "10", "20", "50", "100", "200", "500", "1000", "2000", "5000", "+Inf"} {
				for _, text := range []string{le, le + ".0"} {
					var values []string
					for t := (int64(until) - length + 5) / 5 * 5; t <= int64(until); t += 5 {
						other := target == "changes" && t >= s.otherwise && le != "+Inf"
						if other != (text != le) || (target == "changes" && t >= s.fewer && i < 7) || (le == "+Inf" && text != le) {
							continue
						}
						values = append(values, fmt.Sprintf(`[%d.5,"%d"]`, t, (t-s.start+10_000)*int64(1+i*i)))
					}
					if len(values) == 0 || (strings.Contains(q, "le=") && !strings.Contains(q, `"`+text+`"`) && !strings.Contains(q, `"`+text+`|`) && !strings.Contains(strings.ReplaceAll(q, `\\`, ""), `|`+text)) {
						continue
					}
					one := series("envoy_cluster_upstream_rq_time_bucket", cluster, "", `,"le":"`+text+`"`, strings.Join(values, ","))
					out = append(out, strings.Replace(one, `"gw-1"`, strconv.Quote(target), 1))
				}
			}
		}
	}
	answer(200, success(out...))(w, r)
}

// A reader that asks for the judged bounds alone gives the judge what one gives that asks for all of them, whatever becomes of
// how they are written and of who counts by them.
func TestSeries_boundsThatAreNotJudgedChangeNothing(t *testing.T) {
	begin := time.Unix(1_000_060, 0)
	cfg := analysis.Default()
	latency, _ := analysis.Builtin("latency")
	cfg.Criteria = []analysis.Criterion{latency}
	run := func(every bool) (evidence []string, reports []analysis.Report, s *timed) {
		s = &timed{start: 1_000_000, otherwise: 1_000_250, fewer: 1_000_400}
		server := newServer(t, s.ServeHTTP)
		var ev analysis.Evidence
		for look := range 80 {
			m := analysis.Moment{At: begin.Add(time.Duration(look) * 7 * time.Second), Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: begin, Settled: begin}
			var reads []analysis.Read
			for _, q := range analysis.Queries(cfg, ev, m, query().Arms) {
				if every {
					q.Bounds = nil
				}
				got, err := server.Series(t.Context(), q)
				reads = append(reads, analysis.Read{Metric: q.Metric, Series: got, Err: err})
				if err != nil {
					t.Fatal(err)
				}
			}
			var r analysis.Report
			ev, r = analysis.Judge(cfg, ev, analysis.Collect(cfg, ev, m, reads))
			text, err := ev.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			evidence, reports = append(evidence, string(text)), append(reports, r)
		}
		return evidence, reports, s
	}
	wantEvidence, wantReports, _ := run(true)
	evidence, reports, server := run(false)
	if diff := cmp.Diff(wantEvidence, evidence); diff != "" {
		t.Errorf("evidence (-all are read +judged ones):\n%s", diff)
	}
	if diff := cmp.Diff(wantReports, reports); diff != "" {
		t.Errorf("reports (-all are read +judged ones):\n%s", diff)
	}
	if server.part < 60 || server.whole < 5 {
		t.Errorf("%d queries for judged bounds, %d for all", server.part, server.whole)
	}
	if last := reports[len(reports)-1]; last.Verdict != analysis.Blind {
		t.Errorf("where a target lacks bounds: %s", last.Verdict)
	}
}
