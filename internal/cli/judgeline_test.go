package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// buckets are lines of 5 s of a histogram by 25, 50 and 100 ms; slow of the canary's 100 requests take over 100 ms.
func buckets(n int, slow uint64) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"t":%d,"metric":"latency","le":[25,50,100],"canary":{"n":100,"le":[20,60,%d]},"stable":{"n":500,"le":[100,300,490]}}`+"\n", 5*(i+1), 100-slow)
	}
	return b.String()
}

func TestJudge_histogramLines(t *testing.T) {
	_, lines, stderr := judge(t, buckets(60, 30), "--metric", "latency", "--trace")
	r := verdict(t, lines)
	if r.Verdict != "Rollback" || r.RollbackAt == nil || len(r.Metrics) != 1 {
		t.Fatalf("%s: %+v", stderr, r)
	}
	m := r.Metrics[0]
	if m.Margin != 1.1 || m.Promotion != 100 || len(m.Bounds) == 0 || m.Canary.Bad == 0 || m.Stable.Bad == 0 {
		t.Errorf("metric %+v", m)
	}
	var trace traceLine
	if err := json.Unmarshal([]byte(lines[0]), &trace); err != nil || trace.LogFactor != nil || len(trace.Canary.Le) != 3 || len(lines) != 61 {
		t.Errorf("trace %+v, %v, %d lines", trace, err, len(lines))
	}
	_, lines, _ = judge(t, buckets(120, 2), "--metric", "latency")
	if r := verdict(t, lines); r.Verdict == "Rollback" || r.Metrics[0].LogE > math.Log(10) {
		t.Errorf("the same latency: %+v", r)
	}
}

func TestJudge_histogramLinesMerge(t *testing.T) {
	input := strings.ReplaceAll(buckets(6, 2), `"t":`, `"endpoints":3,"t":`)
	_, lines, stderr := judge(t, input, "--metric", "slow,kind=histogram", "--trace", "--window", "15s")
	if len(lines) != 1 || stderr == "" {
		t.Fatalf("a metric that is not declared passed: %q", lines)
	}
	_, lines, _ = judge(t, input, "--metric", "latency,kind=histogram", "--trace", "--window", "15s")
	var trace traceLine
	if err := json.Unmarshal([]byte(lines[0]), &trace); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 3 || trace.DT != 15 || trace.Canary.N != 300 || fmt.Sprint(trace.Canary.Le, trace.Stable.Le) != "[60 180 294] [300 900 1470]" {
		t.Errorf("%d lines, the first %+v", len(lines), trace)
	}
}

func TestJudge_attemptsLinesFeedRulesAndTrafficCheck(t *testing.T) {
	attempts := func(n, nc, xc, sent int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"t":%d,"metric":"attempts","canary":{"n":%d,"bad":%d,"started":%d},"stable":{"n":85,"bad":0}}`+"\n", i+1, nc, xc, sent)
		}
		return b.String()
	}
	for name, r := range map[string]struct {
		input           string
		args            []string
		verdict, reason string
		until           float64
	}{
		"hard fail":   {attempts(60, 15, 14, 15), nil, "Rollback", "HardFail", 6},
		"stalled":     {attempts(120, 2, 0, 15), nil, "Rollback", "Stalled", 90},
		"no rule":     {attempts(30, 15, 14, 15), []string{"--hard-fail=false"}, "Rollback", "RegressionDetected", 40},
		"as it is":    {attempts(60, 15, 0, 15), nil, "Inconclusive", "NoPromotionSource", 60},
		"misdirected": {attempts(60, 60, 0, 60), []string{"--weight", "15"}, "Inconclusive", "TrafficMismatch", 60},
		"as asked":    {attempts(60, 15, 0, 15), []string{"--weight", "15"}, "Inconclusive", "NoPromotionSource", 60},
	} {
		t.Run(name, func(t *testing.T) {
			_, lines, stderr := judge(t, r.input, append(r.args, "--metric", "attempts", "--trace")...)
			got := verdict(t, lines)
			if string(got.Verdict) != r.verdict || string(got.Reason) != r.reason || got.T > r.until || got.Windows != len(lines)-1 || got.Windows < 5 {
				t.Errorf("%s (%s) at %v, %d windows, %d lines of trace; want %s (%s) by %v; %s",
					got.Verdict, got.Reason, got.T, got.Windows, len(lines)-1, r.verdict, r.reason, r.until, stderr)
			}
			var trace traceLine
			if err := json.Unmarshal([]byte(lines[1]), &trace); err != nil || trace.DT != 5 || trace.Stable.N != 425 || (trace.LogShare != nil) != (len(r.args) == 2) {
				t.Errorf("%v, %s", err, lines[1])
			}
		})
	}
}

func TestJudge_errorsLinesFeedTheTrafficCheck(t *testing.T) {
	for _, hard := range []string{"--hard-fail=true", "--hard-fail=false"} {
		_, lines, _ := judge(t, steady(20, 250, 0, 250, 0), "--weight", "15", hard)
		if r := verdict(t, lines); r.Reason != "TrafficMismatch" || r.PromotableAt != nil && *r.PromotableAt > 20 {
			t.Errorf("%s: half of the traffic at 15 %%: %+v", hard, r)
		}
	}
	if _, lines, _ := judge(t, steady(20, 250, 0, 250, 0)); verdict(t, lines).Verdict != "Promote" {
		t.Errorf("without a weight: %s", lines)
	}
}

func TestJudge_wrongHistogramLines(t *testing.T) {
	good := strings.TrimSpace(buckets(1, 2))
	for name, line := range map[string]string{
		"no le":            `{"t":10,"metric":"latency","canary":{"n":1},"stable":{"n":1}}`,
		"falling bounds":   strings.Replace(good, "[25,50,100]", "[25,100,50]", 1),
		"bound of 0":       strings.Replace(good, "[25,50,100]", "[0,50,100]", 1),
		"other bounds":     strings.Replace(good, "[25,50,100]", "[25,50,200]", 1),
		"missing counts":   strings.Replace(good, "[20,60,98]", "[20,60]", 1),
		"falling counts":   strings.Replace(good, "[20,60,98]", "[20,98,60]", 1),
		"more than all":    strings.Replace(good, "[20,60,98]", "[20,60,101]", 1),
		"bad beside le":    strings.Replace(good, `"n":100`, `"n":100,"bad":1`, 1),
		"negative":         strings.Replace(good, "[20,60,98]", "[-1,60,98]", 1),
		"huge":             strings.Replace(good, `"n":500`, `"n":9007199254740993`, 1),
		"started too many": strings.Replace(good, `"n":500`, `"started":9007199254740993,"n":500`, 1),
		"a gap with le":    `{"t":10,"metric":"latency","gap":"Timeout","le":[1]}`,
	} {
		line = strings.Replace(line, `"t":5`, `"t":10`, 1)
		code, _, stderr := judge(t, good+"\n"+line+"\n", "--metric", "latency")
		if code != ExitUsage || !strings.Contains(stderr, "line 2: ") {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
	}
}

func TestJudge_printsTheTraceAsLinesCome(t *testing.T) {
	in, feed := newPipe(t)
	out := &watched{seen: make(chan string, 8)}
	done := make(chan error, 1)
	go func() {
		cmd := newJudge(Streams{In: in, Out: out, Err: &bytes.Buffer{}})
		cmd.SetArgs([]string{"--trace"})
		done <- cmd.ExecuteContext(t.Context())
	}()
	feed(`{"t":5,"metric":"errors","canary":{"n":75,"bad":1},"stable":{"n":425,"bad":0}}` + "\n")
	if line := <-out.seen; !strings.Contains(line, `"t":5`) {
		t.Errorf("the first line is %q", line)
	}
	feed("")
	if line := <-out.seen; !strings.Contains(line, `"verdict":"Inconclusive"`) {
		t.Errorf("the last line is %q", line)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// FuzzJudge_anyInputIsAnsweredOrRefused never ends in another way than a verdict or a line number.
func FuzzJudge_anyInputIsAnsweredOrRefused(f *testing.F) {
	f.Add(referencePath)
	f.Add(buckets(2, 5))
	f.Add(steady(2, 1, 0, 1, 0) + `{"t":99,"metric":"errors","gap":"x","weight":100}`)
	f.Add(`{"t":1,"metric":"attempts","weight":50,"canary":{"n":3,"bad":3,"started":9},"stable":{"n":0}}`)
	f.Fuzz(func(t *testing.T, input string) {
		var out, errs bytes.Buffer
		cmd := newJudge(Streams{In: strings.NewReader(input), Out: &out, Err: &errs})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"--trace", "--metric", "errors", "--metric", "latency", "--metric", "attempts"})
		err := cmd.ExecuteContext(t.Context())
		exit, refused := errors.AsType[*Exit](err)
		switch {
		case err != nil && (!refused || exit.Code != ExitUsage || !strings.HasPrefix(err.Error(), "line ")) && !strings.Contains(err.Error(), "reading the windows"):
			t.Errorf("%q: %v", input, err)
		case err == nil:
			for line := range strings.Lines(out.String()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("%q printed %q", input, line)
				}
			}
		}
	})
}

// newPipe is an input that is fed line by line; nothing to feed ends it.
func newPipe(t *testing.T) (*io.PipeReader, func(string)) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = r.Close() })
	return r, func(text string) {
		if text == "" {
			_ = w.Close()
			return
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Error(err)
		}
	}
}

// watched hands on each write.
type watched struct{ seen chan string }

// Write implements io.Writer.
func (w *watched) Write(p []byte) (int, error) {
	w.seen <- string(p)
	return len(p), nil
}
