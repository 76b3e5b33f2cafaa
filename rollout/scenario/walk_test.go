package scenario

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/rollout"
)

var (
	seed  = flag.Int64("seed", 1, "seed of the first random walk")
	walks = flag.Int("walks", 300, "how many random walks")
)

// TestWalk lets random worlds happen: lost and doubled writes, stale reads and observations, clocks that are set, pushes
// on top of each other, rejections, crashes. Every stored step is checked, and a fair world comes to rest.
func TestWalk(t *testing.T) {
	t.Logf("seeds from %d (-seed, -walks)", *seed)
	for i := range *walks {
		s := *seed + int64(i)
		if script, _, err := Walk(rand.New(rand.NewSource(s)).Intn, 120); err != nil {
			t.Fatalf("-seed %d: %v\n%s", s, err, Script(script))
		}
	}
}

// TestEdges says that the table holds no row that cannot happen: every edge is taken by a scenario or a walk.
func TestEdges(t *testing.T) {
	seen := map[string]bool{}
	note := func(w *World) {
		for _, e := range w.Edges() {
			seen[e] = true
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWorld()
		if _, err := w.Play(string(script)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		note(w)
	}
	for _, at := range phaseScripts() {
		for _, end := range endings() {
			w := NewWorld()
			if _, err := w.Play(at + end); err != nil {
				t.Fatalf("%s%s: %v", at, end, err)
			}
			note(w)
		}
	}
	for s := range int64(120) {
		script, w, err := Walk(rand.New(rand.NewSource(s)).Intn, 120)
		if err != nil {
			t.Fatalf("-seed %d: %v\n%s", s, err, Script(script))
		}
		note(w)
	}
	for _, e := range rollout.Edges() {
		line := fmt.Sprintf("%s > %s %s", e.From, e.To, e.Reason)
		if !seen[line] {
			t.Errorf("%s is never taken", line)
		}
	}
}

// phaseScripts lead to each open phase.
func phaseScripts() []string {
	preparing := "proxies 2\nready stable=4 canary=0\nspec steps.1.approvals=1\nwant v1\nwant v2\n"
	shifting := "proxies 2\nready stable=4 canary=4\nspec steps.1.approvals=1\nwant v1\nwant v2\n"
	baking := shifting + "settle\n"
	return []string{preparing, shifting, baking, baking + "tick 5m\nverdict Promote\n"}
}

// endings are what people do in any open phase, and failures that only a brake brings there.
func endings() []string {
	out := []string{"act abort", "act rollback", "act retry", "act pause\nact resume", "act approve if-attempt=1 step=1", "delete", "want v1", "want v3"}
	for _, r := range rollout.FailReasons() {
		out = append(out, "brake "+string(r)+"\nbrake off")
	}
	return out
}

// TestWalk_sameSeed says that a walk is a function of its choices.
func TestWalk_sameSeed(t *testing.T) {
	a, wa, errA := Walk(rand.New(rand.NewSource(7)).Intn, 200)
	b, wb, errB := Walk(rand.New(rand.NewSource(7)).Intn, 200)
	if errA != nil || errB != nil {
		t.Fatalf("%v, %v", errA, errB)
	}
	if !slices.Equal(a, b) || fmt.Sprint(wa.State()) != fmt.Sprint(wb.State()) {
		t.Errorf("two walks with one seed differ: %v and %v", wa.State().Mark, wb.State().Mark)
	}
}
