package convert

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

func TestTranslate_asCELWritesIt(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"result[0] < 0.95":                      "value < 0.95",
		"result >= 1":                           "value >= 1.0",
		"result[0] > -5":                        "value > -5.0",
		"result[0] <= 1e-9":                     "value <= 1e-09",
		"0.9 <= result[0] and result[0] <= 1.1": "0.9 <= value && value <= 1.1",
		"result[0] < 1 || result[0] > 2 && result[0] != 3":  "value < 1.0 || value > 2.0 && value != 3.0",
		"(result[0] < 1 || result[0] > 2) && result[0] < 9": "(value < 1.0 || value > 2.0) && value < 9.0",
		"!(result[0] == 1)":                    "!(value == 1.0)",
		"not (result[0] < 1)":                  "!(value < 1.0)",
		"result[0] - (1 - 2) > 0":              "value - (1.0 - 2.0) > 0.0",
		"(result[0] + 1) * 2 > 3":              "(value + 1.0) * 2.0 > 3.0",
		"asFloat(result[0]) > 1":               "value > 1.0",
		"default(result, 0) < 5":               "value < 5.0",
		"isNaN(result[0]) || result[0] > 0.9":  "value > 0.9",
		"!isNaN(result[0]) && result[0] > 0.9": "value > 0.9",
		"isInf(result[0]) && result[0] > 0.9":  "false",
		"len(result) == 0 || result[0] > 0.9":  "value > 0.9",
		"len(result) > 0":                      "true",
		"len(result) > 1 || isNaN(result)":     "false",
		"true":                                 "true",
	} {
		r, err := translate(expression)
		if err != nil || r.text != want {
			t.Errorf("%s: %q, %v; want %q", expression, r.text, err, want)
			continue
		}
		if err := prom.CheckCondition(analysis.Condition{Query: "sum(a)", Pass: r.text}); err != nil {
			t.Errorf("%s: %s is no rule: %v", expression, r.text, err)
		}
	}
}

func TestTranslate_saysWhatHasNoCounterpart(t *testing.T) {
	t.Parallel()
	for expression, says := range map[string]string{
		"all(result, # > 0.95)":    "has no counterpart",
		"result[1] > 0":            "result[1] has no counterpart",
		`result[0] == "up"`:        `"up" has no counterpart`,
		"result[0]":                "has no counterpart",
		"result[0] > args.x":       "args.x has no counterpart",
		"len(result) > result[0]":  "has no counterpart",
		"result[0] in [1, 2]":      "has no counterpart",
		"result[0] % 2 == 0":       "has no counterpart",
		"result[0] > 1 ? true : 1": "has no counterpart",
		"result[0] >":              "does not parse",
		"":                         "does not parse",
		"let x = 1; x > result[0]": "has no counterpart",
		"1 + true > result[0]":     "has no counterpart",
		"isNaN(result[0]) == true": "has no counterpart",
		"abs(result[0]) < 2":       "has no counterpart",
		"result[0] > 1 && foo":     "foo has no counterpart",
		"!result[0]":               "has no counterpart",
	} {
		if r, err := translate(expression); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %v; want %q", expression, r.text, err, says)
		}
	}
}

// FuzzTranslate: whatever is carried over is a rule that CEL takes.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{"result[0] < 0.95", "isNaN(result) || !(result > 1)", "default(result[0], 1) * -2 >= 1e300 && len(result) != 3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := translate(text)
		if err != nil || len(r.text) > 1024 {
			return
		}
		if err := prom.CheckCondition(analysis.Condition{Query: "sum(a)", Pass: r.text}); err != nil && !strings.Contains(err.Error(), "cost") {
			t.Errorf("%q becomes %q: %v", text, r.text, err)
		}
	})
}
