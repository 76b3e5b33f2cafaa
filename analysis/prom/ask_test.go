package prom

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// The age that a condition's samples may have is said with each of its queries, for both versions; what is younger than the
// server's own five minutes only, as a longer one would take in what the server holds for stale.
func TestMeasure_saysHowOldASampleMayBe(t *testing.T) {
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if r.Method == http.MethodPost && r.Header.Get("Refuse") != "" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		said, given := r.Form["lookback_delta"]
		asked = append(asked, fmt.Sprint(r.Method, " ", given, said))
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1000,"1"]}}`)
	}))
	defer web.Close()
	for _, byGet := range []bool{false, true} {
		cfg, method := Config{URL: web.URL}, "POST"
		if byGet {
			cfg.Headers, method = []Header{{Name: "Refuse", Value: "POST"}}, "GET"
		}
		server, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for oldest, want := range map[time.Duration]string{
			0:                       " false []", // as the server holds it
			15 * time.Second:        " true [15000ms]",
			1500 * time.Millisecond: " true [1500ms]",
			5*time.Minute - 1e6:     " true [299999ms]",
			5 * time.Minute:         " false []",
			time.Hour:               " false []",
		} {
			asked = nil
			_, err := server.Measure(t.Context(), analysis.Query{
				Metric: "queue", Until: time.Unix(1000, 0), Oldest: oldest,
				Condition: &analysis.Condition{Query: `q{v="{{subset}}"}`, Pass: "value < 2.0 * stable"},
				Arms:      analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
			})
			if err != nil || len(asked) != 2 || asked[0] != method+want || asked[1] != method+want {
				t.Errorf("oldest %v: asked %q, %v; want twice %q", oldest, asked, err, method+want)
			}
		}
		server.Close()
	}
}
