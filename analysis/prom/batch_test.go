package prom_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

func cluster(subset string, i int) string {
	return fmt.Sprintf("outbound|8080|%s|shop-%d.default.svc.cluster.local", subset, i)
}

func queryOf(i int) analysis.Query {
	q := query()
	q.Arms = analysis.Arms{Canary: []string{cluster("v2", i)}, Stable: []string{cluster("v1", i)}}
	return q
}

// together asks for many at once and gives what each got.
func together(t *testing.T, s *prom.Server, n int) ([][]analysis.Series, []error) {
	t.Helper()
	out, errs := make([][]analysis.Series, n), make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { out[i], errs[i] = s.Series(t.Context(), queryOf(i)) })
	}
	running.Wait()
	return out, errs
}

func newServer(t *testing.T, handler http.HandlerFunc) *prom.Server {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	s, err := prom.New(prom.Config{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// asked are the numbers of those whose clusters a query names.
func asked(r *http.Request) []int {
	_ = r.ParseForm()
	var out []int
	for i := range 100 {
		if strings.Contains(r.PostForm.Get("query"), fmt.Sprintf(`|shop-%d\`, i)) || strings.Contains(r.PostForm.Get("query"), fmt.Sprintf(`|shop-%d.`, i)) {
			out = append(out, i)
		}
	}
	return out
}

func both(i int, value string) string {
	return series(completed, cluster("v2", i), "", "", `[1005,"`+value+`"]`) + "," + series(completed, cluster("v1", i), "", "", fmt.Sprintf(`[1005,"%d"]`, 100+i))
}

func TestSeries_manyAreAskedForTogether(t *testing.T) {
	var queries atomic.Int64
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		queries.Add(1)
		var all []string
		for _, i := range asked(r) {
			all = append(all, both(i, fmt.Sprint(i)))
		}
		answer(200, success(all...))(w, r)
	})
	got, errs := together(t, s, 50)
	for i := range got {
		if errs[i] != nil || len(got[i]) != 2 || got[i][0].Points[0].V != float64(i) || got[i][1].Points[0].V != float64(100+i) {
			t.Errorf("%d: got %+v, %v", i, got[i], errs[i])
		}
	}
	if n := queries.Load(); n > 5 {
		t.Errorf("%d queries for 50", n)
	}
}

func TestSeries_badDataOfOneHarmsNoOther(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		var all []string
		for _, i := range asked(r) {
			all = append(all, both(i, map[int]string{3: "NaN", 5: "-1"}[i]+map[bool]string{true: "", false: "7"}[i == 3 || i == 5]))
		}
		answer(200, success(all...))(w, r)
	})
	got, errs := together(t, s, 8)
	for i := range got {
		want := map[int]analysis.Reason{3: analysis.NotFinite, 5: analysis.NotCounter}[i]
		if reason(errs[i]) != want || (want == "" && len(got[i]) != 2) {
			t.Errorf("%d: got %+v, %v, want %q", i, got[i], errs[i], want)
		}
	}
}

func TestSeries_whatFailsTogetherIsAskedForAlone(t *testing.T) {
	var most atomic.Int64
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		all := asked(r)
		most.Store(max(most.Load(), int64(len(all))))
		for _, i := range all {
			if i == 4 { // too much for the server
				answer(422, `{"status":"error","errorType":"execution","error":"too many samples"}`)(w, r)
				return
			}
		}
		var text []string
		for _, i := range all {
			text = append(text, both(i, "7"))
		}
		answer(200, success(text...))(w, r)
	})
	_, errs := together(t, s, 8)
	for i, err := range errs {
		if reason(err) != analysis.QueryRejected {
			t.Errorf("%d, together: %v", i, err)
		}
	}
	for range 3 {
		most.Store(0)
		got, errs := together(t, s, 8)
		for i := range got {
			if want := i != 4; want != (errs[i] == nil && len(got[i]) == 2) {
				t.Errorf("%d, alone: got %+v, %v", i, got[i], errs[i])
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d were asked for together", most.Load())
		}
	}
}

func TestSeries_isNotEndedByAnotherThatIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer(200, success(both(1, "7")))(w, r)
	})
	first, cancel := timeout(t, 100*time.Millisecond)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := s.Series(first, queryOf(0)); reason(err) != analysis.Timeout {
			t.Errorf("the one that was given up: %v", err)
		}
		close(release)
	})
	running.Go(func() {
		if got, err := s.Series(t.Context(), queryOf(1)); err != nil || len(got) != 2 {
			t.Errorf("the other: %v, %v", got, err)
		}
	})
	running.Wait()
}

func TestSeries_ofLatencyReadsBuckets(t *testing.T) {
	bucket := func(cluster, le, value string) string {
		return series("envoy_cluster_upstream_rq_time_bucket", cluster, "", `,"le":"`+le+`"`, `[1005,"`+value+`"]`)
	}
	q := query()
	q.Metric = "latency"
	read := func(all ...string) ([]analysis.Series, error) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			if !strings.HasPrefix(r.PostForm.Get("query"), `{__name__="envoy_cluster_upstream_rq_time_bucket",envoy_cluster_name=~"outbound`) {
				t.Errorf("asked %s", r.PostForm.Get("query"))
			}
			answer(200, success(all...))(w, r)
		})
		return s.Series(t.Context(), q)
	}
	got, err := read(bucket(canary, "25", "4"), bucket(canary, "+Inf", "9"), bucket(stable, "25", "40"), bucket(stable, "+Inf", "90"))
	target := `"envoy"/"gw-1"`
	one := func(arm analysis.Arm, le, v float64) analysis.Series {
		return analysis.Series{Target: target, Arm: arm, Role: analysis.Within, Le: le, Points: []analysis.Point{{T: 1005_000, V: v}}}
	}
	want := []analysis.Series{one(analysis.Canary, 25, 4), one(analysis.Canary, math.Inf(1), 9), one(analysis.Stable, 25, 40), one(analysis.Stable, math.Inf(1), 90)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	var many []string
	for i := range prom.MaxBounds + 1 {
		many = append(many, bucket(canary, fmt.Sprint(i+1), "4"))
	}
	for name, all := range map[string][]string{
		"no common bound": {bucket(canary, "25", "4"), bucket(canary, "+Inf", "4"), bucket(stable, "50", "4"), bucket(stable, "+Inf", "4")},
		"no bound":        {bucket(canary, "", "4")},
		"NaN":             {bucket(canary, "NaN", "4")},
		"many":            append(many, bucket(canary, "+Inf", "4")),
	} {
		if got, err := read(all...); reason(err) != analysis.WrongType {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestBase_isStablesHour(t *testing.T) {
	q := query()
	q.Metric = "latency"
	read := func(code int, body string) ([]analysis.Bucket, error) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			want := `sum by (le) (increase({__name__="envoy_cluster_upstream_rq_time_bucket",envoy_cluster_name="` + stable + `"}[3600s]))`
			if got := r.PostForm.Get("query"); got != want {
				t.Errorf("asked %s", got)
			}
			answer(code, body)(w, r)
		})
		return s.Base(t.Context(), q)
	}
	vector := func(all ...string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(all, ",") + `]}}`
	}
	one := func(le, v string) string { return fmt.Sprintf(`{"metric":{"le":%q},"value":[1300.5,%q]}`, le, v) }
	got, err := read(200, vector(one("+Inf", "1200.5"), one("25", "1000"), one("5", "100")))
	want := []analysis.Bucket{{Le: 5, N: 100}, {Le: 25, N: 1000}, {Le: math.Inf(1), N: 1200.5}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := read(200, vector()); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	for body, want := range map[string]analysis.Reason{
		vector(one("5", "NaN")): analysis.NotFinite, vector(one("5", "-1")): analysis.NotCounter, vector(one("x", "1")): analysis.WrongType,
		success(): analysis.WrongType, vector(`{"metric":{}}`): analysis.BadResponse, vector(one("5", "1"))[:60]: analysis.BadResponse,
		strings.Replace(vector(), `"data"`, `"warnings":["x"],"data"`, 1):  analysis.Warnings,
		vector(`{"metric":{"le":"5"},"histogram":[1,{}],"value":[1,"1"]}`): analysis.WrongType,
	} {
		if got, err := read(200, body); reason(err) != want {
			t.Errorf("%s: %v, %v, want %s", body, got, err, want)
		}
	}
	if _, err := read(500, ""); reason(err) != analysis.HTTPStatus {
		t.Errorf("500: %v", err)
	}
}
