package main

import (
	"io"
	"path/filepath"
	"regexp"
	"testing"
)

// of gives one number of a result.
func of(t *testing.T, f fields, name string) any {
	t.Helper()
	for _, one := range f {
		if one.name == name {
			return one.value
		}
	}
	t.Fatalf("no %q in %v", name, f)
	return nil
}

func TestStep_isOneResourceOfOneType(t *testing.T) {
	f, err := step(t.Context(), settings{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"types": 1, "resources_per_stream": 1.0, "responses_per_stream": 1.0} {
		if got := of(t, f, name); got != want {
			t.Errorf("%s is %v, want %v: %v", name, got, want, f)
		}
	}
	if got := of(t, f, "bytes_per_stream").(int64); got < 15<<10 || got > 18<<10 {
		t.Errorf("%d bytes per stream for a table of 16 KiB", got)
	}
}

func TestNack_isAnsweredByNothing(t *testing.T) {
	f, err := nack(t.Context(), settings{})
	if err != nil {
		t.Fatal(err)
	}
	if got := of(t, f, "responses_after"); got != 0 {
		t.Errorf("%v responses because of rejections: %v", got, f)
	}
	if got := of(t, f, "rejections").(int); got < 1 {
		t.Errorf("%d rejections: %v", got, f)
	}
}

func TestReconnect_sendsNothingTwiceAndNothingOlder(t *testing.T) {
	f, err := reconnected(t.Context(), 50)
	if err != nil {
		t.Fatal(err)
	}
	if got := of(t, f, "resources_when_unchanged"); got != int64(0) {
		t.Errorf("%v resources although nothing has changed: %v", got, f)
	}
	if got := of(t, f, "older_versions"); got != int64(0) {
		t.Errorf("%v older versions: %v", got, f)
	}
}

func TestSlowReader_holdsNobodyUp(t *testing.T) {
	f, err := slowed(t.Context(), settings{rounds: 1, pushes: 10}, 20)
	if err != nil {
		t.Fatal(err) // the others did not converge
	}
	if got := of(t, f, "p99"); got == 0 {
		t.Errorf("nothing was measured: %v", f)
	}
}

func TestPush_allThreeConverge(t *testing.T) {
	f, err := push(t.Context(), settings{rounds: 3, pushes: 2}, 10, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	if got := of(t, f, "pushes"); got != uint64(6) {
		t.Errorf("%v pushes: %v", got, f)
	}
}

func TestRunAll_writesWhatItPrints(t *testing.T) {
	out := filepath.Join(t.TempDir(), "deep", "xds.json")
	if err := runAll(t.Context(), settings{rounds: 1, pushes: 1, run: regexp.MustCompile("^step$"), out: out}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if lines := read(t, out); len(lines) != 1 || lines[0]["benchmark"] != "step" || lines[0]["types"] != 1.0 {
		t.Errorf("got %v", lines)
	}
}
