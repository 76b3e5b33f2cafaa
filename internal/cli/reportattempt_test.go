package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// samplesOf answers as a Prometheus that has scraped one proxy every 5 s since begin: 15 requests to v3 with 3 failures
// and 85 to v2 each time. Asked for another time it holds nothing.
func samplesOf(t *testing.T, namespace string, begin time.Time) *httptest.Server {
	t.Helper()
	series := func(name, subset, class string, each int, from, until time.Time) string {
		var points []string
		for i := range 60 {
			at := begin.Add(time.Duration(5*i) * time.Second)
			if at.After(from) && !at.After(until) {
				points = append(points, fmt.Sprintf(`[%d,"%d"]`, at.Unix(), i*each))
			}
		}
		if len(points) == 0 {
			return ""
		}
		if class != "" {
			class = fmt.Sprintf(`,"envoy_response_code_class":%q`, class)
		}
		return fmt.Sprintf(`{"metric":{"__name__":%q,"envoy_cluster_name":"outbound|80|%s|told.%s.svc.cluster.local","job":"envoy","instance":"gw"%s},"values":[%s]}`,
			name, subset, namespace, class, strings.Join(points, ","))
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		at, _ := strconv.ParseFloat(r.FormValue("time"), 64)
		until := time.UnixMilli(int64(at * 1000))
		_, length, _ := strings.Cut(query[strings.LastIndex(query, "["):], "[")
		back, _ := time.ParseDuration(strings.TrimRight(strings.Split(length, ":")[0], "]"))
		var all []string
		for _, s := range []struct {
			name, subset, class string
			each                int
		}{
			{"envoy_cluster_upstream_rq_completed", "v3", "", 15}, {"envoy_cluster_upstream_rq_completed", "v2", "", 85}, {"envoy_cluster_upstream_rq_xx", "v3", "5", 3},
		} {
			if text := series(s.name, s.subset, s.class, s.each, until.Add(-back), until); text != "" && (strings.Contains(query, s.name) || strings.Contains(query, "|")) && !strings.Contains(query, "bucket") {
				all = append(all, text)
			}
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(all, ","))
	}))
	t.Cleanup(web.Close)
	return web
}

func TestReport_tellsAnAttempt(t *testing.T) {
	d := newDesk(t)
	st := rolledBack()
	begin := since.Add(61 * time.Second)
	st.History = []v1alpha1.HistoryEntry{
		{Attempt: 2, Name: "v3", Commit: "c07aa19f00", StartedAt: metav1.NewMicroTime(begin), EndedAt: metav1.NewMicroTime(begin.Add(2 * time.Minute)), Outcome: v1alpha1.OutcomeRolledBack, Reason: "RegressionDetected", Step: 1, Text: "errors 20.0% (72/360) against 0% (0/2040)"},
		{Attempt: 1, Name: "v2", StartedAt: since, EndedAt: since, Outcome: v1alpha1.OutcomeCompleted, Reason: "Completed", Step: 3},
	}
	d.put(t, "told", st)
	d.happen(t, "told", "WeightRequested", "step 1/3 (15%): asking for 15% on v3", 0)
	d.happen(t, "told", "RegressionDetected", "rolled back to v2 at step 1/3 (15%): errors", 2)
	server := samplesOf(t, d.ns, begin)
	with := func(args ...string) []string {
		return append([]string{"report", "told", "--prometheus", server.URL}, args...)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
		errs string
	}{
		{"md", with(), 0, []string{"**rolled back to v2 at step 1/3 (15%): errors 20.0% (72/360)", "| 1 | 15% |", "## Evidence over time", "h that it is worse", "envoy_cluster_upstream_rq_completed", "which was rejected"}, ""},
		{"html", with("-o", "html"), 0, []string{"<!doctype html>", "<svg ", "</svg>rolled back</span>", "</html>"}, ""},
		{"svg", with("-o", "svg"), 0, []string{"<svg ", "<title>rolled back to v2"}, ""},
		{"no server", []string{"report", "told"}, 0, []string{"## What is not known", "no Prometheus named default is known here"}, ""},
		{"no server, picture", []string{"report", "told", "-o", "svg"}, 1, nil, "next: name it by --prometheus URL"},
		{"server is gone", []string{"report", "told", "-o", "svg", "--prometheus", "http://127.0.0.1:1"}, 6, nil, "Unreachable"},
		{"an attempt without times", with("--attempt", "1", "-o", "png"), 1, nil, "it is not known when which weight began"},
		{"no such attempt", with("--attempt", "9"), 1, nil, "known are 2, 1"},
		{"no such rollout", []string{"report", "nobody"}, 5, nil, "nobody"},
		{"no such metric", with("--metric", "nothing", "-o", "svg"), 1, nil, "nothing is known of metric nothing"},
		{"form", with("-o", "pdf"), 2, nil, "want md, html, json, svg, png"},
		{"mixed", []string{"report", "told", "--scenario", "-o", "md"}, 2, nil, "--output means nothing with --scenario"},
		{"attempt 0", with("--attempt", "0"), 2, nil, "counted from 1"},
	} {
		code, out, errs := d.run(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.name, code, errs, c.code, c.errs)
		}
		for _, part := range c.says {
			if !strings.Contains(out, part) {
				t.Errorf("%s: no %q in:\n%.6000s", c.name, part, out)
			}
		}
	}
	_, out, errs := d.run(t, with("-o", "png")...)
	if _, err := png.Decode(bytes.NewReader([]byte(out))); err != nil {
		t.Errorf("the png: %v, %s", err, errs)
	}
	_, out, _ = d.run(t, with("-o", "json")...)
	r := view.EvidenceReport{}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	c := r.Story.Curves
	if c == nil || c.Metric != "errors" || len(c.Points) < 10 || c.Points[len(c.Points)-1].Harm < 4.6 || c.Alpha != 0.01 {
		t.Errorf("curves %+v: want those of errors, with harm up to the limit", c)
	}
	if c != nil && c.Points[0].Harm > 1 {
		t.Errorf("harm was there from the start: %+v", c.Points[0])
	}
}

// Samples of another time are none of the attempt's.
func TestReport_withoutSamplesOfThatTimeSaysSo(t *testing.T) {
	d := newDesk(t)
	st := rolledBack()
	st.History = []v1alpha1.HistoryEntry{{Attempt: 2, Name: "v3", StartedAt: since, EndedAt: metav1.NewMicroTime(since.Add(time.Minute)), Outcome: v1alpha1.OutcomeRolledBack, Step: 1},
		{Attempt: 1, Name: "v2", StartedAt: since, EndedAt: since, Outcome: v1alpha1.OutcomeCompleted, Step: 3}}
	d.put(t, "told", st)
	server := samplesOf(t, d.ns, since.Add(24*time.Hour))
	code, out, errs := d.run(t, "report", "told", "--prometheus", server.URL)
	if code != 0 || !strings.Contains(out, "holds no samples of both versions") || strings.Contains(out, "## Evidence over time") {
		t.Errorf("exit %d, %s\n%s", code, errs, out)
	}
	if code, _, errs := d.run(t, "report", "told", "--prometheus", server.URL, "-o", "png"); code != 1 || !strings.Contains(errs, "holds no samples") {
		t.Errorf("the picture: exit %d, %s", code, errs)
	}
}
