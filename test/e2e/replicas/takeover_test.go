package replicas

import (
	"encoding/json"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/invariant"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/receiver"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// TestLeader_stoppedInAHeldWrite stops the leader while the write of a step is on its way. The other replica takes over and
// makes the step. Then the write arrives: it is refused, and the first process, which goes on, finds that it leads no more.
func TestLeader_stoppedInAHeldWrite(t *testing.T) {
	s := open(t, 1)
	way := fault.Start(t, s.config)
	_, first := s.door(way, "sluice-0")
	_, second := s.door(way, "sluice-1")
	hook, h := s.notes(), s.follow()
	leader := s.replica("sluice-0", "--kubeconfig", first)
	s.apply(s.rollout(12*time.Second, 3*time.Second))
	h.first(time.Time{}, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" })
	other := s.replica("sluice-1", "--kubeconfig", second)
	e := s.edge(0, other.xds, bootstrap.TLS{})
	h.adopted()
	e.serves(0)
	began := time.Now()
	e.visit(100)
	s.want("v2")
	h.settled(15)
	eventually(t, "the results of deliveries to be stored", func() error {
		if st := h.last(); len(st.Notes) > 0 {
			return fmt.Errorf("%+v", st.Notes)
		}
		return nil
	})

	write, held := holdStep(t, way, "sluice-0")
	if err := leader.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	t.Cleanup(func() { _ = leader.process.Signal(syscall.SIGCONT) })
	was := h.last()
	if was.Weight != 15 {
		t.Fatalf("stopped at another place: %s", brief(&was))
	}
	h.first(stopped, "the other replica to make the step", func(st *v1alpha1.RolloutStatus) bool { return st.Epoch > was.Epoch && st.Seq > was.Seq })
	t.Logf("the other replica makes the step %v after the leader was stopped", time.Since(stopped).Round(time.Millisecond))

	held.Remove()
	eventually(t, "an answer to the held write", func() error {
		if way.Writes()[write].Code == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	if code := way.Writes()[write].Code; code != 409 && code != 422 {
		t.Errorf("the late write is answered %d", code)
	} else {
		t.Logf("the late write is answered %d", code)
	}
	if err := leader.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	eventually(t, "the first process to end", func() error { return ended(leader) })
	t.Logf("the first process ends %v after it goes on", time.Since(resumed).Round(time.Millisecond))
	h.first(began, "the release to be complete", func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v2"
	})
	told(t, hook, "completed")

	for _, w := range way.Writes()[write:] {
		if w.Key.Door == "sluice-0" && w.Key.Resource == "rollouts.sluice.dev" && w.Accepted() {
			t.Errorf("the first process wrote: %s %s", w.Key, w.Body)
		}
	}
	h.eachStepOnce()
	eachNoteOnce(t, hook)
	h.keeps(t, hook, []*edge{e}, invariant.Capacity, invariant.GateFirst, invariant.Writer, invariant.Sequence, invariant.Notes)
	if n := e.failed(began); n != 0 {
		t.Errorf("%d requests failed", n)
	}
}

// ended is an error while a process runs.
func ended(r *replica) error {
	select {
	case <-r.process.Done():
		return nil
	default:
		return fmt.Errorf("%s runs", r.name)
	}
}

// holdStep holds the next status write of a process that makes a transition, and gives its number.
func holdStep(t *testing.T, way *fault.Proxy, door string) (n int, rule *fault.Active) {
	t.Helper()
	key := fault.Key{Door: door, Verb: "patch", Resource: "rollouts.sluice.dev", Subresource: "status"}
	next := fault.Rule{Match: key, Nth: 1, Mode: fault.Held}
	for rule = way.Add(next); ; {
		limit := time.NewTimer(4 * patience)
		select {
		case <-rule.Fired():
		case <-limit.C:
			t.Fatal("nothing is written")
		}
		limit.Stop()
		var n int
		eventually(t, "the write to be written down", func() error {
			all := way.Writes()
			n = slices.IndexFunc(all, func(w fault.Write) bool { return w.Fault == fault.Held && w.Code == 0 })
			if n < 0 {
				return fmt.Errorf("%d writes", len(all))
			}
			return nil
		})
		if moves(t, way.Writes()[n]) {
			return n, rule
		}
		this := rule
		rule = way.Add(next) // before the other goes: none is to slip through
		this.Remove()
		eventually(t, "the write to be done", func() error {
			if way.Writes()[n].Code == 0 {
				return fmt.Errorf("%s", way.Writes()[n].Key)
			}
			return nil
		})
	}
}

// moves reports that a status write makes a transition: it names another seq.
func moves(t *testing.T, w fault.Write) bool {
	t.Helper()
	body := struct{ Status struct{ Seq *int64 } }{}
	if err := json.Unmarshal(w.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.Status.Seq != nil
}

// eachStepOnce checks that every status followed from the one before it by at most one transition that the engine can make.
func (h *history) eachStepOnce() {
	h.site.t.Helper()
	edges := map[string]bool{}
	for _, e := range rollout.Edges() {
		edges[fmt.Sprintf("%s %s %s", e.From, e.To, e.Reason)] = true
	}
	all := h.all()
	for i := 1; i < len(all); i++ {
		was, is := all[i-1].status, all[i].status
		if is.Epoch < was.Epoch {
			h.site.t.Errorf("epoch %d after %d", is.Epoch, was.Epoch)
		}
		if is.Seq == was.Seq {
			if is.Phase != was.Phase || is.Step != was.Step || is.Weight != was.Weight || is.Attempt != was.Attempt {
				h.site.t.Errorf("seq %d is twice:\n%s\n%s", is.Seq, brief(&was), brief(&is))
			}
			continue
		}
		if way := fmt.Sprintf("%s %s %s", was.Phase, is.Phase, is.Reason); is.Seq != was.Seq+1 || !edges[way] {
			h.site.t.Errorf("seq %d, then %d: %s", was.Seq, is.Seq, way)
		}
	}
	h.site.t.Logf("%d statuses, the last one of seq %d", len(all), all[len(all)-1].status.Seq)
}

// eachNoteOnce checks that nothing was told twice, under one id or two.
func eachNoteOnce(t *testing.T, hook *receiver.Receiver) {
	t.Helper()
	err := poll.Until(patience, func() error { // the last one need not come last
		kinds := map[string]int{}
		for _, n := range hook.Notes() {
			kinds[n.Kind]++
		}
		if got, want := fmt.Sprint(kinds), "map[completed:1 started:1 steppassed:2]"; got != want {
			return fmt.Errorf("told %s, want %s", got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, n := range hook.Notes() {
		if n.Duplicate || !n.Verified() {
			t.Errorf("note %s (%s): duplicate %v, %s", n.ID, n.Kind, n.Duplicate, n.Problem)
		}
	}
}
