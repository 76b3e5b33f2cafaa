package prom_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	reader "github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/standalone/prom"
	"github.com/sluice-dev/sluice/test/poll"
)

// odd are values of a variable that would end a string, a matcher or a query, if any of them were ever parsed.
func odd() []string {
	return []string{`card`, `"} or vector(1) #`, `a\`, `\"`, "`", `'`, `{{subset}}`, `.*`, `(`, `[5m]`, `a|b`, `é ☃`}
}

// shop exports checkouts of two versions: v1 never fails, half of v2's fail; each flow counts for itself.
func shop(t *testing.T) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	mux := http.NewServeMux()
	scrapes := 0
	mux.HandleFunc("GET "+prom.Path, func(w http.ResponseWriter, _ *http.Request) {
		scrapes++ // one scraper
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintln(w, "# TYPE checkout_total counter")
		for _, flow := range odd() {
			for _, version := range []string{"v1", "v2"} {
				fmt.Fprintf(w, "checkout_total{version=%q,flow=\"%s\",result=\"ok\"} %d\n", version, quote.Replace(flow), 10*scrapes)
			}
			fmt.Fprintf(w, "checkout_total{version=\"v2\",flow=\"%s\",result=\"failed\"} %d\n", quote.Replace(flow), 10*scrapes)
		}
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return strings.TrimPrefix(web.URL, "http://")
}

// TestTemplate_isAskedAsWritten asks the real engine by a template, with every odd value, under = and under =~.
func TestTemplate_isAskedAsWritten(t *testing.T) {
	p := start(t, t.TempDir())
	defer stop(t, p)
	p.Targets(prom.Target{Address: shop(t)})
	server, err := reader.New(reader.Config{URL: p.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, op := range []string{"=", "=~"} {
		for _, flow := range odd() {
			ratio := analysis.Ratio{
				Bad:   `checkout_total{version="{{subset}}",flow` + op + `"{{flow}}",result="failed"}`,
				Total: `checkout_total{version="{{subset}}",flow` + op + `"{{flow}}"}`,
				Args:  map[string]string{"flow": flow},
			}
			if err := reader.CheckRatio(ratio); err != nil {
				t.Errorf("flow%s%q: %v", op, flow, err)
				continue
			}
			got := map[string]int{} // arm and role: series
			err := poll.Until(15*time.Second, func() error {
				clear(got)
				now := time.Now()
				all, err := server.Series(t.Context(), analysis.Query{
					Metric: "checkout", Ratio: &ratio, From: now.Add(-time.Minute), Until: now,
					Arms: analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
				})
				if err != nil {
					return err
				}
				for _, s := range all {
					got[string(s.Arm)+" "+string(s.Role)]++
				}
				if len(all) == 0 {
					return errors.New("nothing is scraped yet")
				}
				return nil
			})
			if err != nil || got["canary total"] != 2 || got["canary bad"] != 1 || got["stable total"] != 1 || got["stable bad"] != 0 {
				t.Errorf("flow%s%q: %v, series %v", op, flow, err, got)
			}
		}
	}
}
