package prom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/test/poll"
)

const interval = 250 * time.Millisecond // and within which a scrape has to be answered

// exporter counts its own scrapes: the n-th one reads n.
type exporter struct {
	*httptest.Server
	scrapes atomic.Int64
}

func newExporter(t *testing.T) *exporter {
	e := &exporter{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prom.Path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE scrapes_total counter\nscrapes_total{envoy_cluster_name=\"outbound|80|v1|a.b\"} %d\n", e.scrapes.Add(1))
	})
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) address() string { return strings.TrimPrefix(e.URL, "http://") }

func start(t *testing.T, dir string) *prom.Prometheus {
	t.Helper()
	p, err := prom.Start(t.Context(), prom.Config{Dir: dir, Interval: interval})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stop(t *testing.T, p *prom.Prometheus) {
	t.Helper()
	if err := p.Stop(context.Background()); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// series is one series of an answer: labels and [seconds, "value"] pairs.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
	Values [][2]any          `json:"values"`
}

func query(t *testing.T, p *prom.Prometheus, q string) ([]series, error) {
	t.Helper()
	resp, err := http.Get(p.URL() + "/api/v1/query?query=" + url.QueryEscape(q))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status string
		Error  string
		Data   struct{ Result []series }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return answer.Data.Result, nil
}

// samples waits until the raw samples of the exporter's counter are at least n and gives its one series.
func samples(t *testing.T, p *prom.Prometheus, n int) series {
	t.Helper()
	var out series
	err := poll.Until(15*time.Second, func() error {
		got, err := query(t, p, "scrapes_total[5m]")
		if err != nil {
			return err
		}
		if len(got) != 1 || len(got[0].Values) < n {
			return fmt.Errorf("got %v, want one series of %d samples", got, n)
		}
		out = got[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkConsecutive wants each scrape there once, in order, but for those that Prometheus itself says have failed.
func checkConsecutive(t *testing.T, p *prom.Prometheus, s series) {
	t.Helper()
	last, lost := 0, 0
	for i, v := range s.Values {
		n, err := strconv.Atoi(v[1].(string))
		if err != nil || n <= last {
			t.Errorf("sample %d is %v after %d, %v", i, v[1], last, err)
		}
		last, lost = n, lost+n-last-1
		if i > 0 && v[0].(float64) <= s.Values[i-1][0].(float64) {
			t.Errorf("sample %d is at %v, not after the one before", i, v[0])
		}
	}
	ups, err := query(t, p, `up{job="envoy"}[5m]`)
	if err != nil || len(ups) != 1 {
		t.Fatalf("whether it was up: %v, %v", ups, err)
	}
	failed := 0
	for _, v := range ups[0].Values {
		if v[1] == "0" {
			failed++
		}
	}
	if lost > failed {
		t.Errorf("%d of %d scrapes are missing, %d have failed: %v", lost, last, failed, s.Values)
	}
}

func TestQuery_rawRangeGivesEachSampleAsScraped(t *testing.T) {
	e := newExporter(t)
	p := start(t, t.TempDir())
	defer stop(t, p)
	p.Targets(prom.Target{Address: e.address(), Labels: map[string]string{"proxy": "gw-1"}})
	s := samples(t, p, 5)
	checkConsecutive(t, p, s)
	want := map[string]string{
		"__name__": "scrapes_total", "envoy_cluster_name": "outbound|80|v1|a.b", "instance": e.address(), "job": "envoy", "proxy": "gw-1",
	}
	for name, value := range want {
		if s.Metric[name] != value {
			t.Errorf("label %s is %q, want %q", name, s.Metric[name], value)
		}
	}
}

func TestStart_keepsTheSamplesOfTheLastRun(t *testing.T) {
	e, dir := newExporter(t), t.TempDir()
	p := start(t, dir)
	p.Targets(prom.Target{Address: e.address()})
	before := samples(t, p, 3)
	stop(t, p)

	p = start(t, dir)
	defer stop(t, p)
	after := samples(t, p, len(before.Values))
	for i, v := range before.Values {
		if after.Values[i] != v {
			t.Errorf("sample %d was %v, is %v", i, v, after.Values[i])
		}
	}
}

func TestTargets_aStoppedTargetIsDownAndAGoneOneEnds(t *testing.T) {
	e := newExporter(t)
	p := start(t, t.TempDir())
	defer stop(t, p)
	p.Targets(prom.Target{Address: e.address()})
	samples(t, p, 1)
	e.Close()
	await := func(q string, want int) {
		t.Helper()
		err := poll.Until(15*time.Second, func() error {
			got, err := query(t, p, q)
			if err == nil && len(got) != want {
				err = fmt.Errorf("%s: got %v, want %d series", q, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await(`up{job="envoy"} == 0`, 1)
	await("scrapes_total", 0) // ended by the failed scrape, not after five minutes
	p.Targets()
	await(`up{job="envoy"}`, 0)
}

func TestAPI_refusesWrites(t *testing.T) {
	p := start(t, t.TempDir())
	defer stop(t, p)
	resp, err := http.Post(p.URL()+"/api/v1/write", "application/x-protobuf", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a remote write gives %s, want 404", resp.Status)
	}
}
