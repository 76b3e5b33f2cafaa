package scenario

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout"
)

// inPhases lead to each phase.
func inPhases() map[rollout.Phase]string {
	begin := "spec bake.min=1m\nproxies 2\nready stable=4 canary=4\nwant v1\nsettle\n"
	baking := begin + "want v2\nsettle\n"
	return map[rollout.Phase]string{
		rollout.Idle:        begin,
		rollout.Preparing:   begin + "ready canary=0\nwant v2\n",
		rollout.Shifting:    begin + "want v2\n",
		rollout.Baking:      baking,
		rollout.Holding:     baking + "spec paused=true\ntick 2m\nverdict Promote reason=NonInferior\n",
		rollout.RollingBack: baking + "verdict Rollback reason=HardFail\n",
		rollout.RolledBack:  baking + "verdict Rollback reason=HardFail\nsettle\n",
	}
}

// news are what happens in each of them.
func news() []string {
	return []string{"want v3", "act abort", `nack gw-1 "no cluster"`, "verdict Rollback reason=RegressionDetected", "delete"}
}

// whatFollows brings everything to its end. Limits are passed by more than a restart may forget of observed time.
const whatFollows = `
ready stable=4 canary=4
spec paused=false
settle
tick 2m
settle
tick 2m
verdict Promote reason=NonInferior
settle
tick 2m
verdict Promote reason=NonInferior
settle
tick 2m
verdict Promote reason=NonInferior
settle
tick 12m
settle
tick 12m
`

// way is what a run came to, without what is only told.
type way struct {
	Path  []string
	End   string
	Notes []rollout.Note
	Final bool
}

// wayOf plays a script, and says how many writes it took. The fault is in its first line.
func wayOf(t *testing.T, script string) (out way, writes int) {
	t.Helper()
	w := NewWorld()
	const many = 1 << 20
	w.fault.after = many
	for line := range strings.Lines(script) {
		if err := w.Do(strings.TrimSpace(line)); err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
	}
	all, told := w.Stored(), uint64(0)
	for i := 1; i < len(all); i++ {
		switch was, is := all[i-1], all[i]; {
		case rollout.Tells(was, is):
			told++
		case is.Seq != was.Seq:
			out.Path = append(out.Path, fmt.Sprintf("%d %s > %s %s %d%%", is.Seq-told, was.Phase, is.Phase, is.Reason, is.Traffic.Weight))
		}
	}
	if w.fault.write != "" {
		t.Errorf("the fault never came\n%s", script)
	}
	st := w.State()
	out.Notes, out.Final = w.told, w.final
	out.End = fmt.Sprintf("%s %s attempt=%d stable=%s attempted=%s previous=%s managed=%v", st.Phase, st.Outcome, st.Attempt, st.Stable.Name, st.Attempted,
		st.Previous.Name, st.Managed)
	for _, r := range st.Rejected {
		out.End += fmt.Sprintf("\nrejected %s %s", r.Digest, r.Reason)
	}
	for _, h := range st.History {
		out.End += fmt.Sprintf("\nhistory %d %s %s %s", h.Attempt, h.Version.Name, h.Outcome, h.Reason)
	}
	for _, c := range st.Consumed {
		out.End += fmt.Sprintf("\nconsumed %s %s", c.Verb, c.Answer)
	}
	return out, many - w.fault.after
}

// TestEnumerate_everyWriteOfEveryPhase lets in each phase each thing happen, and each write on the way go wrong in each way:
// the same transitions follow, to the same end, and the same is told.
func TestEnumerate_everyWriteOfEveryPhase(t *testing.T) {
	t.Parallel()
	modes := []string{"lost", "applied", "conflict", "lost crash=true", "applied crash=true"}
	points := 0
	for phase, begin := range inPhases() {
		reached := NewWorld()
		for line := range strings.Lines(begin) {
			if err := reached.Do(strings.TrimSpace(line)); err != nil {
				t.Fatal(err)
			}
		}
		if got := reached.State().Phase; got != phase {
			t.Fatalf("in %s, want %s", got, phase)
		}
		for _, event := range news() {
			script := begin + event + whatFollows
			want, writes := wayOf(t, script)
			if !slices.Contains([]string{"Idle", "RolledBack"}, strings.Fields(want.End)[0]) {
				t.Fatalf("%s, %s: no rest: %+v", phase, event, want)
			}
			for n := range writes {
				for _, mode := range modes {
					kind, crash, _ := strings.Cut(mode, " ")
					fault := fmt.Sprintf("write %s after=%d %s\n", kind, n, crash)
					got, _ := wayOf(t, fault+script)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s, %s, %s (-undisturbed +disturbed)\n%s", phase, event, fault, diff)
					}
					points++
				}
			}
		}
	}
	t.Logf("%d points", points)
}
