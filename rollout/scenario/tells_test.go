package scenario

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout"
)

// TestTells_isTrueOfWhatMovesNothing holds the rule against every transition of every scenario: those that only tell are
// from a phase to itself, and no other reason is ever found among them.
func TestTells_isTrueOfWhatMovesNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	told := map[rollout.Reason]bool{}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWorld()
		if _, err := w.Play(string(script)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all := w.Stored()
		for i := 1; i < len(all); i++ {
			if !rollout.Tells(all[i-1], all[i]) {
				continue
			}
			told[all[i].Reason] = true
			if all[i].Phase != all[i-1].Phase || all[i].Traffic.Seq != all[i-1].Traffic.Seq {
				t.Errorf("%s: seq %d, %s > %s %s moves something", file, all[i].Seq, all[i-1].Phase, all[i].Phase, all[i].Reason)
			}
		}
	}
	want := []rollout.Reason{rollout.Blind, rollout.NoProxies, rollout.ProgressDeadlineExceeded, rollout.StableIsEmpty, rollout.StatusRefused,
		rollout.Suspicious, rollout.TrafficMismatch, rollout.WaitingForTraffic}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("(-want +told)\n%s", diff)
	}
}
