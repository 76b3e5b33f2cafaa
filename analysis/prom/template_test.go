package prom

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/analysis"
)

var allowInstant = cmp.AllowUnexported(instant{}, matcher{})

func TestFill_replacesVariablesInValuesOnly(t *testing.T) {
	vars := map[string]string{"subset": "v2", "flow": `a.b|c"} or vector(1) #`}
	for text, want := range map[string]string{
		`up`: `up{}`,
		` app:requests_total { version = "{{subset}}" , } `: `app:requests_total{version="v2"}`,
		`x{version=~"{{ subset }}-.*",flow="{{flow}}"}`:     `x{version=~"v2-.*",flow="a.b|c\"} or vector(1) #"}`,
		`x{flow!~"{{flow}}",a!='it\'s "q"'}`:                `x{flow!~"a\\.b\\|c\"\\} or vector\\(1\\) #",a!="it's \"q\""}`,
		"x{a=`{{subset}}\\n`}":                              `x{a="v2\\n"}`,
	} {
		sel, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		filled, err := sel.fill(vars)
		if err != nil || filled.String() != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, filled, err, want)
		}
	}
}

func TestFill_noValueCanLeaveItsString(t *testing.T) {
	corpus := []string{`"} or vector(1) #`, `"`, `\`, `\"`, "`", `'`, `{{subset}}`, `}}`, `"}[5m]) / sum(up{a="`, `.*`, `\\" or x`}
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.OneOf(rapid.SampledFrom(corpus), rapid.StringN(1, 60, 253)).Draw(rt, "value")
		if checkValue(value) != nil {
			rt.SkipNow()
		}
		op := rapid.SampledFrom([]string{"=", "!=", "=~", "!~"}).Draw(rt, "op")
		template, err := parse(`x{version="v",flow` + op + `"a-{{flow}}",z="1"}`)
		if err != nil {
			rt.Fatal(err)
		}
		filled, err := template.fill(map[string]string{"flow": value})
		if err != nil {
			rt.Fatal(err)
		}
		again, err := parse(filled.String())
		if err != nil {
			rt.Fatalf("%s cannot be read again: %v", filled, err)
		}
		if diff := cmp.Diff(filled, again, allowInstant); diff != "" {
			rt.Errorf("what was written reads as something else:\n%s", diff)
		}
		again.matchers[1].value = template.matchers[1].value
		if diff := cmp.Diff(template, again, allowInstant); diff != "" {
			rt.Errorf("more than the value of the variable's matcher differs:\n%s", diff)
		}
	})
}

func TestParse_refusesWhatIsNoInstantSelector(t *testing.T) {
	for _, text := range []string{
		"", `{a="b"}`, `rate(x[5m])`, `x[5m]`, `x offset 5m`, `x @ 0`, `x or vector(1)`, `x{a="b"} + 1`, `x{a="b"`, `x{a=b}`, `x{a}`,
		`x{="b"}`, `x{a="b" c="d"}`, `x{"a"="b"}`, `x{a="\q"}`, `x{__name__="y"}`, `x{a="b}`, `x{{subset}}`, `x{ {{subset}}="b"}`, `x{a="b"}}`, `x{,}`,
	} {
		if sel, err := parse(text); err == nil {
			t.Errorf("%s was read as %s", text, sel)
		}
	}
}

func TestCheckRatio_refusesWhatComparesNothing(t *testing.T) {
	good := func() analysis.Ratio {
		return analysis.Ratio{
			Bad: `x{v="{{subset}}",r="bad",f="{{flow}}"}`, Total: `x{v="{{subset}}"}`, Args: map[string]string{"flow": "all"},
		}
	}
	if err := CheckRatio(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *analysis.Ratio){
		"same for both":    func(r *analysis.Ratio) { r.Total = `x{v="{{namespace}}"}` },
		"unknown variable": func(r *analysis.Ratio) { r.Bad = `x{v="{{subset}}",f="{{pod}}"}` },
		"left open":        func(r *analysis.Ratio) { r.Bad = `x{v="{{subset"}` },
		"bad and good":     func(r *analysis.Ratio) { r.Good = r.Bad },
		"neither":          func(r *analysis.Ratio) { r.Bad = "" },
		"no total":         func(r *analysis.Ratio) { r.Total = "" },
		"redefined":        func(r *analysis.Ratio) { r.Args["subset"] = "v1" },
		"control":          func(r *analysis.Ratio) { r.Args["flow"] = "a\nb" },
		"empty":            func(r *analysis.Ratio) { r.Args["flow"] = "" },
		"wrong regex":      func(r *analysis.Ratio) { r.Bad = `x{v=~"({{subset}}"}` },
	} {
		r := good()
		change(&r)
		if CheckRatio(r) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPartsOf_asksOnceForEachPortThatIsNamed(t *testing.T) {
	arm := func(subset string) []map[string]string {
		return []map[string]string{{"subset": subset, "port": "80"}, {"subset": subset, "port": "90"}}
	}
	r := analysis.Ratio{Bad: `x{v="{{subset}}",p="{{port}}",r="bad"}`, Total: `x{v="{{subset}}"}`}
	got, err := partsOf(r, analysis.Arms{CanaryVars: arm("v2"), StableVars: arm("v1")})
	if err != nil {
		t.Fatal(err)
	}
	want := []part{
		{analysis.Canary, analysis.Total, `x{v="v2"}`},
		{analysis.Stable, analysis.Total, `x{v="v1"}`},
		{analysis.Canary, analysis.Bad, `x{v="v2",p="80",r="bad"}`},
		{analysis.Canary, analysis.Bad, `x{v="v2",p="90",r="bad"}`},
		{analysis.Stable, analysis.Bad, `x{v="v1",p="80",r="bad"}`},
		{analysis.Stable, analysis.Bad, `x{v="v1",p="90",r="bad"}`},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(part{})); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestSeries_ofATemplateAsksForBothArmsTogether(t *testing.T) {
	good := `{"metric":{"__name__":"app_total","instance":"p2","version":"v2","result":"ok"},"values":[[1050,"8"]]},`
	answers := map[string]string{
		`{__name__="app_total",version=~"v2|v1"}[60s]`: `{"metric":{"__name__":"app_total","instance":"p2","version":"v2"},"values":[[1050,"9"]]},
			{"metric":{"__name__":"app_total","instance":"p1","version":"v1"},"values":[[1050,"90"]]}`,
		`{__name__="app_total",result="ok",version=~"v2|v1"}[60s]`: good + `{"metric":{"__name__":"app_total","instance":"p1","version":"v1","result":"ok"},"values":[[1050,"80"]]}`,
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		body, known := answers[r.PostForm.Get("query")]
		if !known {
			t.Errorf("asked %s", r.PostForm.Get("query"))
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[` + body + `]}}`))
	}))
	t.Cleanup(web.Close)
	server, err := New(Config{URL: web.URL, Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	q := analysis.Query{
		Metric: "checkout", Ratio: &analysis.Ratio{Total: `app_total{version="{{subset}}"}`, Good: `app_total{version="{{subset}}",result="ok"}`},
		Arms: analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
		From: time.Unix(1000, 0), Until: time.Unix(1060, 0),
	}
	got, err := server.Series(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	point := func(v float64) []analysis.Point { return []analysis.Point{{T: 1050_000, V: v}} }
	want := []analysis.Series{ // those of all events are one question, those of good ones another
		{Target: `""/"p2"`, Arm: analysis.Canary, Role: analysis.Total, Points: point(9)},
		{Target: `""/"p1"`, Arm: analysis.Stable, Role: analysis.Total, Points: point(90)},
		{Target: `""/"p2"`, Arm: analysis.Canary, Role: analysis.Good, Points: point(8)},
		{Target: `""/"p1"`, Arm: analysis.Stable, Role: analysis.Good, Points: point(80)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	for question, body := range answers {
		answers[question] = strings.Replace(body, good, "", 1)
	}
	if _, err := server.Series(t.Context(), q); err == nil || !strings.HasPrefix(err.Error(), "NoSeries") {
		t.Errorf("without good series of the canary: %v", err)
	}
}
