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
	sum := 0
	for s := range int64(40) {
		tape := &Tape{}
		_, w, err := walk(rand.New(rand.NewSource(s)).Intn, 120, func(w *World) { w.Watch(tape.Add) })
		if err != nil {
			t.Fatalf("-seed %d: %v", s, err)
		}
		again, script := replayed(t, tape)
		if n := strings.Count(script, "\nlook {"); n > tapeLength || n <= tapeLength-2*packOf {
			t.Errorf("-seed %d: %d looks, want %d at most and hardly fewer", s, n, tapeLength)
		}
		if size := tape.Size(); size > tapeLength*400 || len(tape.list) > 1 {
			t.Errorf("-seed %d: %d bytes are packed, %d looks (%d) are not", s, size, len(tape.list), cap(tape.list))
		}
		sum += tape.Size()
		if diff := cmp.Diff(kept(w.State()), kept(again.State())); diff != "" {
			t.Errorf("-seed %d (-was +replayed):\n%s", s, diff)
		}
	}
	t.Logf("%d bytes of a full tape are packed", sum/40)
}

// TestTape_shortened says that a tape from which decisions were taken plays to the same end, and gets smaller.
func TestTape_shortened(t *testing.T) {
	t.Parallel()
	tape := &Tape{}
	_, w, err := walk(rand.New(rand.NewSource(3)).Intn, 120, func(w *World) { w.Watch(tape.Add) })
	if err != nil {
		t.Fatal(err)
	}
	for tape.Size() > 0 {
		size := tape.Size()
		tape.Shorten()
		again, _ := replayed(t, tape)
		if diff := cmp.Diff(kept(w.State()), kept(again.State())); diff != "" || tape.Size() >= size {
			t.Fatalf("%d bytes after %d (-was +replayed):\n%s", tape.Size(), size, diff)
		}
	}
	tape.Shorten()
	if _, script := replayed(t, tape); !strings.Contains(script, "\nlook {") || !tape.Rests() {
		t.Errorf("rests: %v, with no more than the newest:\n%s", tape.Rests(), script)
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

// TestTape_ofRestHoldsOneState says that a Rollout at which nothing happens takes one state, and one spec.
func TestTape_ofRestHoldsOneState(t *testing.T) {
	t.Parallel()
	w, last := NewWorld(), Decision{}
	w.Watch(func(d Decision) { last = d })
	if _, err := w.Play("proxies 2\nready stable=4 canary=4\nwant v1\nsettle\ntick 4m\ntick 4m\n"); err != nil {
		t.Fatal(err)
	}
	last.Stored, last.Moved = false, false
	tape := &Tape{}
	for range 3 {
		tape.Add(last)
		if tape.base != tape.before || tape.before != tape.after || tape.origin != tape.spec || len(tape.list) != 1 {
			t.Errorf("%d looks: states %p %p %p, specs %p %p", len(tape.list), tape.base, tape.before, tape.after, tape.origin, tape.spec)
		}
	}
}
