package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nothingListed is an analysis block that lists no metric.
func nothingListed(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "block.yaml")
	if err := os.WriteFile(file, []byte("bake: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// beside are lines of attempts, a second each, between those of the input of the same time.
func beside(input string, seconds, bad int) string {
	var b strings.Builder
	lines := strings.SplitAfter(input, "\n")
	for t := 1; t <= seconds; t++ {
		fmt.Fprintf(&b, `{"t":%d,"metric":"attempts","canary":{"n":15,"bad":%d},"stable":{"n":85,"bad":0}}`+"\n", t, bad)
		if t%5 == 0 && t/5 <= len(lines) {
			b.WriteString(lines[t/5-1])
		}
	}
	return b.String()
}

func TestJudge_recordingsAreJudgedByWhatTheyHold(t *testing.T) {
	t.Parallel()
	errors := steady(40, 75, 0, 425, 0)
	for name, r := range map[string]struct {
		input   string
		verdict string
		without []string
		shares  map[string]float64
	}{
		"errors alone":        {errors, "Promote", []string{"attempts", "latency"}, map[string]float64{"errors": 1}},
		"errors and attempts": {beside(errors, 200, 0), "Promote", []string{"latency"}, map[string]float64{"attempts": 1. / 3, "errors": 2. / 3}},
		"attempts alone":      {beside("", 200, 0), "Promote", []string{"errors", "latency"}, map[string]float64{"attempts": 1}},
		"attempts that fail":  {beside(errors, 200, 2), "Rollback", []string{"latency"}, map[string]float64{"attempts": 1. / 3, "errors": 2. / 3}},
		"latency in gaps": {strings.ReplaceAll(errors, "\n", "\n"+`{"t":LAST,"metric":"latency","gap":"Timeout"}`+"\n"), "Inconclusive", []string{"attempts"},
			map[string]float64{"errors": 2. / 3, "latency": 1. / 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input := r.input
			for i := 5; strings.Contains(input, "LAST"); i += 5 {
				input = strings.Replace(input, "LAST", fmt.Sprint(i), 1)
			}
			_, lines, stderr := judge(t, input, "--config", nothingListed(t))
			got := verdict(t, lines)
			shares := map[string]float64{}
			for _, m := range got.Metrics {
				shares[m.Name] = m.Share
			}
			if r.verdict == "Inconclusive" {
				r.verdict = "Blind" // its last line is a gap
			}
			if string(got.Verdict) != r.verdict || !cmp.Equal(got.Without, r.without) || !cmp.Equal(shares, r.shares) {
				t.Errorf("%s (%s), without %v, shares %v; want %s, without %v, shares %v; %s",
					got.Verdict, got.Reason, got.Without, shares, r.verdict, r.without, r.shares, stderr)
			}
		})
	}
}

// What is begun with in the second minute was left out before.
func TestJudge_aMetricThatComesLaterIsToBeListed(t *testing.T) {
	t.Parallel()
	input := steady(20, 75, 0, 425, 0) + `{"t":101,"metric":"attempts","canary":{"n":15,"bad":0},"stable":{"n":85,"bad":0}}` + "\n"
	code, _, stderr := judge(t, input, "--config", nothingListed(t))
	if code != ExitUsage || !strings.Contains(stderr, "line 21") || !strings.Contains(stderr, "attempts") || !strings.Contains(stderr, "list it") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Without hard rules reports still show what goes astray, second by second.
func TestJudge_withoutHardRulesAttemptsAreReportsAsEver(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, `{"t":%d,"metric":"attempts","canary":{"n":60,"bad":0},"stable":{"n":85,"bad":0}}`+"\n", i+1)
	}
	_, lines, _ := judge(t, b.String(), "--metric", "attempts", "--hard-fail=false", "--weight", "15")
	if r := verdict(t, lines); r.Reason != "TrafficMismatch" || r.Windows != 12 {
		t.Errorf("%+v", r)
	}
	stuck := strings.ReplaceAll(b.String(), `"n":60,"bad":0`, `"n":2,"bad":0,"started":15`)
	_, lines, _ = judge(t, stuck, "--metric", "attempts", "--hard-fail=false")
	if r := verdict(t, lines); r.Verdict != "Inconclusive" {
		t.Errorf("a hard rule decided: %+v", r)
	}
}
