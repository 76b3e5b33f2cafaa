package prom

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

func TestFillQuery_replacesInMatchersOnly(t *testing.T) {
	vars := map[string]string{"subset": `v2`, "flow": `"} or vector(1) #`}
	for query, want := range map[string]string{
		`sum(queue_depth{version="{{subset}}"})`:                       `sum(queue_depth{version="v2"})`,
		`max by (pod) (a{v = '{{subset}}' , w=~"x|{{subset}}.*"}) > 2`: `max by (pod) (a{v = "v2" , w=~"x|v2.*"}) > 2`,
		`a{v="{{subset}}"}[5m:10s] offset 1m @ end()`:                  `a{v="v2"}[5m:10s] offset 1m @ end()`,
		`a{flow="{{flow}}"}`:                                           `a{flow="\"} or vector(1) #"}`,
		`a{flow=~"{{flow}}"}`:                                          `a{flow=~"\"\\} or vector\\(1\\) #"}`,
		"a{v=`{{subset}}`} # all of them":                              `a{v="v2"} # all of them`,
		`label_replace(a, "x", "$1", "y", "(.*)")`:                     `label_replace(a, "x", "$1", "y", "(.*)")`,
		`1`: `1`,
	} {
		if got, err := fillQuery(query, vars); err != nil || got != want {
			t.Errorf("%s:\n got %s %v\nwant %s", query, got, err, want)
		}
	}
	for query, want := range map[string]string{
		`{{subset}}_total`:                            "inside a label's value only",
		`a{ {{subset}}="x"}`:                          "inside a label's value only",
		`a{"{{subset}}"="x"}`:                         "inside a label's value only",
		`a{"{{subset}}"}`:                             "inside a label's value only",
		`sum by ({{subset}}) (a)`:                     "inside a label's value only",
		`label_replace(a, "x", "{{subset}}", "", "")`: "inside a label's value only",
		`a # {{subset}}`:                              "inside a label's value only",
		`a{v="{{version}}"}`:                          "is no variable",
		`a{v="{{subset"}`:                             "is no variable",
		`a{v="x}`:                                     "a quote is not closed",
		`a{v="x"`:                                     "a brace is not closed",
		`a}`:                                          "was not opened",
		`a{v=~"({{subset}}"}`:                         "missing closing",
	} {
		if got, err := fillQuery(query, vars); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s %v, want %q", query, got, err, want)
		}
	}
}

func TestCheckCondition_refusesWhatComparesNothing(t *testing.T) {
	for query, want := range map[string]string{
		`sum(queue_depth)`:                        "the same for both versions",
		`sum(queue_depth{version="{{subset}}"})`:  "",
		`sum(queue_depth{flow="{{flow}}"})`:       "the same for both versions",
		`sum(queue_depth{version="{{version}}"})`: "is no variable",
	} {
		err := CheckSource(analysis.Source{Condition: &analysis.Condition{Query: query, Pass: "value < stable", Args: map[string]string{"flow": "all"}}})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", query, err, want)
		}
	}
	if err := CheckCondition(analysis.Condition{Query: "sum(queue_depth)", Pass: "value < 100.0"}); err != nil {
		t.Errorf("a threshold on what belongs to neither version: %v", err)
	}
	ports := analysis.Arms{CanaryVars: []map[string]string{{"port": "80"}, {"port": "81"}}}
	if _, _, err := sidesOf(analysis.Condition{Query: `a{port="{{port}}"}`}, ports, false); err == nil {
		t.Error("a query of two ports was taken for one")
	}
}

func TestServer_measuresConditions(t *testing.T) {
	answer := ""
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.FormValue("query"))
		body := answer
		if body == "" {
			value := map[string]string{`q{v="v1"}`: "40", `q{v="v2"}`: "70"}[r.FormValue("query")]
			body = fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1000,%q]}]}}`, value)
		}
		fmt.Fprint(w, body)
	}))
	defer web.Close()
	server, err := New(Config{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	measure := func(pass string) (analysis.Measurement, error) {
		asked = nil
		return server.Measure(t.Context(), analysis.Query{
			Metric: "queue", Until: time.Unix(1000, 0), Condition: &analysis.Condition{Query: `q{v="{{subset}}"}`, Pass: pass},
			Arms: analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
		})
	}
	m, err := measure("value < 100.0")
	if err != nil || m.Outcome != analysis.OutcomePass || m.Value != 70 || m.Stable != nil || len(asked) != 1 {
		t.Errorf("got %+v %v after %v", m, err, asked)
	}
	m, err = measure("value < 1.5 * stable")
	if err != nil || m.Outcome != analysis.OutcomeFail || m.Stable == nil || *m.Stable != 40 || len(asked) != 2 {
		t.Errorf("got %+v %v after %v", m, err, asked)
	}
	for body, want := range map[string]analysis.Reason{
		`{"status":"success","data":{"resultType":"vector","result":[]}}`:                                          analysis.NoSeries,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1000,"NaN"]}]}}`:        analysis.NotFinite,
		`{"status":"success","data":{"resultType":"scalar","result":[1000,"+Inf"]}}`:                               analysis.NotFinite,
		`{"status":"success","data":{"resultType":"string","result":[1000,"x"]}}`:                                  analysis.WrongType,
		`{"status":"success","warnings":["part"],"data":{"resultType":"scalar","result":[1000,"1"]}}`:              analysis.Warnings,
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1000,"1"]},{"value":[1000,"2"]}]}}`: analysis.TooManySeries,
		`{"status":"error","errorType":"bad_data","error":"parse error"}`:                                          analysis.QueryRejected,
	} {
		answer = body
		_, err := measure("value < 100.0 || value >= 100.0")
		if f, ok := err.(analysis.Failure); !ok || f.BlindReason() != want { //nolint:errorlint // it is given as it is
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}
