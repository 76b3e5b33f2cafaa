package scenario

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/test/invariant"
)

// held shows every state that a world stores, with the endpoints that there were, to a Checker of its own.
func held(t *testing.T, name string, exercised map[invariant.Rule]int) (begin func(*World), end func()) {
	t.Helper()
	checker, shown := invariant.New(0), 1
	var world *World
	show := func() {
		for ; shown < len(world.store); shown++ {
			for _, body := range []any{
				invariant.Endpoints{Known: world.ready.Known, Stable: world.ready.Stable, Canary: world.ready.Canary}, storedAs(world.store[shown]),
			} {
				for _, v := range checker.Add(invariant.Event{At: world.mono, Body: body}) {
					t.Errorf("%s: %s\nafter %+v", name, v.Text, world.store[shown-1].Mark)
				}
			}
		}
	}
	begin = func(w *World) { world = w; w.Watch(func(Decision) { show() }) }
	return begin, func() {
		show()
		for rule, n := range checker.Exercised() {
			exercised[rule] += n
		}
	}
}

func storedAs(st rollout.State) invariant.Stored {
	out := invariant.Stored{
		Object: "one", Seq: int64(st.Seq),
		Position: invariant.Position{Attempt: st.Attempt, Open: st.Outcome == rollout.OutcomeOpen, Failed: st.Outcome.Failed(), Step: st.Traffic.Step, Weight: st.Traffic.Weight},
		Versions: invariant.Versions{Stable: st.Stable.Name, Canary: st.Canary.Name, Observe: st.Kind.Observe},
	}
	for _, g := range st.Gates {
		out.Gates = append(out.Gates, invariant.Gate{Step: g.Step, Seq: int64(g.Seq), Asked: g.Actor != ""})
	}
	for _, r := range st.Rejected {
		out.Rejected = append(out.Rejected, r.Digest)
	}
	for _, c := range st.Consumed {
		out.Consumed = append(out.Consumed, invariant.Consumed{ID: c.UID, Seq: int64(c.Seq)})
	}
	return out
}

// TestWalk_keepsTheInvariants judges random worlds by rules that were written apart from the engine.
func TestWalk_keepsTheInvariants(t *testing.T) {
	exercised := map[invariant.Rule]int{}
	for s := range int64(60) {
		begin, end := held(t, fmt.Sprintf("-seed %d", s), exercised)
		script, _, err := walk(rand.New(rand.NewSource(s)).Intn, 120, begin)
		if err != nil {
			t.Fatalf("-seed %d: %v", s, err)
		}
		if end(); t.Failed() {
			t.Fatalf("-seed %d\n%s", s, Script(script))
		}
	}
	t.Log(exercised)
	for _, rule := range invariant.Rules() {
		if elsewhere := rule == invariant.Notes || rule == invariant.Recreated || rule == invariant.Writer; exercised[rule] == 0 && !elsewhere {
			t.Errorf("%s was not put to the test", rule)
		}
	}
}

// TestScenarios_keepTheInvariants judges the scenarios by the same rules.
func TestScenarios_keepTheInvariants(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWorld()
		begin, end := held(t, file, map[invariant.Rule]int{})
		begin(w)
		if _, err := w.Play(string(text)); err != nil {
			t.Fatal(err)
		}
		end()
	}
}
