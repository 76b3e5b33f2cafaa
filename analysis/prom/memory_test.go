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

// changing is a Prometheus whose targets come, pause, start anew and go.
func changing(asked *int64) http.HandlerFunc {
	start := int64(1_000_000)
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		until, _ := strconv.ParseFloat(r.PostForm.Get("time"), 64)
		q := r.PostForm.Get("query")
		length, _ := strconv.ParseInt(q[strings.LastIndex(q, "[")+1:len(q)-2], 10, 64)
		*asked += length
		var out []string
		for target, there := range map[string]func(t int64) bool{
			"steady": func(int64) bool { return true },
			"gone":   func(t int64) bool { return t < start+200 },
			"late":   func(t int64) bool { return t > start+150 },
			"pauses": func(t int64) bool { return t < start+120 || t > start+220 },
		} {
			for _, one := range []struct{ name, cluster, class string }{{completed, canary, ""}, {completed, stable, ""}, {classes, canary, "5"}} {
				var values []string
				for t := (int64(until) - length) / 5 * 5; t <= int64(until); t += 5 {
					if at := float64(t) + 0.5; at > until-float64(length) && at <= until && there(t) {
						values = append(values, fmt.Sprintf(`[%d.5,"%d"]`, t, (t-start+10_000)%170*int64(len(target))))
					}
				}
				if len(values) > 0 {
					text := series(one.name, one.cluster, one.class, "", strings.Join(values, ","))
					out = append(out, strings.Replace(text, `"gw-1"`, strconv.Quote(target), 1))
				}
			}
		}
		answer(200, success(out...))(w, r)
	}
}

// A reader that remembers gives the judge what one gives that reads all, for less.
func TestSeries_whatIsRememberedChangesNoWindow(t *testing.T) {
	begin := time.Unix(1_000_060, 0)
	cfg := analysis.Default()
	run := func(every bool) (batches []analysis.Batch, asked int64) {
		s := newServer(t, changing(&asked))
		var ev analysis.Evidence
		for look := range 60 {
			m := analysis.Moment{At: begin.Add(time.Duration(look) * 7 * time.Second), Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: begin, Settled: begin}
			var reads []analysis.Read
			for _, q := range analysis.Queries(cfg, ev, m, query().Arms) {
				if every {
					q.Since = time.Time{}
				}
				got, err := s.Series(t.Context(), q)
				reads = append(reads, analysis.Read{Metric: q.Metric, Series: got, Err: err})
				if err != nil {
					t.Fatal(err)
				}
			}
			batch := analysis.Collect(cfg, ev, m, reads)
			batches = append(batches, batch)
			ev, _ = analysis.Judge(cfg, ev, batch)
		}
		return batches, asked
	}
	want, whole := run(true)
	got, part := run(false)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches (-all is read +with memory):\n%s", diff)
	}
	if part*3 > whole {
		t.Errorf("%d s were asked for instead of %d s", part, whole)
	}
}
