package prom

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/analysis"
)

func TestRules_eachForm(t *testing.T) {
	const pass, fail, inconclusive = analysis.OutcomePass, analysis.OutcomeFail, analysis.OutcomeInconclusive
	for _, r := range []struct {
		pass, fail    string
		value, stable float64
		want          analysis.Outcome
	}{
		{"value < 100.0", "", 99, 0, pass},
		{"value < 100.0", "", 100, 0, fail},
		{"", "value > 500.0", 500, 0, pass},
		{"", "value > 500.0", 501, 0, fail},
		{"value < 100.0", "value > 500.0", 99, 0, pass},
		{"value < 100.0", "value > 500.0", 100, 0, inconclusive},
		{"value < 100.0", "value > 500.0", 501, 0, fail},
		{"value < 100.0", "value > 50.0", 70, 0, fail}, // both hold
		{"value < 100.0 && value < 1.5 * stable", "", 60, 50, pass},
		{"value < 100.0 && value < 1.5 * stable", "", 80, 50, fail},
		{"value / stable < 2.0", "", 1, 0, fail}, // infinite
		{"stable == 0.0 || value / stable < 2.0", "", 1, 0, pass},
	} {
		c := analysis.Condition{Query: "up", Pass: r.pass, Fail: r.fail}
		rules, err := rulesOf(c)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got, err := rules.outcome(r.value, r.stable); err != nil || got != r.want {
			t.Errorf("%+v: %v %v, want %v", r, got, err, r.want)
		}
		if want := strings.Contains(r.pass+r.fail, "stable"); rules.stable != want {
			t.Errorf("%+v: stable is named: %v, want %v", c, rules.stable, want)
		}
	}
}

func TestRules_areRefusedBeforeTheyAreNeeded(t *testing.T) {
	costly := "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, value < 100.0))))"
	for rule, want := range map[string]string{
		"":                    "needs pass, fail or both",
		"value <":             "pass: ERROR",
		"value < 100":         "found no matching overload",
		"value":               "want a bool",
		"'value'":             "want a bool",
		"canary < 100.0":      "undeclared reference",
		"size(value) < 3":     "found no matching overload",
		costly:                "cost",
		"value < 1.0 ? 1 : 2": "want a bool",
	} {
		if _, err := rulesOf(analysis.Condition{Query: "up", Pass: rule}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", rule, err, want)
		}
	}
}
