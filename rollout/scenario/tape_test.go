package scenario

import (
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout"
)

// replayed plays a tape in a fresh world.
func replayed(t *testing.T, tape *Tape) (*World, string) {
	t.Helper()
	script, err := tape.Script("a tape")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld()
	again, err := w.Play(script)
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	if diff := cmp.Diff(script, again); diff != "" {
		t.Fatalf("(-script +played):\n%s", diff)
	}
	return w, script
}

// TestTape_playsToTheSameEnd says that what a tape prints plays to the state that was stored, for every scenario.
func TestTape_playsToTheSameEnd(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w, tape := NewWorld(), &Tape{}
		w.Watch(tape.Add)
		if _, err := w.Play(string(text)); err != nil {
			t.Fatal(err)
		}
		again, script := replayed(t, tape)
		if diff := cmp.Diff(kept(w.State()), kept(again.State())); diff != "" {
			t.Errorf("%s (-was +replayed):\n%s\n%s", file, diff, script)
		}
	}
}

// TestTape_ofRandomWorlds says the same of the last decisions of long stories with faults.
func TestTape_ofRandomWorlds(t *testing.T) {
	t.Parallel()
	for s := range int64(40) {
		tape := &Tape{}
		_, w, err := walk(rand.New(rand.NewSource(s)).Intn, 120, func(w *World) { w.Watch(tape.Add) })
		if err != nil {
			t.Fatalf("-seed %d: %v", s, err)
		}
		again, script := replayed(t, tape)
		if n := strings.Count(script, "\nlook {"); n != tapeLength {
			t.Errorf("-seed %d: %d looks, want %d", s, n, tapeLength)
		}
		if diff := cmp.Diff(kept(w.State()), kept(again.State())); diff != "" {
			t.Errorf("-seed %d (-was +replayed):\n%s", s, diff)
		}
	}
}

// TestTape_keepsWhatHappened says that looks at which nothing happens do not drive out what did.
func TestTape_keepsWhatHappened(t *testing.T) {
	t.Parallel()
	w, tape := NewWorld(), &Tape{}
	w.Watch(tape.Add)
	if _, err := w.Play("proxies 2\nready stable=4 canary=4\nwant v1\nwant v2\nsettle\ntick 4m\nverdict Inconclusive reason=Collecting\ntick 40m\n"); err != nil {
		t.Fatal(err)
	}
	again, script := replayed(t, tape)
	for _, reason := range []rollout.Reason{rollout.Adopted, rollout.AttemptStarted, rollout.WeightRequested, rollout.WeightProgrammed, rollout.InconclusiveTimeout} {
		if !strings.Contains(script, " "+string(reason)) {
			t.Errorf("the tape has lost %s:\n%s", reason, script)
		}
	}
	if n := strings.Count(script, "\nlook {"); n > 14 {
		t.Errorf("%d looks of 45 minutes of waiting:\n%s", n, script)
	}
	if !reflect.DeepEqual(kept(w.State()), kept(again.State())) || !slices.Contains(strings.Split(script, "\n"), "6 Baking > Holding InconclusiveTimeout 1/3 15%") && again.State().Phase != rollout.Holding {
		t.Errorf("%+v", again.State())
	}
}
