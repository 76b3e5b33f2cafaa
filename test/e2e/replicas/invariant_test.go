package replicas

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/invariant"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/receiver"
)

// keeps judges by the invariants what was seen from outside: every status, what the proxies run at the end, when users last
// met v2, and the notes. The rules that are named were put to the test.
func (h *history) keeps(t *testing.T, hook *receiver.Receiver, edges []*edge, rules ...invariant.Rule) {
	t.Helper()
	all := h.all()
	log := &seenLog{start: all[0].at}
	log.add(log.start, invariant.Endpoints{Known: true, Stable: 1, Canary: 1})
	for _, e := range all {
		log.add(e.at, storedAs(&e.status))
	}
	for _, e := range edges {
		if last, met := e.users.Record().Last(log.start, time.Time{}, load.Of("v2")); met {
			log.add(last.Start, invariant.Answered{Version: "v2"})
		}
		weight, err := e.weight()
		if err != nil {
			t.Fatal(err)
		}
		log.add(time.Now(), invariant.Served{Proxy: e.node, Canary: weight, Total: 100})
	}
	for _, n := range hook.Notes() {
		parts := strings.Split(n.ID, ".")
		if len(parts) != 4 {
			t.Fatalf("the id of a note is %q", n.ID)
		}
		seq, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			t.Fatalf("the id of a note is %q", n.ID)
		}
		if !n.Duplicate {
			log.add(n.At, invariant.Noted{Receiver: parts[3], ID: n.ID, Object: parts[0], Seq: seq})
		}
	}
	exercised := log.check(t)
	for _, r := range rules {
		if exercised[r] == 0 {
			t.Errorf("%s was not put to the test: %v", r, exercised)
		}
	}
}

// seenLog is events in the order in which they are found.
type seenLog struct {
	start  time.Time
	events []invariant.Event
}

func (l *seenLog) add(at time.Time, body any) {
	l.events = append(l.events, invariant.Event{At: at.Sub(l.start), Body: body})
}

// check puts the events in order of time and judges them.
func (l *seenLog) check(t *testing.T) map[invariant.Rule]int {
	t.Helper()
	slices.SortStableFunc(l.events, func(a, b invariant.Event) int { return cmp.Compare(a.At, b.At) })
	checker := invariant.New(zeroWithin + busy)
	kept := false
	for i, e := range l.events {
		for _, v := range checker.Add(e) {
			t.Errorf("%v after the first status: %s", e.At.Round(time.Millisecond), v.Text)
			if !kept {
				kept = true
				keep(t, l.events[:i+1])
			}
		}
	}
	t.Logf("invariants: %v over %d events", checker.Exercised(), len(l.events))
	return checker.Exercised()
}

// keep leaves what was seen up to the first violation in a file, for invariant.Read.
func keep(t *testing.T, events []invariant.Event) {
	t.Helper()
	file, err := os.CreateTemp("", "seen-*.jsonl")
	if err == nil {
		err = errors.Join(invariant.Write(file, events), file.Close())
	}
	if err != nil {
		t.Errorf("what was seen is not kept: %v", err)
		return
	}
	t.Logf("what was seen up to it: %s", file.Name())
}

func storedAs(st *v1alpha1.RolloutStatus) invariant.Stored {
	out := invariant.Stored{
		Object: "the only one", Epoch: st.Epoch, Seq: st.Seq,
		Position: invariant.Position{
			Attempt: st.Attempt, Open: st.Outcome == v1alpha1.OutcomeOpen, Step: int(st.Step), Weight: int(st.Weight),
			Failed: st.Outcome == v1alpha1.OutcomeRolledBack || st.Outcome == v1alpha1.OutcomeAborted,
		},
		Versions: invariant.Versions{Stable: st.Stable.Name, Observe: st.Observe},
	}
	if st.Canary != nil {
		out.Canary = st.Canary.Name
	}
	for _, g := range st.Gates {
		out.Gates = append(out.Gates, invariant.Gate{Step: int(g.Step), Seq: g.Seq, Asked: g.Actor != ""})
	}
	for _, r := range st.Rejected {
		out.Rejected = append(out.Rejected, r.Digest)
	}
	for _, c := range st.Consumed {
		out.Consumed = append(out.Consumed, invariant.Consumed{ID: c.UID, Seq: c.Seq})
	}
	return out
}
