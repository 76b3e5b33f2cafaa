package prom_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

// story is a Rollout that looks at a server, which tells the truth at first, then lies, and then tells the truth again.
type story struct {
	*liar
	server   *prom.Server
	cfg      analysis.Config
	evidence analysis.Evidence
	begin    time.Time
	after    time.Duration
	patient  bool // no answer takes long but on a slow machine
}

func newStory(t *testing.T, l *liar, web http.Handler) *story {
	t.Helper()
	s, err := prom.New(prom.Config{URL: serverOf(t, web), Timeout: 150 * time.Millisecond, Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &story{liar: l, server: s, cfg: analysis.Default(), begin: time.Unix(1_700_000_000, 0), after: 30 * time.Second}
}

// look looks once, five seconds later than before. It asks again where only the machine can have been
// too slow.
func (s *story) look(t *testing.T) analysis.Report {
	t.Helper()
	at := s.begin.Add(s.after)
	s.after += 5 * time.Second
	s.at.Store(at.Unix() - 1)
	m := analysis.Moment{At: at, Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: s.begin, Settled: s.begin}
	var reads []analysis.Read
	for _, q := range analysis.Queries(s.cfg, s.evidence, m, query().Arms) {
		got, err := s.server.Series(t.Context(), q)
		for try := 0; (s.patient || s.calm.Load()) && reason(err) == analysis.Timeout && try < 100; try++ {
			got, err = s.server.Series(t.Context(), q)
		}
		if err != nil && reason(err) == "" {
			t.Errorf("an error without a reason: %v", err)
		}
		reads = append(reads, analysis.Read{Metric: q.Metric, Series: got, Err: err})
	}
	var r analysis.Report
	s.evidence, r = analysis.Judge(s.cfg, s.evidence, analysis.Collect(s.cfg, s.evidence, m, reads))
	return r
}

// errorsOf is what the report says of the metric errors.
func errorsOf(t *testing.T, r analysis.Report) analysis.MetricReport {
	t.Helper()
	for _, m := range r.Metrics {
		if m.Name == "errors" {
			return m
		}
	}
	t.Fatalf("no errors in %+v", r)
	return analysis.MetricReport{}
}

// many are more series than any query may bring.
func many(l *liar) string {
	var b strings.Builder
	for i := range prom.MaxSeries + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"__name__":%q,"envoy_cluster_name":%q,"job":"envoy","instance":"%d"},"values":[[%d,"9"]]}`, completed, canary, i, l.at.Load()-1)
	}
	return success(b.String())
}

// lie is one way of answering.
type lie struct {
	tell func(*liar, http.ResponseWriter, *http.Request)
	body func(*liar) string // where tell is none
	want []analysis.Reason  // any of them is right
}

// lies are those that servers are known to tell.
func lies() map[string]lie {
	value := func(odd string) func(*liar) string {
		return func(l *liar) string {
			at := l.at.Load()
			return success(series(completed, canary, "", "", fmt.Sprintf(`%s,[%d,"%s"]`, l.values(3, 8), at-1, odd)), l.stable("", 1))
		}
	}
	blank := make([]byte, 1<<20)
	return map[string]lie{
		"NaN":            {body: value("NaN"), want: []analysis.Reason{analysis.NotFinite}},
		"Inf":            {body: value("+Inf"), want: []analysis.Reason{analysis.NotFinite}},
		"empty":          {body: func(*liar) string { return success() }, want: []analysis.Reason{analysis.NoSeries, analysis.Stale}},
		"many series":    {body: many, want: []analysis.Reason{analysis.TooManySeries, analysis.Timeout}}, // a slow machine does not read so many in time
		"HTML with 200":  {body: func(*liar) string { return "<!doctype html><title>Sign in</title>" }, want: []analysis.Reason{analysis.BadResponse}},
		"truncated JSON": {body: func(l *liar) string { return l.truth()[:len(l.truth())-9] }, want: []analysis.Reason{analysis.BadResponse}},
		"warnings": {body: func(l *liar) string {
			return strings.Replace(l.truth(), `"data"`, `"warnings":["a store is gone"],"data"`, 1)
		},
			want: []analysis.Reason{analysis.Warnings}},
		"stale": {body: func(l *liar) string {
			return success(series(completed, canary, "", "", l.values(3, 200)), series(completed, stable, "", "", l.values(17, 200)))
		}, want: []analysis.Reason{analysis.Stale, analysis.NoSeries}},
		"100 MB": {tell: func(_ *liar, w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(blank); err != nil {
					return
				}
			}
		}, want: []analysis.Reason{analysis.TooLarge, analysis.Timeout}},
		"hanging in the middle of the body": {tell: func(l *liar, w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(l.truth()[:60]))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, want: []analysis.Reason{analysis.Timeout}},
	}
}

// answers lets a liar tell the truth while it is calm, and else this.
func (one lie) answers(l *liar) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case l.calm.Load():
			answer(200, l.truth())(w, r)
		case one.tell != nil:
			one.tell(l, w, r)
		default:
			answer(200, one.body(l))(w, r)
		}
	}
}

// Each lie that a Prometheus is known to tell, for two minutes in the middle of a step: no verdict comes of it, no evidence of
// safety and no time of the bake, the reason is named, and the truth afterwards counts.
func TestLies_eachByItsName(t *testing.T) {
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &liar{random: rand.New(rand.NewPCG(1, 1))}
			s := newStory(t, l, lie.answers(l))
			s.patient = !slices.Contains(lie.want, analysis.Timeout)
			l.calm.Store(true)
			var r analysis.Report
			for range 12 {
				r = s.look(t)
			}
			before := errorsOf(t, r)
			if r.Verdict != analysis.Inconclusive || before.Windows == 0 {
				t.Fatalf("after the truth: %s %s, %d windows", r.Verdict, r.Reason, before.Windows)
			}
			l.calm.Store(false)
			for range 24 {
				if r = s.look(t); r.Verdict == analysis.Promote || r.Verdict == analysis.Rollback {
					t.Fatalf("after %v: %s %s", s.after, r.Verdict, r.Reason)
				}
			}
			told := errorsOf(t, r)
			if r.Verdict != analysis.Blind || !slices.Contains(lie.want, r.Reason) || told.Safe.LogE > before.Safe.LogE || told.Observed > before.Observed {
				t.Errorf("after the lies: %s %s, safe %v for %v, before %v for %v: want Blind, one of %v",
					r.Verdict, r.Reason, told.Safe.LogE, told.Observed, before.Safe.LogE, before.Observed, lie.want)
			}
			l.calm.Store(true)
			for range 12 {
				if r = s.look(t); r.Verdict == analysis.Promote || r.Verdict == analysis.Rollback {
					t.Fatalf("truth after lies, after %v: %s %s", s.after, r.Verdict, r.Reason)
				}
			}
			if m := errorsOf(t, r); r.Verdict == analysis.Blind || m.Windows <= told.Windows {
				t.Errorf("truth after lies: %s %s, %d windows, before %d", r.Verdict, r.Reason, m.Windows, told.Windows)
			}
		})
	}
}

// Counters that start anew every 20 s, as of programs that are killed again and again, lose requests and invent none: nothing is
// rolled back, and nothing is promoted before as many requests were really made as a promotion needs.
func TestLies_resetsInventNoRequests(t *testing.T) {
	l := &liar{random: rand.New(rand.NewPCG(1, 1))}
	restarted := func(perSecond int64) string {
		var out []string
		for t := (l.at.Load() - 300) / 5 * 5; t <= l.at.Load(); t += 5 {
			out = append(out, fmt.Sprintf(`[%d,"%d"]`, t, t%20*perSecond))
		}
		return strings.Join(out, ",")
	}
	l.calm.Store(true)
	s := newStory(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(200, success(series(completed, canary, "", "", restarted(3)),
			series(completed, stable, "", "", restarted(17))))(w, r)
	}))
	for s.after < 15*time.Minute {
		r := s.look(t)
		m := errorsOf(t, r)
		if made := uint64(3 * s.after.Seconds()); m.Step.Canary.N > made || m.Step.Stable.N > made*17/3 {
			t.Fatalf("after %v: %d and %d requests are counted, %d and %d were made", s.after, m.Step.Canary.N, m.Step.Stable.N, made, made*17/3)
		}
		if r.Verdict == analysis.Rollback || r.Verdict == analysis.Promote && m.Step.Canary.N < 600 {
			t.Fatalf("after %v: %s %s at %d requests", s.after, r.Verdict, r.Reason, m.Step.Canary.N)
		}
	}
}
