package prom

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/analysis"
)

// Queries that answer although nothing of the version was measured now are refused, and those that only look like it are taken.
func TestCheckCondition_refusesAnswersToSilence(t *testing.T) {
	const mine = `{version="{{subset}}"}`
	for query, want := range map[string]string{
		`sum(q` + mine + `)`: "",
		`sum(rate(bad` + mine + `[1m])) / sum(rate(total` + mine + `[1m]))`:         "",
		`sum(bad` + mine + `) or 0 * sum(total` + mine + `)`:                        "",
		`sum by (offset, vector) (q` + mine + `)`:                                   "",
		`max_over_time(sum(q` + mine + `)[1m:5s])`:                                  "",
		`sum(q` + mine + `) / sum(q` + mine + ` offset 1w)`:                         "",
		`sum(q` + mine + ` @ end())`:                                                "",
		`sum(q` + mine + `) # or vector(1)`:                                         "",
		`sum(q{version="{{subset}}",a="} or vector(1) #"})`:                         "",
		`sum(q{version="{{subset}}",a="# @ 5" # "` + "\n})":                         "",
		"sum({__name__=\"q\",version=`{{subset}}`})":                                "",
		`sum({"q.depth","app.version"="{{subset}}"})`:                               "",
		`sum(q` + mine + `) / sum(q{version!="{{subset}}"})`:                        "",
		`sum(q{version=~"{{subset}}(-.*)?"})`:                                       "",
		`sum(q) > bool 5`:                                                           "",
		`absent(q` + mine + `)`:                                                     "",
		`scalar(sum(q` + mine + `))`:                                                "",
		`vector(scalar(sum(q` + mine + `)))`:                                        "",
		`hour(q` + mine + `) or sum(q` + mine + `)`:                                 "",
		`sum(q` + mine + `) or vector(1)`:                                           "silence",
		`sum(q` + mine + `) OR on() vector (0)`:                                     "silence",
		`vector(0) or sum(q` + mine + `)`:                                           "silence",
		`(sum(q` + mine + `) or absent(q` + mine + `) * 0)`:                         "silence",
		`sum(q` + mine + `) or absent_over_time(q` + mine + `[1m])`:                 "silence",
		`vector(1) unless sum(q` + mine + `)`:                                       "silence",
		`sum(q` + mine + `) unless sum(p` + mine + `)`:                              "",
		`sum(q` + mine + `) or hour() * 0`:                                          "silence",
		`sum(q` + mine + `) # harmless` + "\ror vector(0)":                          "silence",
		`scalar(sum(q` + mine + `)) > bool 5`:                                       "scalar",
		`1`:                                                                         "reads no metric",
		`vector(1)`:                                                                 "reads no metric",
		`time() - 5`:                                                                "reads no metric",
		`"{version}"`:                                                               "reads no metric",
		`NaN or Inf`:                                                                "reads no metric",
		`sum(q` + mine + ` offset 1h)`:                                              "moved by offset",
		`sum(q` + mine + ` offset -5m)`:                                             "moved by offset",
		`sum(rate(q` + mine + `[5m] OFFSET 1h))`:                                    "moved by offset",
		`max_over_time((sum(q` + mine + `) + sum(p` + mine + `))[5m:5s] offset 1d)`: "moved by offset",
		`sum(q` + mine + ` @ 1600000000)`:                                           "same moment",
		`sum(q` + mine + `[5m:1s] @ 1.6e9 offset 1m)`:                               "same moment",
		`sum(q` + mine + `) + sum(q` + mine + ` @ 0)`:                               "same moment",
		`sum(q{version!="{{subset}}"})`:                                             "every version but",
		`sum(q{version!~"{{ subset }}"}) + sum(q{c!="{{cluster}}"})`:                "every version but",
		`sum(q{version=~"{{subset}}|b"})`:                                           "both versions",
		`sum(q{version=~".*{{subset}}?.*"})`:                                        "both versions",
		`sum(q` + mine + "\f)":                                                      "cannot be read",
		"sum(q\u00a0" + mine + ")":                                                  "cannot be read",
		`sum(q` + mine + `))`:                                                       "not opened",
		`sum(q` + mine + `[5m)`:                                                     "[ is not closed",
		`sum by (a (q` + mine + `)`:                                                 "( is not closed",
	} {
		err := CheckCondition(analysis.Condition{Query: query, Pass: "value < 100.0"})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", query, err, want)
		}
	}
}

// A comment ends where PromQL ends it, at a carriage return too: what stands behind one is no comment.
func TestFillQuery_readsOnBehindACarriageReturn(t *testing.T) {
	const raw = "a # x\r+ b{c=`\n=~ \"{{subset}}\"`}"
	got, err := fillQuery(raw, map[string]string{"subset": "`} or vector(1) #"})
	if want := "a # x\r+ b{c=\"\\n=~ \\\"`} or vector(1) #\\\"\"}"; err != nil || got != want {
		t.Errorf("got %q %v\nwant %q", got, err, want)
	}
}

// Selectors of a ratio that pick series of both versions are refused: with the names of the trial where it shows there, with
// those of the versions where it does not.
func TestPartsOf_refusesSelectorsThatPickBothVersions(t *testing.T) {
	arms := func(canary, stable string) analysis.Arms {
		return analysis.Arms{CanaryVars: []map[string]string{{"subset": canary}}, StableVars: []map[string]string{{"subset": stable}}}
	}
	for selector, c := range map[string]struct {
		canary, stable string
		refused        bool
	}{
		`x{v="{{subset}}"}`:                   {"v10", "v1", false},
		`x{v=~"{{subset}}"}`:                  {"v10", "v1", false},
		`x{v=~"{{subset}}-.+"}`:               {"v10", "v1", false},
		`x{v=~"{{subset}}.*",w="{{subset}}"}`: {"v10", "v1", false},
		`x{v=~"{{subset}}.*"}`:                {"v10", "v1", true},
		`x{v=~"app-{{subset}}[0-9]*"}`:        {"v1", "v12", true},
		`x{v=~"(?i){{subset}}"}`:              {"V1", "v1", true},
		`x{v=~"{{subset}}|v1"}`:               {"v2", "v1", true},
		`x{v=~"(.+-)?{{subset}}"}`:            {"blue-v1", "v1", true},
		`x{v!="{{subset}}"}`:                  {"v2", "v1", true},
		`x{v!~"{{subset}}"}`:                  {"v2", "v1", true},
	} {
		for _, r := range []analysis.Ratio{{Total: selector, Bad: `b{v="{{subset}}"}`}, {Total: `t{v="{{subset}}"}`, Good: selector}} {
			if _, err := partsOf(r, arms(c.canary, c.stable)); (err != nil) != c.refused {
				t.Errorf("%s of %s and %s: %v", selector, c.canary, c.stable, err)
			}
		}
		if _, err := bucketsOf(analysis.Histogram{Buckets: selector}, arms(c.canary, c.stable)); (err != nil) != c.refused {
			t.Errorf("buckets %s of %s and %s: %v", selector, c.canary, c.stable, err)
		}
	}
	sel, err := parse("x{a=`b\rc`}")
	if err != nil || sel.matchers[0].value != "b\rc" {
		t.Errorf("a raw string became %q, %v", sel.matchers, err)
	}
}
