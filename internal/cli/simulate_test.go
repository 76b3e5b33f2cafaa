package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// simulate runs the verb and gives the exit code and what it printed.
func simulate(t *testing.T, args ...string) (code int, out, stderr string) {
	t.Helper()
	var printed, errs bytes.Buffer
	cmd := newSimulate(Streams{In: strings.NewReader(""), Out: &printed, Err: &errs})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		code, stderr = ExitUsage, err.Error()
		if exit, ok := errors.AsType[*Exit](err); ok {
			code = exit.Code
		}
	}
	return code, printed.String(), stderr
}

func TestSimulate_sameFlagsSameBytes(t *testing.T) {
	args := []string{"--runs", "6", "--canary-errors", "5%,50%", "--pods", "8", "--outages", "20/h:4s", "--incidents", "9/h:10s:30%", "--missed", "5%", "--proxies", "2"}
	for _, format := range []string{"table", "md", "json"} {
		_, first, stderr := simulate(t, append(args, "-o", format)...)
		_, second, _ := simulate(t, append(args, "-o", format)...)
		if first == "" || first != second {
			t.Errorf("%s: %s\n%s", format, stderr, cmp.Diff(first, second))
		}
		_, other, _ := simulate(t, append(args, "-o", format, "--seed", "2")...)
		if other == first {
			t.Errorf("%s: another seed printed the same", format)
		}
	}
}

func TestSimulate_rowsSayWhatHappened(t *testing.T) {
	_, out, stderr := simulate(t, "--runs", "12", "--canary-errors", "0,5%", "--stable-errors", "0", "--fault-at", "5m", "--horizon", "10m", "-o", "json")
	var got simulated
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Rows) != 2 {
		t.Fatalf("%v, %s in %s", err, stderr, out)
	}
	good, bad := got.Rows[0], got.Rows[1]
	if good.RolledBack.Share != 0 || good.RolledBack.P50 != nil || good.Promotable.Share != 1 || *good.Promotable.P50 != -240 || good.BadServed != 0 {
		t.Errorf("without errors: %+v", good)
	}
	if bad.RolledBack.Share != 1 || *bad.RolledBack.P50 <= 0 || *bad.RolledBack.P50 > 40 || bad.BadServed < 5 || bad.BadServed > 60 || *bad.CanaryErrors != 0.05 {
		t.Errorf("bad from 5 min on: %+v", bad)
	}
}

func TestSimulate_flagsReachTheJudge(t *testing.T) {
	p50 := func(args ...string) float64 {
		_, out, stderr := simulate(t, append([]string{"--runs", "10", "--canary-errors", "5%", "-o", "json"}, args...)...)
		var got simulated
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Rows[0].RolledBack.P50 == nil {
			t.Fatalf("%v: %v, %s", args, err, stderr)
		}
		return *got.Rows[0].RolledBack.P50
	}
	config := filepath.Join(t.TempDir(), "analysis.yaml")
	if err := os.WriteFile(config, []byte("metrics:\n- {name: errors, noise: independent, warmup: 0s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	scraped := filepath.Join(t.TempDir(), "scraped.yaml") // what proxies report needs no scrape
	if err := os.WriteFile(scraped, []byte("metrics:\n- {name: errors, warmup: 0s}\n- {name: attempts, disabled: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := p50()
	for name, r := range map[string]struct {
		args   []string
		sooner bool
	}{
		"independent":  {[]string{"--noise", "independent"}, true},
		"config":       {[]string{"--config", config}, true},
		"warm-up":      {[]string{"--warmup", "1m"}, false},
		"less traffic": {[]string{"--rps", "10"}, false},
		"slow scrapes": {[]string{"--scrape", "1m", "--config", scraped}, false},
	} {
		if got := p50(r.args...); (got < base) != r.sooner || got == base {
			t.Errorf("%s: p50 %v s, without %v s", name, got, base)
		}
	}
	if soft, hard := func() (float64, float64) {
		args := []string{"--canary-errors", "90%"}
		return p50(append(args, "--hard-fail=false")...), p50(args...)
	}(); soft <= hard {
		t.Errorf("90 %% bad: %v s without the hard rule, %v s with it", soft, hard)
	}
}

func TestSimulate_wrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--runs", "0"}, {"--weight", "0"}, {"--weight", "101"}, {"--horizon", "0s"}, {"--fault-at", "1h"}, {"-o", "xml"},
		{"--pods", "3"}, {"--outages", "1/h:5s"}, {"--outages", "1:5s"}, {"--outages", "x/h:5s"}, {"--outages", "1/h:0s"}, {"--incidents", "1/h:5s:0"},
		{"--incidents", "1/h:5s:x"}, {"--canary-errors", "2"}, {"--canary-errors", "x"}, {"--stable-errors", "200%"}, {"--rps", "-1"},
		{"--scrape", "10ms"}, {"--proxies", "-1"}, {"--missed", "3"}, {"--endpoints", "-1"}, {"--config", "no-such-file"}, {"--rho0", "1"},
		{"--reference", "--rps", "3"}, {"--reference", "--noise", "independent"},
		{"--reference", "--scenario", "x"}, {"--scenario", "no-such-file"}, {"--scenario", "x", "--seed", "2"}, {"a", "b"}, {"no-such-file"},
		{"x", "--weight", "20"}, {"x", "--reference"},
	} {
		if code, out, stderr := simulate(t, args...); code != ExitUsage || stderr == "" || out != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, stderr)
		}
	}
}

func TestSimulate_referenceNamesWhatMissesItsBar(t *testing.T) {
	code, out, stderr := simulate(t, "--reference", "--runs", "1", "-o", "json")
	var got simulated
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	misses, peers := 0, map[string]int{}
	for _, r := range got.Rows {
		misses += len(r.Misses)
		peers[r.Rule]++
		if r.Rule != "Sluice" && (r.Promotable != nil || len(r.Misses) > 0) {
			t.Errorf("another tool's row %+v", r)
		}
	}
	if (misses > 0) != (code == ExitNo) || (misses > 0) != strings.Contains(stderr, "the bar is missed") {
		t.Errorf("exit %d with %d misses: %s", code, misses, stderr)
	}
	if peers["Sluice"] < 20 || peers["Argo-like"] < 8 || peers["Flagger-like"] != peers["Argo-like"] || peers["Kayenta-like"] != peers["Argo-like"] {
		t.Errorf("rows by rule: %v", peers)
	}
}
