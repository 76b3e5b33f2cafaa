package main

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func read(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestQuantile_ofUnsortedTimes(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if p50, p99 := quantile(times, 0.5), quantile(times, 0.99); p50 != 51*time.Millisecond || p99 != 100*time.Millisecond {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestFields_areOneLine(t *testing.T) {
	f := fields{{"benchmark", "push/n=1/size=1K"}, {"p50", 3 * time.Millisecond}, {"ratio", 1.234}}
	if got, want := f.String(), "push n=1 size=1K p50=3ms ratio=1.23"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
