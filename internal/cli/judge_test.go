package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// referencePath is a recorded step whose evidence is known to the last digit.
const referencePath = `{"t":5,"metric":"errors","canary":{"n":75,"bad":1},"stable":{"n":425,"bad":0}}
{"t":10,"metric":"errors","canary":{"n":73,"bad":0},"stable":{"n":431,"bad":1}}
{"t":15,"metric":"errors","canary":{"n":80,"bad":2},"stable":{"n":420,"bad":0}}
{"t":20,"metric":"errors","canary":{"n":70,"bad":0},"stable":{"n":425,"bad":0}}
{"t":25,"metric":"errors","canary":{"n":77,"bad":3},"stable":{"n":424,"bad":1}}
{"t":30,"metric":"errors","canary":{"n":75,"bad":2},"stable":{"n":430,"bad":0}}
{"t":35,"metric":"errors","canary":{"n":74,"bad":4},"stable":{"n":426,"bad":0}}
`

// judge runs the verb and gives the exit code and the lines of output.
func judge(t *testing.T, input string, args ...string) (code int, lines []string, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newJudge(Streams{In: strings.NewReader(input), Out: &out, Err: &errs})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		code = ExitUsage
		if exit, ok := errors.AsType[*Exit](err); ok {
			code = exit.Code
		}
		stderr = err.Error()
	}
	return code, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), stderr
}

// verdict decodes the last line.
func verdict(t *testing.T, lines []string) judgeResult {
	t.Helper()
	var r judgeResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("%v in %q", err, lines)
	}
	return r
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance*math.Abs(want) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func TestJudge_independentNoiseOnTheReferencePath(t *testing.T) {
	code, lines, _ := judge(t, referencePath, "--noise", "independent", "--trace")
	if code != 0 || len(lines) != 8 {
		t.Fatalf("exit %d, %d lines", code, len(lines))
	}
	r := verdict(t, lines)
	if r.Verdict != "Rollback" || r.Reason != "RegressionDetected" || r.T != 30 || *r.RollbackAt != 30 || r.PromotableAt != nil || r.Windows != 7 {
		t.Errorf("got %+v", r)
	}
	near(t, "logE", r.LogE, 6.760152325, 1e-9)
	near(t, "threshold", r.Threshold, 4.605170186, 1e-9)
	m := r.Metrics[0]
	if m.Canary.N != 524 || m.Canary.Bad != 12 || m.Stable.N != 2981 || m.Stable.Bad != 2 || m.Needed != -1 || m.Cleared || m.Share != 1 || m.Margin != 1.25 {
		t.Errorf("metric %+v", m)
	}
	near(t, "rate", *m.Canary.Rate, 0.0229, 1e-3)
	near(t, "logE at the end", m.LogE, 12.699, 1e-4)
	near(t, "p", m.P, 3.05e-6, 2e-3)
	near(t, "logPromote", m.LogPromote, -7.729, 1e-4)
	near(t, "at most", m.AtMost, 0.05427771744, 1e-9)
	near(t, "at least", m.AtLeast, 3.85, 1e-2)
	near(t, "low end of the difference", m.Difference[1], -0.0012, 0.05)
	near(t, "high end of the difference", m.Difference[2], 0.0457, 1e-2)
	var trace traceLine
	if err := json.Unmarshal([]byte(lines[0]), &trace); err != nil {
		t.Fatal(err)
	}
	near(t, "traced logE", trace.LogE, math.Log(2.038845326), 1e-8)
	if trace.Vote != 1 || trace.DT != 5 || len(trace.LogFactor) != 8 || trace.Verdict != "Inconclusive" || trace.LogGuard != nil {
		t.Errorf("trace %+v", trace)
	}
}

func TestJudge_burstyNoiseOnTheReferencePath(t *testing.T) {
	_, lines, _ := judge(t, referencePath)
	r := verdict(t, lines)
	if r.Verdict != "Inconclusive" || r.Reason != "Suspicious" || r.T != 35 || r.Metrics[0].AtLeast != 1.25 {
		t.Errorf("got %+v", r)
	}
	near(t, "logE", r.LogE, math.Log(59.62763184), 1e-9)
}

// steady is lines of 5 s each, all alike.
func steady(n int, nc, xc, ns, xs int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"t":%d,"metric":"errors","canary":{"n":%d,"bad":%d},"stable":{"n":%d,"bad":%d}}`+"\n", 5*(i+1), nc, xc, ns, xs)
	}
	return b.String()
}

func TestJudge_exitCodeSaysTheVerdict(t *testing.T) {
	for name, r := range map[string]struct {
		input           string
		args            []string
		code            int
		verdict, reason string
		at              float64
	}{
		"promote":          {steady(30, 75, 0, 425, 0), nil, 0, "Promote", "NonInferior", 60},
		"promote at once":  {steady(30, 75, 0, 425, 0), []string{"--stop"}, 0, "Promote", "NonInferior", 60},
		"bake":             {steady(30, 75, 0, 425, 0), []string{"--bake", "2m"}, 0, "Promote", "NonInferior", 120},
		"hard fail":        {steady(9, 40, 39, 400, 0), nil, 3, "Rollback", "HardFail", 5},
		"one endpoint":     {steady(9, 40, 39, 400, 0), []string{"--endpoints", "1", "--noise", "independent"}, 3, "Rollback", "RegressionDetected", 5},
		"no hard rule":     {steady(9, 40, 39, 400, 0), []string{"--hard-fail=false"}, 3, "Rollback", "RegressionDetected", 20},
		"too little":       {steady(3, 75, 0, 425, 0), nil, 4, "Inconclusive", "NeedsRequests", 15},
		"all warm-up":      {steady(3, 75, 0, 425, 0), []string{"--warmup", "1m"}, 6, "Blind", "NoData", 15},
		"silent canary":    {steady(3, 0, 0, 425, 0), nil, 4, "Inconclusive", "NoTraffic", 15},
		"nothing":          {"", nil, 6, "Blind", "NoData", 0},
		"ends in a gap":    {steady(3, 75, 0, 425, 0) + `{"t":20,"metric":"errors","gap":"Timeout"}`, nil, 6, "Blind", "NoData", 20},
		"a gap in between": {`{"t":0.5,"metric":"errors","gap":"Timeout"}` + "\n" + steady(30, 75, 0, 425, 0), nil, 0, "Promote", "NonInferior", 60},
		"small lines merge": {strings.ReplaceAll(steady(9, 20, 0, 100, 0), `"stable":{"n":100`, `"weight":100,"stable":{"n":0`), nil, 0,
			"Promote", "NonInferior", 5},
	} {
		t.Run(name, func(t *testing.T) {
			code, lines, stderr := judge(t, r.input, append(r.args, "--exit-code", "-")...)
			got := verdict(t, lines)
			if code != r.code || string(got.Verdict) != r.verdict || string(got.Reason) != r.reason || got.T != r.at {
				t.Errorf("exit %d %s (%s) at %v, want %d %s (%s) at %v; %s", code, got.Verdict, got.Reason, got.T, r.code, r.verdict, r.reason, r.at, stderr)
			}
		})
	}
}

func TestJudge_mergesLinesUntilAWindowIsFull(t *testing.T) {
	input := `{"t":2,"metric":"errors","canary":{"n":3,"bad":0},"stable":{"n":9,"bad":0}}
{"t":5.5,"metric":"errors","canary":{"n":0,"bad":0},"stable":{"n":9,"bad":0}}
{"t":6,"metric":"errors","canary":{"n":0,"bad":0},"stable":{"n":9,"bad":0}}
{"t":20,"metric":"errors","canary":{"n":0,"bad":0},"stable":{"n":9,"bad":0}}
{"t":22,"metric":"errors","canary":{"n":1,"bad":1},"stable":{"n":0,"bad":0}}
{"t":23,"metric":"errors","weight":50,"canary":{"n":4,"bad":1},"stable":{"n":4,"bad":0}}
{"t":29,"metric":"errors","weight":50,"canary":{"n":5,"bad":0},"stable":{"n":5,"bad":0}}
`
	_, lines, _ := judge(t, input, "--trace", "--hard-fail=false", "--weight", "15")
	var got []string
	for _, line := range lines[:len(lines)-1] {
		var l traceLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v-%v %d/%d", l.T-l.DT, l.T, l.Canary.N, l.Stable.N))
	}
	if diff := cmp.Diff([]string{"0-5.5 3/18", "5.5-22 1/18", "22-29 9/9"}, got); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
}

func TestJudge_severalMetricsAndConfig(t *testing.T) {
	input := strings.ReplaceAll(steady(8, 75, 30, 425, 0), "errors", "checkout")
	_, lines, stderr := judge(t, input, "--metric", "errors", "--metric", "checkout,kind=ratio,share=1,rho0=1.5", "--noise=independent", "--hard-fail=false")
	r := verdict(t, lines)
	if r.Verdict != "Rollback" || len(r.Metrics) != 2 || r.Metrics[0].Name != "checkout" || r.Metrics[0].Share != 0.2 || r.Metrics[0].Margin != 1.5 || r.Metrics[1].Margin != 1.25 {
		t.Errorf("got %+v; %s", r, stderr)
	}
	for name, text := range map[string]string{
		"block":   "falseRollback: 2%\nbake: 1m\nmetrics:\n- {name: errors, tolerance: 50%, warmup: 10s, window: 10s}\n",
		"rollout": "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: x}\nspec:\n  host: x\n  subset: v1\n  analysis:\n    falseRollback: 2%\n    bake: 1m\n    metrics:\n    - {name: errors, tolerance: 50%, warmup: 10s, window: 10s}\n",
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, lines, stderr := judge(t, steady(30, 75, 0, 425, 0), "--config", file)
		r := verdict(t, lines)
		if r.Verdict != "Promote" || r.T != 70 || r.Metrics[0].Margin != 1.5 || math.Abs(r.Threshold-math.Log(50)) > 1e-12 {
			t.Errorf("%s: got %+v; %s", name, r, stderr)
		}
	}
}

func TestJudge_wrongInputNamesTheLine(t *testing.T) {
	good := `{"t":5,"metric":"errors","canary":{"n":75,"bad":1},"stable":{"n":425,"bad":0}}`
	for name, line := range map[string]string{
		"no JSON":           `x`,
		"unknown field":     strings.Replace(good, `"t"`, `"x":1,"t"`, 1),
		"two values":        good + good,
		"bad above n":       strings.Replace(good, `"bad":1`, `"bad":76`, 1),
		"negative":          strings.Replace(good, `"n":75`, `"n":-75`, 1),
		"fraction":          strings.Replace(good, `"n":75`, `"n":7.5`, 1),
		"time runs back":    strings.Replace(good, `"t":5`, `"t":4`, 1),
		"same time":         good,
		"no time":           strings.Replace(good, `"t":5,`, ``, 1),
		"undeclared metric": strings.Replace(good, `errors`, `latency`, 1),
		"no stable":         `{"t":6,"metric":"errors","canary":{"n":75,"bad":1}}`,
		"gap with counts":   strings.Replace(good, `"t":5`, `"t":6,"gap":"Timeout"`, 1),
		"weight":            strings.Replace(good, `"t":5`, `"t":6,"weight":101`, 1),
		"histogram":         strings.Replace(good, `"t":5`, `"t":6,"le":[25,50]`, 1),
	} {
		code, _, stderr := judge(t, good+"\n"+line+"\n")
		if code != ExitUsage || !strings.Contains(stderr, "line 2: ") {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
	}
}

func TestJudge_wrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--metric", "latency,kind=summary"}, {"--metric", "x,share=0"}, {"--metric", "x,rho0=1"}, {"--metric", "x,y=1"},
		{"--metric", "errors", "--metric", "errors"}, {"--rho0", "1.05"}, {"--rho0", "1"}, {"--rho0", "3"}, {"--alpha", "0.9"}, {"--alpha", "x"},
		{"--noise", "pink"}, {"--window", "10ms"}, {"--weight", "101"}, {"--from", "-1"}, {"--config", "no-such-file"},
		{"no-such-file"}, {"a", "b"}, {"--grid", "0.5"}, {"--tau", "1ms"}, {"--start", "2"}, {"--delta", "200%"}, {"--objective", "200%"},
	} {
		if code, _, stderr := judge(t, "", args...); code != ExitUsage || stderr == "" {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
}

func TestJudge_documentedExampleIsReal(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "analysis.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		_, rest, found := strings.Cut(string(page), "```"+language+"\n")
		text, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("the page has no block of %s", language)
		}
		return text
	}
	file := filepath.Join(t.TempDir(), "windows.jsonl")
	if err := os.WriteFile(file, []byte(block("jsonl")), 0o600); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(block("sh"))
	args := slices.Concat(words[2:len(words)-1], []string{file})
	if words[1] != "judge" || words[len(words)-1] != "windows.jsonl" {
		t.Fatalf("the page runs %v", words)
	}
	code, lines, stderr := judge(t, "", args...)
	if diff := cmp.Diff(strings.TrimSpace(block("json")), strings.Join(lines, "\n")); code != 0 || diff != "" {
		t.Errorf("exit %d, %s; the page (-) and the program (+) differ:\n%s", code, stderr, diff)
	}
}
