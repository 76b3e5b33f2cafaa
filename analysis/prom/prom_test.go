package prom_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

const (
	canary = "outbound|8080|v2|reviews.bookinfo.svc.cluster.local"
	stable = "outbound|8080|v1|reviews.bookinfo.svc.cluster.local"
)

func query() analysis.Query {
	return analysis.Query{
		Metric: "errors", Arms: analysis.Arms{Canary: []string{canary}, Stable: []string{stable}},
		From: time.Unix(1000, 0), Until: time.UnixMilli(1300_500),
	}
}

// read asks a server that answers with handler.
func read(t *testing.T, timeout time.Duration, handler http.HandlerFunc) ([]analysis.Series, error) {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	server, err := prom.New(prom.Config{URL: web.URL + "/prefix/", Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.Series(t.Context(), query())
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func series(name, cluster, class, more, values string) string {
	if class != "" {
		class = `,"envoy_response_code_class":"` + class + `"`
	}
	return fmt.Sprintf(`{"metric":{"__name__":%q,"envoy_cluster_name":%q,"job":"envoy","instance":"gw-1"%s%s},"values":[%s]}`,
		name, cluster, class, more, values)
}

func success(series ...string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(series, ",") + `]}}`
}

const (
	completed = "envoy_cluster_upstream_rq_completed"
	classes   = "envoy_cluster_upstream_rq_xx"
)

func TestSeries_asksOneRawRangeOfBothArms(t *testing.T) {
	var form url.Values
	var method, path string
	got, err := read(t, 0, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, method, path = r.PostForm, r.Method, r.URL.Path
		answer(200, success(
			series(completed, canary, "", "", `[1000,"1"],[1001.5,"5"],[1005,"9"],[1301,"99"]`),
			series(completed, stable, "", "", `[1005,"70"]`),
			series(classes, canary, "5", "", `[1005,"2"]`),
		))(w, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantForm := url.Values{
		"query": {`{__name__=~"envoy_cluster_upstream_rq_completed|envoy_cluster_upstream_rq_xx",` +
			`envoy_cluster_name=~"outbound\\|8080\\|v2\\|reviews\\.bookinfo\\.svc\\.cluster\\.local|outbound\\|8080\\|v1\\|reviews\\.bookinfo\\.svc\\.cluster\\.local",` +
			`envoy_response_code_class=~"|5"}[301s]`},
		"time": {"1300.500"}, "timeout": {"5000ms"},
	}
	if diff := cmp.Diff(wantForm, form); diff != "" || method != "POST" || path != "/prefix/api/v1/query" {
		t.Errorf("%s %s asked (-want +got):\n%s", method, path, diff)
	}
	target := `"envoy"/"gw-1"`
	want := []analysis.Series{
		{Target: target, Arm: analysis.Canary, Role: analysis.Total, Points: []analysis.Point{{T: 1001_500, V: 5}, {T: 1005_000, V: 9}}},
		{Target: target, Arm: analysis.Stable, Role: analysis.Total, Points: []analysis.Point{{T: 1005_000, V: 70}}},
		{Target: target, Arm: analysis.Canary, Role: analysis.Bad, Points: []analysis.Point{{T: 1005_000, V: 2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestSeries_takesTheFullerOfTwoReplicas(t *testing.T) {
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		values := map[string]string{"a": `[1005,"5"]`, "b": `[1005,"5"],[1010,"6"]`}
		var both []string
		for _, replica := range order {
			both = append(both, series(completed, canary, "", `,"prometheus_replica":"`+replica+`"`, values[replica]))
		}
		got, err := read(t, 0, answer(200, success(both...)))
		if err != nil || len(got) != 1 || len(got[0].Points) != 2 {
			t.Errorf("order %v: got %v, %v; want one series of two points", order, got, err)
		}
	}
}

func TestSeries_fallsBackToGetAfter405(t *testing.T) {
	got, err := read(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answer(405, "no")(w, r)
			return
		}
		if r.URL.Query().Get("query") == "" {
			t.Error("GET without the query")
		}
		answer(200, success(series(completed, canary, "", "", `[1005,"5"]`)))(w, r)
	})
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSeries_emptyAnswerIsNoFailure(t *testing.T) {
	got, err := read(t, 0, answer(200, success()))
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want nothing and no error", got, err)
	}
}

func TestSeries_ignoresInfos(t *testing.T) {
	body := `{"status":"success","infos":["the metric might not be a counter"],"data":{"resultType":"matrix","result":[]}}`
	if _, err := read(t, 0, answer(200, body)); err != nil {
		t.Error(err)
	}
}

func TestSeries_oddAnswersAreFailuresWithAReason(t *testing.T) {
	good := series(completed, canary, "", "", `[1005,"5"]`)
	for name, r := range map[string]struct {
		code int
		body string
		want analysis.Reason
	}{
		"unauthorized":      {401, "", analysis.Unauthorized},
		"forbidden":         {403, success(good), analysis.Unauthorized},
		"redirect":          {302, "", analysis.HTTPStatus},
		"server error":      {500, "<html>", analysis.HTTPStatus},
		"bad gateway":       {502, `{"status":"fine"}`, analysis.HTTPStatus},
		"bad data":          {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, analysis.QueryRejected},
		"execution":         {422, `{"status":"error","errorType":"execution","error":"many-to-many"}`, analysis.QueryRejected},
		"server's timeout":  {503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, analysis.Timeout},
		"error with 200":    {200, `{"status":"error","errorType":"internal","error":"x"}`, analysis.QueryRejected},
		"html with 200":     {200, "<!doctype html><title>Sign in</title>", analysis.BadResponse},
		"nothing":           {200, "", analysis.BadResponse},
		"no content":        {204, "", analysis.BadResponse},
		"truncated":         {200, success(good)[:60], analysis.BadResponse},
		"trailing text":     {200, success(good) + "x", analysis.BadResponse},
		"no status":         {200, `{}`, analysis.BadResponse},
		"null":              {200, `null`, analysis.BadResponse},
		"no data":           {200, `{"status":"success","data":null}`, analysis.BadResponse},
		"null result":       {200, `{"status":"success","data":{"resultType":"matrix","result":null}}`, analysis.BadResponse},
		"missing result":    {200, `{"status":"success","data":{"resultType":"matrix"}}`, analysis.BadResponse},
		"warnings":          {200, `{"status":"success","warnings":["store gone"],"data":{"resultType":"matrix","result":[` + good + `]}}`, analysis.Warnings},
		"vector":            {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, analysis.WrongType},
		"string":            {200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`, analysis.WrongType},
		"histogram":         {200, success(strings.Replace(good, `"values"`, `"histograms":[[1,{}]],"values"`, 1)), analysis.WrongType},
		"NaN":               {200, success(series(completed, canary, "", "", `[1005,"NaN"]`)), analysis.NotFinite},
		"Inf":               {200, success(series(completed, canary, "", "", `[1005,"+Inf"]`)), analysis.NotFinite},
		"overflow":          {200, success(series(completed, canary, "", "", `[1005,"1e999"]`)), analysis.NotFinite},
		"negative":          {200, success(series(completed, canary, "", "", `[1005,"-1"]`)), analysis.NotCounter},
		"value missing":     {200, success(series(completed, canary, "", "", `[1005]`)), analysis.BadResponse},
		"null sample":       {200, success(series(completed, canary, "", "", `null`)), analysis.BadResponse},
		"bare number":       {200, success(series(completed, canary, "", "", `[1005,5]`)), analysis.BadResponse},
		"no number":         {200, success(series(completed, canary, "", "", `[1005,"five"]`)), analysis.BadResponse},
		"no time":           {200, success(series(completed, canary, "", "", `[null,"5"]`)), analysis.BadResponse},
		"foreign cluster":   {200, success(series(completed, "other", "", "", `[1005,"5"]`)), analysis.BadResponse},
		"foreign metric":    {200, success(series("up", canary, "", "", `[1005,"5"]`)), analysis.BadResponse},
		"foreign class":     {200, success(series(classes, canary, "2", "", `[1005,"5"]`)), analysis.BadResponse},
		"too many series":   {200, success(strings.Repeat(good+",", prom.MaxSeries) + good), analysis.TooManySeries},
		"too large a body":  {200, strings.Repeat(" ", prom.MaxBody) + success(good), analysis.TooLarge},
		"data twice":        {200, strings.Replace(success(good), `"data":`, `"data":{"resultType":"matrix","result":[]},"data":`, 1), analysis.BadResponse},
		"null for a series": {200, success("null"), analysis.BadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, 0, func(w http.ResponseWriter, req *http.Request) {
				if r.code == 302 {
					w.Header().Set("Location", "http://127.0.0.1:1/")
				}
				answer(r.code, r.body)(w, req)
			})
			assertFailure(t, got, err, r.want)
		})
	}
}

func assertFailure(t *testing.T, got []analysis.Series, err error, want analysis.Reason) {
	t.Helper()
	f, ok := errors.AsType[*prom.Failure](err)
	if !ok || f.Reason != want || got != nil {
		t.Fatalf("got %v and error %v, want no series and %s", got, err, want)
	}
	if f.Detail == "" || len(f.Detail) > 256 || strings.ContainsAny(f.Detail, "\n\x1b") {
		t.Errorf("detail %q: want one line of 1 to 256 bytes", f.Detail)
	}
	if f.BlindReason() != want {
		t.Errorf("reason for Judge: %s", f.BlindReason())
	}
}

func TestSeries_boundsWhatCompressionUnpacks(t *testing.T) {
	got, err := read(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		blank := make([]byte, 1<<20)
		for range 100 {
			if _, err := z.Write(blank); err != nil {
				return
			}
		}
		_ = z.Close()
	})
	assertFailure(t, got, err, analysis.TooLarge)
}

func TestSeries_timeoutCoversTheBody(t *testing.T) {
	for name, first := range map[string]string{"no header": "", "stalled body": `{"status":`} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, 50*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
				if first != "" {
					_, _ = w.Write([]byte(first))
					_ = http.NewResponseController(w).Flush()
				}
				_ = r.ParseForm() // the server notices that the client is gone once the request is read
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Second):
				}
			})
			assertFailure(t, got, err, analysis.Timeout)
		})
	}
}

func TestSeries_bodyCutOffByTheServer(t *testing.T) {
	got, err := read(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"status":"success"`))
	})
	assertFailure(t, got, err, analysis.BadResponse)
}

func TestSeries_noServerIsUnreachableAndTellsNoSecret(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	gone := web.URL
	web.Close()
	if _, err := prom.New(prom.Config{URL: strings.Replace(gone, "http://", "http://user:hunter2@", 1)}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a URL with a user: %v", err)
	}
	server, err := prom.New(prom.Config{URL: gone})
	if err != nil {
		t.Fatal(err)
	}
	got, err := server.Series(t.Context(), query())
	assertFailure(t, got, err, analysis.Unreachable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err = server.Series(ctx, query())
	assertFailure(t, got, err, analysis.Timeout)
}

func TestSeries_refusesQueriesThatCompareNothing(t *testing.T) {
	server, err := prom.New(prom.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[analysis.Reason]func(q *analysis.Query){
		analysis.NoSeries:      func(q *analysis.Query) { q.Arms.Canary = nil },
		analysis.QueryRejected: func(q *analysis.Query) { q.Arms.Canary = q.Arms.Stable },
	} {
		q := query()
		change(&q)
		got, err := server.Series(t.Context(), q)
		assertFailure(t, got, err, want)
	}
	for _, change := range []func(q *analysis.Query){
		func(q *analysis.Query) { q.Metric = "attempts" },
		func(q *analysis.Query) { q.Until = q.From },
	} {
		q := query()
		change(&q)
		got, err := server.Series(t.Context(), q)
		assertFailure(t, got, err, analysis.QueryRejected)
	}
}

func TestNew_refusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "prometheus:9090", "ftp://x", "http://", "http://x?a=b", "http://x#y", "http://\x7f"} {
		if _, err := prom.New(prom.Config{URL: address}); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
	if _, err := prom.New(prom.Config{URL: "http://x", Timeout: time.Hour}); err == nil {
		t.Error("a timeout of an hour was accepted")
	}
}
