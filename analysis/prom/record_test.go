package prom_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

func TestServer_recordsARange(t *testing.T) {
	var asked string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("query") + " at " + r.FormValue("time")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"x","a":"b"},"values":[[15,"1"],[30.5,"2.5"]]}]}}`))
	}))
	defer web.Close()
	server, err := prom.New(prom.Config{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got, err := server.Records(t.Context(), "sum(x)", time.Unix(0, 0), time.Unix(60, 0), 15*time.Second)
	want := []prom.Record{{Labels: map[string]string{"__name__": "x", "a": "b"}, Points: []analysis.Point{{T: 15000, V: 1}, {T: 30500, V: 2.5}}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || asked != "(sum(x))[60s:15s] at 60.000" {
		t.Errorf("%v, asked %s\n%s", err, asked, diff)
	}
	if _, err := server.Records(t.Context(), "x", time.Unix(60, 0), time.Unix(0, 0), time.Second); err == nil {
		t.Error("a range that ends before it begins is taken")
	}
}

func TestReadRecords_refusesWhatIsNone(t *testing.T) {
	for body, want := range map[string]string{
		"":       "empty",
		"<html>": "HTML",
		`{"status":"success","data":{"resultType":"vector","result":[]}}`:                                 "vector",
		`{"status":"error","errorType":"bad_data","error":"no"}`:                                          "bad_data",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,2]]}]}}`:   "byte",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}`: "value",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[]}]}}`:    "native",
		`{"status":"success","warnings":["some are missing"],"data":{"resultType":"matrix","result":[]}}`: "missing",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]`:      "too soon",
		`{"status":"success","data":{"resultType":"matrix"}}`:                                             "no result",
	} {
		if _, err := prom.ReadRecords([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %q", body, err, want)
		}
	}
}

func TestRecord_roles(t *testing.T) {
	for text, want := range map[string]struct {
		role  analysis.Role
		known bool
	}{
		`{"__name__":"envoy_cluster_upstream_rq_completed","envoy_cluster_name":"c"}`:                {analysis.Total, true},
		`{"__name__":"envoy_cluster_upstream_rq_xx","envoy_response_code_class":"5"}`:                {analysis.Bad, true},
		`{"__name__":"envoy_cluster_upstream_rq_xx","envoy_response_code_class":"2"}`:                {"", true},
		`{"__name__":"envoy_cluster_upstream_rq","response_code_class":"5xx"}`:                       {analysis.Bad, true},
		`{"__name__":"envoy_cluster_upstream_rq","response_code_class":"5xx","response_code":"503"}`: {"", true},
		`{"__name__":"http_requests_total"}`:                                                         {"", false},
		`{}`:                                                                                         {"", false},
	} {
		r := prom.Record{}
		if err := json.Unmarshal([]byte(text), &r.Labels); err != nil {
			t.Fatal(err)
		}
		if role, known := r.Role(); role != want.role || known != want.known {
			t.Errorf("%s: %q %v", text, role, known)
		}
	}
}

func TestRequests_areThoseOfAHostInEitherDialect(t *testing.T) {
	const clusters = `"outbound\\|[0-9]+\\|[^|]*\\|a\\.b"`
	want := `sum(rate(envoy_cluster_upstream_rq_completed{envoy_cluster_name=~` + clusters + `}[60s]) or rate(envoy_cluster_upstream_rq_completed{cluster_name=~` + clusters + `}[60s]))`
	if got := prom.Requests("a.b", time.Minute); got != want {
		t.Error(cmp.Diff(want, got))
	}
	want = `sum(rate(envoy_cluster_upstream_rq_xx{envoy_cluster_name=~` + clusters + `,envoy_response_code_class="5"}[60s]) or ` +
		`rate(envoy_cluster_upstream_rq{cluster_name=~` + clusters + `,response_code_class="5xx",response_code=""}[60s]))`
	if got := prom.BadRequests("a.b", time.Minute); got != want {
		t.Error(cmp.Diff(want, got))
	}
}
