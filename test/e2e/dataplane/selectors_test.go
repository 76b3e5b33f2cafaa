package dataplane

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// sample is a line of what Envoy exports; its name is a label as any other.
type sample struct {
	labels map[string]string
	value  string
}

// exported reads Envoy's page for Prometheus.
func exported(t *testing.T, page string) []sample {
	t.Helper()
	line := regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$`)
	pair := regexp.MustCompile(`([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")`)
	var out []sample
	for text := range strings.Lines(page) {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		parts := line.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("Envoy exports the line %q", text)
		}
		s := sample{map[string]string{"__name__": parts[1]}, parts[3]}
		for _, p := range pair.FindAllStringSubmatch(parts[2], -1) {
			value, err := strconv.Unquote(p[2])
			if err != nil {
				t.Fatalf("Envoy exports the label %s: %v", p[0], err)
			}
			s.labels[p[1]] = value
		}
		out = append(out, s)
	}
	return out
}

// selects tells whether a selector with a range picks a sample: a label that is missing is empty, and regular expressions
// match from end to end.
func selects(t *testing.T, query string, s sample) bool {
	inner := regexp.MustCompile(`^\{(.*)\}\[\d+s\]$`).FindStringSubmatch(query)
	if inner == nil {
		t.Errorf("asked %s, which is no selector with a range", query)
		return false
	}
	matcher := regexp.MustCompile(`^([a-zA-Z_]\w*)(=~|=)("(?:[^"\\]|\\.)*"),?`)
	for rest := inner[1]; rest != ""; {
		m := matcher.FindStringSubmatch(rest)
		if m == nil {
			t.Errorf("asked %s, which cannot be read from %s on", query, rest)
			return false
		}
		rest = rest[len(m[0]):]
		want, err := strconv.Unquote(m[3])
		if err != nil {
			t.Errorf("asked %s: %v", query, err)
			return false
		}
		is := s.labels[m[1]]
		if (m[2] == "=" && is != want) || (m[2] == "=~" && !regexp.MustCompile(`^(?s:`+want+`)$`).MatchString(is)) {
			return false
		}
	}
	return true
}

// replay is a server of one scrape of Envoy. It keeps what its queries picked.
type replay struct {
	t  *testing.T
	at time.Time

	mu     sync.Mutex // guards all below
	page   []sample
	picked []sample
}

// ServeHTTP implements http.Handler.
func (r *replay) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	type row struct {
		Metric map[string]string `json:"metric"`
		Values [][2]any          `json:"values"`
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := []row{}
	for _, s := range r.page {
		if selects(r.t, in.FormValue("query"), s) {
			r.picked = append(r.picked, s)
			rows = append(rows, row{s.labels, [][2]any{{r.at.Unix() - 1, s.value}}})
		}
	}
	data := map[string]any{"resultType": "matrix", "result": rows}
	if err := json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}); err != nil {
		r.t.Error(err)
	}
}

// read asks as the controller does for a built-in metric of both versions. It gives what each arm counts, and the series
// that the server found for it.
func (r *replay) read(s *prom.Server, metric string, page []sample) (counts map[string]float64, picked []sample) {
	r.t.Helper()
	r.mu.Lock()
	r.page, r.picked = page, nil
	r.mu.Unlock()
	all, err := s.Series(r.t.Context(), analysis.Query{
		Metric: metric, From: r.at.Add(-time.Minute), Until: r.at,
		Arms: analysis.Arms{Canary: []string{clusterOf("v2")}, Stable: []string{clusterOf("v1")}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	counts = map[string]float64{}
	for _, one := range all {
		key := string(one.Arm) + " " + string(one.Role)
		if one.Role == analysis.Within && !math.IsInf(one.Le, 1) {
			continue
		}
		if _, twice := counts[key]; twice {
			r.t.Errorf("%s: %s has several series", metric, key)
		}
		counts[key] = one.Points[0].V
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return counts, r.picked
}

func clusterOf(subset string) string { return "outbound|8080|" + subset + "|" + host }

// tally counts the answers of each version by their class, "2" to "5", as a client sees them; all of them under "".
func (e *edge) tally(n int) map[string]map[string]float64 {
	e.t.Helper()
	out := map[string]map[string]float64{"v1": {}, "v2": {}}
	for range n {
		resp, err := http.Get(e.url)
		if err != nil {
			e.t.Fatal(err)
		}
		resp.Body.Close()
		of := out[resp.Header.Get(load.VersionHeader)]
		if of == nil {
			e.t.Fatalf("an answer %d of no version", resp.StatusCode)
		}
		of[""]++
		of[strconv.Itoa(resp.StatusCode/100)]++
	}
	return out
}

// TestEnvoy_exportsWhatBuiltInMetricsSelect holds the selectors of the built-in metrics against what an Envoy with our
// bootstrap exports: they pick the series of both versions, each exactly once and for its arm, and no other; what they count is
// what the client saw.
func TestEnvoy_exportsWhatBuiltInMetricsSelect(t *testing.T) {
	e := startFrom(t, serve(t, "127.0.0.1:0"), backends{"v1": versioned(t, "v1"), "v2": versioned(t, "v2")}, 30, bootstrap.TLS{})
	seen := e.tally(200)
	r := &replay{t: t, at: time.Unix(1_700_000_000, 0)}
	web := httptest.NewServer(r)
	t.Cleanup(web.Close)
	s, err := prom.New(prom.Config{URL: web.URL, Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for metric, want := range map[string]map[string]float64{
		"errors": {
			"canary total": seen["v2"][""], "canary bad": seen["v2"]["5"], "stable total": seen["v1"][""], "stable bad": seen["v1"]["5"],
		},
		"clientErrors": {
			"canary total": seen["v2"][""], "canary bad": seen["v2"]["4"], "stable total": seen["v1"][""], "stable bad": seen["v1"]["4"],
		},
		"latency": {"canary within": seen["v2"][""], "stable within": seen["v1"][""]},
	} {
		var page, picked []sample
		err := poll.Until(patience, func() error { // an answer is counted a moment after it was given
			text, err := e.envoy.Get("/stats/prometheus")
			if err != nil {
				return err
			}
			var got map[string]float64
			page = exported(t, string(text))
			if got, picked = r.read(s, metric, page); !cmp.Equal(want, got) {
				return fmt.Errorf("%s (-client +read):\n%s", metric, cmp.Diff(want, got))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			continue
		}
		checkPicked(t, metric, page, picked)
	}
}

// checkPicked holds what was picked against the names that the series of a built-in metric have.
func checkPicked(t *testing.T, metric string, page, picked []sample) {
	t.Helper()
	own := []string{clusterOf("v1"), clusterOf("v2")}
	class := map[string]string{"errors": "5", "clientErrors": "4"}[metric]
	names := map[string]bool{}
	var want []string
	for _, s := range page {
		name, cluster := s.labels["__name__"], s.labels["envoy_cluster_name"]
		latency := metric == "latency" && name == "envoy_cluster_upstream_rq_time_bucket"
		count := metric != "latency" && (name == "envoy_cluster_upstream_rq_completed" ||
			(name == "envoy_cluster_upstream_rq_xx" && s.labels["envoy_response_code_class"] == class))
		if !latency && !count {
			continue
		}
		if slices.Contains(own, cluster) {
			want = append(want, identity(s))
		} else {
			names[name] = true
		}
	}
	var got []string
	for _, s := range picked {
		got = append(got, identity(s))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 4 {
		t.Errorf("%s: series (-of both versions +picked):\n%s", metric, diff)
	}
	if len(names) == 0 && metric != "latency" { // Envoy exports no times of a cluster that answered nothing
		t.Errorf("%s: no other cluster has such series, so nothing is shown by leaving them out", metric)
	}
}

// identity is a series as text.
func identity(s sample) string { return fmt.Sprint(s.labels) }
