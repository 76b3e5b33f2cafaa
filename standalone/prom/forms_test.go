package prom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/sluice-dev/sluice/analysis"
	reader "github.com/sluice-dev/sluice/analysis/prom"
)

// held is a series that the storage holds: its n-th sample, from 1, is n*step, or a native histogram.
type held struct {
	labels labels.Labels
	step   float64
	native bool
}

// history is what two versions counted on two pods, each on its own.
func history() []held {
	var out []held
	add := func(step float64, pairs ...string) {
		for _, pod := range []string{"p1", "p2"} {
			out = append(out, held{labels: labels.FromStrings(append(pairs, "job", "app", "instance", pod)...), step: step})
		}
	}
	for version, bad := range map[string]float64{"v1": 1, "v2": 4} {
		add(10, "__name__", "checkout_total", "version", version, "result", "all")
		add(bad, "__name__", "checkout_total", "version", version, "result", "failed")
		add(math.NaN(), "__name__", "odd_total", "version", version)
		add(-1, "__name__", "gauge", "version", version)
		for le, within := range map[string]float64{"0.1": 10 - bad, "0.5": 9.5, "+Inf": 10} {
			add(within, "__name__", "http_seconds_bucket", "version", version, "le", le)
		}
		add(10, "__name__", "lone_seconds_bucket", "version", version, "le", map[string]string{"v1": "1", "v2": "2"}[version])
		add(10, "__name__", "lone_seconds_bucket", "version", version, "le", "+Inf")
		add(bad, "__name__", "queue_depth", "version", version)
		out = append(out, held{labels: labels.FromStrings("__name__", "native_seconds", "version", version, "instance", "p1"), native: true})
		out = append(out, held{labels: labels.FromStrings("__name__", "mixed", "version", version, "instance", "p1"), native: true})
		out = append(out, held{labels: labels.FromStrings("__name__", "mixed", "version", version, "instance", "p2"), step: 1})
	}
	return out
}

// looks are the samples that each series has, 5 s apart; the last is at the time that remember gives.
const looks = 10

// remember writes a history into a storage that is to be started, and gives the time of its last samples.
func remember(t *testing.T, dir string) time.Time {
	t.Helper()
	o := tsdb.DefaultOptions()
	o.NoLockfile = true
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Truncate(time.Second)
	for n := 1; n <= looks; n++ {
		app, at := db.Appender(t.Context()), end.Add(time.Duration(n-looks)*5*time.Second).UnixMilli()
		for _, s := range history() {
			if s.native {
				_, err = app.AppendHistogram(0, s.labels, at, tsdbutil.GenerateTestHistogram(int64(n)), nil)
			} else {
				_, err = app.Append(0, s.labels, at, s.step*float64(n))
			}
			if err != nil {
				t.Fatalf("%v: %v", s.labels, err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return end
}

// engine is a real Prometheus with a history.
type engine struct {
	t   *testing.T
	end time.Time
	url string
}

func remembering(t *testing.T) *engine {
	t.Helper()
	dir := t.TempDir()
	e := &engine{t: t, end: remember(t, dir)}
	p := start(t, dir)
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	e.url = p.URL()
	return e
}

// warning is the engine behind one that adds a warning to each answer, as those do that ask several stores.
func (e *engine) warning() string {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		req, err := http.NewRequestWithContext(in.Context(), in.Method, e.url+in.URL.Path, in.Body)
		if err != nil {
			e.t.Error(err)
			return
		}
		req.Header = in.Header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			e.t.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			e.t.Error(err)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(bytes.Replace(body, []byte(`{"status":"success",`), []byte(`{"status":"success","warnings":["a store is gone"],`), 1))
	}))
	e.t.Cleanup(web.Close)
	return web.URL
}

// look reads one metric as the controller does and lets it be judged.
func (e *engine) look(url string, source analysis.Source) (analysis.Read, analysis.Report) {
	e.t.Helper()
	s, err := reader.New(reader.Config{URL: url, Gather: -1})
	if err != nil {
		e.t.Fatal(err)
	}
	defer s.Close()
	if err := reader.CheckSource(source); err != nil {
		e.t.Errorf("%+v: %v", source, err)
	}
	c := analysis.Criterion{Name: "own", Source: source, Limits: analysis.Limits{Interval: 5 * time.Second, Errors: 4}}
	cfg := analysis.Default()
	cfg.Criteria = []analysis.Criterion{c}
	q := analysis.Query{
		Metric: c.Name, Ratio: source.Ratio, Histogram: source.Histogram, Condition: source.Condition,
		From: e.end.Add(-looks * 5 * time.Second), Until: e.end, Oldest: 15 * time.Second,
		Arms: analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
	}
	read := analysis.Read{Metric: c.Name}
	if q.Condition != nil {
		var one analysis.Measurement
		one, read.Err = s.Measure(e.t.Context(), q)
		read.Measurement = &one
	} else {
		read.Series, read.Err = s.Series(e.t.Context(), q)
	}
	since := e.end.Add(-looks * 5 * time.Second)
	m := analysis.Moment{At: e.end, Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: since, Settled: since}
	_, report := analysis.Judge(cfg, analysis.Evidence{}, analysis.Collect(cfg, analysis.Evidence{}, m, []analysis.Read{read}))
	return read, report
}

// sums are what the newest samples of each arm and role count, over the pods, and how many series there are.
func sums(all []analysis.Series) map[string]string {
	n, sum := map[string]int{}, map[string]float64{}
	for _, s := range all {
		key := fmt.Sprint(s.Arm, " ", s.Role)
		if s.Role == analysis.Within {
			key += fmt.Sprint(" ", s.Le)
		}
		n[key]++
		sum[key] += s.Points[len(s.Points)-1].V
	}
	out := map[string]string{}
	for key := range n {
		out[key] = fmt.Sprintf("%d: %v", n[key], sum[key])
	}
	return out
}

func reasonOf(err error) analysis.Reason {
	if f, ok := errors.AsType[*reader.Failure](err); ok {
		return f.BlindReason()
	}
	return ""
}

// TestForms_ofCountersAsTheEngineAnswers reads ratios and histograms from Prometheus's own code.
func TestForms_ofCountersAsTheEngineAnswers(t *testing.T) {
	e := remembering(t)
	warning := e.warning()
	ratio := func(bad, total string) analysis.Source {
		return analysis.Source{Ratio: &analysis.Ratio{Bad: bad, Total: total}}
	}
	buckets := func(selector string) analysis.Source {
		return analysis.Source{Histogram: &analysis.Histogram{Buckets: selector}}
	}
	checkout := ratio(`checkout_total{version="{{subset}}",result="failed"}`, `checkout_total{version="{{subset}}",result="all"}`)
	both := map[string]string{"canary total": "2: 200", "canary bad": "2: 80", "stable total": "2: 200", "stable bad": "2: 20"}
	for name, c := range map[string]struct {
		source analysis.Source
		url    string
		want   map[string]string
		reason analysis.Reason
	}{
		"ratio":                       {checkout, e.url, both, ""},
		"ratio of one pod":            {ratio(`checkout_total{version="{{subset}}",result="failed",instance=~"p1"}`, `checkout_total{version="{{subset}}",result="all",instance!="p2"}`), e.url, map[string]string{"canary total": "1: 100", "canary bad": "1: 40", "stable total": "1: 100", "stable bad": "1: 10"}, ""},
		"ratio without bad":           {ratio(`checkout_total{version="{{subset}}",result="never"}`, `checkout_total{version="{{subset}}",result="all"}`), e.url, map[string]string{"canary total": "2: 200", "stable total": "2: 200"}, ""},
		"ratio of nothing":            {ratio(`none_total{version="{{subset}}",result="failed"}`, `none_total{version="{{subset}}"}`), e.url, map[string]string{}, ""},
		"ratio of NaN":                {ratio(`odd_total{version="{{subset}}",a=""}`, `odd_total{version="{{subset}}"}`), e.url, nil, analysis.NotFinite},
		"ratio of a gauge below zero": {ratio(`gauge{version="{{subset}}",a=""}`, `gauge{version="{{subset}}"}`), e.url, nil, analysis.NotCounter},
		"ratio of a native histogram": {ratio(`native_seconds{version="{{subset}}",a=""}`, `native_seconds{version="{{subset}}"}`), e.url, nil, analysis.WrongType},
		"ratio with warnings":         {checkout, warning, nil, analysis.Warnings},
		"histogram":                   {buckets(`http_seconds_bucket{version="{{subset}}"}`), e.url, map[string]string{"canary within 100": "2: 120", "canary within 500": "2: 190", "canary within +Inf": "2: 200", "stable within 100": "2: 180", "stable within 500": "2: 190", "stable within +Inf": "2: 200"}, ""},
		"histogram without common le": {buckets(`lone_seconds_bucket{version="{{subset}}"}`), e.url, nil, analysis.WrongType},
		"histogram that has no le":    {buckets(`checkout_total{version="{{subset}}"}`), e.url, nil, analysis.WrongType},
		"histogram of native ones":    {buckets(`native_seconds{version="{{subset}}"}`), e.url, nil, analysis.WrongType},
		"histogram of nothing":        {buckets(`none_bucket{version="{{subset}}"}`), e.url, map[string]string{}, ""},
		"histogram with warnings":     {buckets(`http_seconds_bucket{version="{{subset}}"}`), warning, nil, analysis.Warnings},
	} {
		read, report := e.look(c.url, c.source)
		if reasonOf(read.Err) != c.reason || (read.Err == nil) != (c.reason == "") {
			t.Errorf("%s: %v, want reason %q", name, read.Err, c.reason)
		}
		if diff := cmp.Diff(c.want, sums(read.Series)); read.Err == nil && diff != "" {
			t.Errorf("%s: series and sums (-want +got):\n%s", name, diff)
		}
		if report.Verdict == analysis.Promote || (report.Verdict == analysis.Rollback && read.Err != nil) {
			t.Errorf("%s: %s by one look", name, report.Verdict)
		}
	}
}

// TestForms_ofConditionsAsTheEngineAnswers measures conditions on Prometheus's own code.
func TestForms_ofConditionsAsTheEngineAnswers(t *testing.T) {
	e := remembering(t)
	warning := e.warning()
	const mine = `{version="{{subset}}"}`
	for query, c := range map[string]struct {
		url, pass string
		value     float64
		outcome   analysis.Outcome
		reason    analysis.Reason
	}{
		`sum(queue_depth` + mine + `)`:                                                     {e.url, "value < 100.0", 80, analysis.OutcomePass, ""},
		`sum(queue_depth` + mine + `) # of both pods`:                                      {e.url, "value < 1.5 * stable", 80, analysis.OutcomeFail, ""},
		`scalar(sum(queue_depth` + mine + `))`:                                             {e.url, "value < 4.5 * stable", 80, analysis.OutcomePass, ""},
		`max by (version) (queue_depth` + mine + `)`:                                       {e.url, "value > 39.0", 40, analysis.OutcomePass, ""},
		`sum(delta(queue_depth` + mine + `[20s]))`:                                         {e.url, "value > 0.0", 0, analysis.OutcomePass, ""}, // the value is the engine's own
		`sum(rate(queue_depth` + mine + `[20s]))`:                                          {e.url, "value > 0.0", 0, analysis.OutcomePass, ""}, // it has infos: no counter by its name
		`max_over_time(sum(queue_depth` + mine + `)[1m:]) or sum(queue_depth` + mine + `)`: {e.url, "value > 0.0", 0, analysis.OutcomePass, ""}, // without a step: the server's own, whole minutes
		`queue_depth` + mine:                                                               {e.url, "true", 0, "", analysis.TooManySeries},
		`sum by (instance) (queue_depth` + mine + `)`:                                      {e.url, "true", 0, "", analysis.TooManySeries},
		`queue_depth` + mine + `[1m]`:                                                      {e.url, "true", 0, "", analysis.WrongType},
		`native_seconds` + mine:                                                            {e.url, "true", 0, "", analysis.WrongType},
		`sum(no_such` + mine + `)`:                                                         {e.url, "true", 0, "", analysis.NoSeries},
		`no_such_function(queue_depth` + mine + `)`:                                        {e.url, "true", 0, "", analysis.QueryRejected},
		`sum(queue_depth` + mine:                                                           {e.url, "true", 0, "", analysis.QueryRejected},
		`sum(queue_depth` + mine + `) * NaN`:                                               {e.url, "true", 0, "", analysis.NotFinite},
		`sum(queue_depth` + mine + `) / 0`:                                                 {e.url, "true", 0, "", analysis.NotFinite},
		`sum(mixed` + mine + `)`:                                                           {e.url, "true", 0, "", analysis.Warnings},
		`histogram_quantile(1.5, sum by (le) (http_seconds_bucket` + mine + `))`:           {e.url, "true", 0, "", analysis.Warnings},
		`avg(queue_depth` + mine + `)`:                                                     {warning, "true", 0, "", analysis.Warnings},
	} {
		read, report := e.look(c.url, analysis.Source{Condition: &analysis.Condition{Query: query, Pass: c.pass}})
		if reasonOf(read.Err) != c.reason || (read.Err == nil) != (c.reason == "") {
			t.Errorf("%s: %v, want reason %q", query, read.Err, c.reason)
		}
		if m := read.Measurement; m.Outcome != c.outcome || (c.value != 0 && m.Value != c.value) {
			t.Errorf("%s: %+v, want %v %s", query, m, c.value, c.outcome)
		}
		if report.Verdict == analysis.Promote || report.Verdict == analysis.Rollback && c.outcome != analysis.OutcomeFail {
			t.Errorf("%s: %s by one look", query, report.Verdict)
		}
	}
	e.end = e.end.Add(16 * time.Second) // three intervals are 15 s
	for query, want := range map[string]analysis.Reason{
		`sum(queue_depth` + mine + `)`:                     analysis.NoSeries,
		`sum(last_over_time(queue_depth` + mine + `[1m]))`: "",
	} {
		if read, _ := e.look(e.url, analysis.Source{Condition: &analysis.Condition{Query: query, Pass: "value < 100.0"}}); reasonOf(read.Err) != want {
			t.Errorf("%s, 16 s later: %v, want %q", query, read.Err, want)
		}
	}
}
