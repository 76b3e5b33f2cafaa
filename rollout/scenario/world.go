package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// persistEvery is how often clocks are stored when nothing else is.
const persistEvery = 15 * time.Second

// maxSteps bounds the steps that one command may cause.
const maxSteps = 200

// World is the engine's surroundings and the one replica that runs it.
type World struct {
	clock
	outside
	people
	spec  settings
	store []rollout.State // every version stored, newest last
	seen  rollout.Watch
	fleet fleet
	judge judge
	fault fault
	audit audit
	ends
	printed
}

// ends is when the engine asked to be woken, and whether it gave the object up.
type ends struct {
	wake  time.Time
	final bool
}

// printed is what came out and was not taken yet, and who else is told.
type printed struct {
	told  []rollout.Note
	out   []string
	watch func(Decision) // nil: nobody
}

// Watch has every decision from now on told, once it is known what became of it.
func (w *World) Watch(told func(Decision)) { w.watch = told }

// tell says what a decision led to: stored are the versions that were stored before it.
func (w *World) tell(d Decision, acts rollout.Actions, stored int) {
	if w.watch == nil {
		return
	}
	d.Moved, d.Stored = acts.Transition != nil || acts.Consumed != nil, len(w.store) > stored
	w.watch(d)
}

// clock is what time it is: by the wall, and since the beginning.
type clock struct {
	wall time.Time
	mono time.Duration
}

// outside is what Git and the mesh say.
type outside struct {
	want     rollout.Want
	ready    rollout.Ready
	problems []rollout.Reason
}

// fault is what goes wrong next.
type fault struct {
	write string // "", conflict, lost, applied, refused
	after int    // writes that come before that one
	dies  bool   // the replica, with it
	lag   int
	told  string // what the server said to a refused write
}

// next is what goes wrong with a write.
func (f *fault) next() (kind string, dies bool) {
	if f.write == "" || f.after > 0 {
		f.after--
		return "", false
	}
	kind, dies = f.write, f.dies
	f.write, f.dies = "", false
	return kind, dies
}

// NewWorld is a world at its beginning: nothing stored, no proxy, endpoints unknown, Git unknown.
func NewWorld() *World {
	start := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	return &World{spec: defaults(), store: []rollout.State{{}}, clock: clock{wall: start}, audit: newAudit()}
}

// State is the newest stored state.
func (w *World) State() rollout.State { return w.store[len(w.store)-1] }

// Stored are all versions that were stored, oldest first; the first is that of an object never written.
func (w *World) Stored() []rollout.State { return slices.Clone(w.store) }

// Final reports whether the object's finalizer was given up.
func (w *World) Final() bool { return w.final }

// Take returns the lines put out since it was last called.
func (w *World) Take() []string {
	out := w.out
	w.out = nil
	return out
}

func (w *World) sayf(format string, args ...any) { w.out = append(w.out, fmt.Sprintf(format, args...)) }

// run steps until nothing changes.
func (w *World) run() error {
	for range maxSteps {
		again, err := w.step()
		if err != nil || !again {
			return err
		}
	}
	return fmt.Errorf("no rest after %d steps at %s", maxSteps, w.State().Phase)
}

// step is one reconcile: read, observe, decide, check, write.
func (w *World) step() (again bool, err error) {
	newest := len(w.store) - 1
	read := max(0, newest-w.fault.lag)
	w.fault.lag = 0
	st := w.store[read]
	obs := w.observe(st)
	var expired []rollout.Action
	obs.Action, expired = rollout.Due(st, w.pending(), w.wall)
	for _, a := range expired {
		w.answer(a.UID, rollout.Expired)
		w.sayf("expired %s", a.Verb)
	}
	if w.fault.told != "" {
		return w.sayRefused(read, st, obs)
	}
	next, acts := rollout.Step(w.spec.engine(), st, obs, w.wall)
	if err := rollout.Check(w.spec.engine(), st, next, obs, w.wall); err != nil {
		return false, fmt.Errorf("after seq %d: %w", st.Seq, err)
	}
	if twice, _ := rollout.Step(w.spec.engine(), st, obs, w.wall); !reflect.DeepEqual(twice, next) {
		return false, fmt.Errorf("seq %d: the same observation gave two states", st.Seq)
	}
	d := Decision{Spec: w.spec.engine(), State: st, Observation: obs, Now: w.wall, Next: next}
	w.wake, w.final = acts.Wake, w.final || acts.Finalize
	if acts.Transition == nil && acts.Consumed == nil && !rollout.Worth(st, next, persistEvery) {
		w.seen = w.seen.Seen(next, w.mono)
		w.tell(d, acts, newest+1)
		return read != newest, nil
	}
	again, err = w.write(read, next, acts)
	w.tell(d, acts, newest+1)
	return again, err
}

// sayRefused tells of a write that the server refused, as often as that is to be told. What was refused is tried again then.
func (w *World) sayRefused(read int, st rollout.State, obs rollout.Observation) (bool, error) {
	obs.Refused, w.fault.told = w.fault.told, ""
	next, acts := rollout.SayRefused(w.spec.engine(), st, obs, w.wall)
	if acts.Transition == nil {
		return true, nil
	}
	stored := len(w.store)
	d := Decision{Spec: w.spec.engine(), State: st, Observation: obs, Now: w.wall, How: BySayRefused, Next: next}
	again, err := w.write(read, next, acts)
	w.tell(d, acts, stored)
	return again, err
}

// write stores next if what was read is still the newest, or does what the fault says.
func (w *World) write(read int, next rollout.State, acts rollout.Actions) (bool, error) {
	if w.down {
		w.unwritten(w.store[read], next)
		return false, nil
	}
	kind, dies := w.fault.next()
	if dies {
		defer w.restarted()
	}
	if read != len(w.store)-1 {
		kind = "conflict"
	}
	if kind == "conflict" || kind == "lost" {
		w.sayf("%s seq=%d", kind, next.Seq)
		return true, nil
	}
	if kind == "refused" && acts.Transition != nil {
		w.sayf("forbidden seq=%d", next.Seq)
		w.fault.told = "forbidden by a policy"
		return true, nil
	}
	prev := w.State()
	if err := w.stored(prev, next, acts); err != nil {
		return false, err
	}
	if kind == "applied" {
		w.sayf("applied seq=%d", next.Seq)
		return true, nil
	}
	w.seen = w.seen.Seen(next, w.mono)
	return true, nil
}

// stored makes next the newest state, and puts out what that means.
func (w *World) stored(prev, next rollout.State, acts rollout.Actions) error {
	if err := w.audit.stored(prev, next); err != nil {
		return err
	}
	w.store = append(w.store, next)
	w.fleet.render(next, w.mono)
	if w.brake != nil && (next.Attempt > w.brake.Attempt || !next.Phase.Open()) {
		w.brake = nil
	}
	if c := acts.Consumed; c != nil {
		w.answer(c.UID, c.Answer)
		if c.Answer == rollout.Refused {
			w.sayf("refused %s %s", c.Verb, c.Code)
		}
	}
	if moved := acts.Transition; moved != nil {
		w.judge.moved(prev, next)
		w.say(next, *moved)
		if n := moved.Note(); n != "" {
			w.told = append(w.told, n)
		}
	}
	return nil
}

func (w *World) observe(st rollout.State) rollout.Observation {
	return rollout.Observation{
		Seq:      st.Seq,
		Want:     w.want,
		Clocks:   w.seen.Clocks(st, w.mono),
		Fleet:    w.fleet.observe(w.wall, w.mono),
		Ready:    w.ready,
		Report:   w.judge.report(st),
		Problems: w.problems,
		Window:   w.open(w.wall),
		Written:  w.written(st),
		Brake:    w.brake,
	}
}

// say puts out a transition.
func (w *World) say(next rollout.State, m rollout.Transition) {
	line := fmt.Sprintf("%d %s > %s %s", m.Seq, m.From, m.To, m.Reason)
	switch {
	case m.To == rollout.RollingBack:
		line += fmt.Sprintf(" %d%%", m.Weight)
		if m.From != rollout.RollingBack && next.Outcome.Failed() {
			line += " rejected=" + next.Rejected[0].Name
		}
	case m.Reason == rollout.AttemptStarted:
		line += fmt.Sprintf(" attempt=%d %s%s", next.Attempt, next.Canary.Name, kind(next.Kind))
	case m.From.Open() && m.To.Open():
		line += fmt.Sprintf(" %d/%d %d%%%s", m.Step, m.Steps, m.Weight, extra(next.Traffic))
	case m.Reason == rollout.StatusRefused:
	case m.Reason != rollout.RolledBackDone && m.Reason != rollout.Cleared && m.Reason != rollout.WarmDownEnded:
		line += " " + next.Stable.Name
	}
	w.out = append(w.out, line)
}

func kind(k rollout.Kind) string {
	switch {
	case k.Undo:
		return " undo"
	case k.Proven:
		return " proven"
	case k.Observe:
		return " dryRun"
	}
	return ""
}

// extra is what is rendered besides the weight.
func extra(t rollout.Traffic) string {
	out := ""
	for _, m := range t.Match {
		for _, h := range m.Headers {
			out += fmt.Sprintf(" match=%s:%s", h.Name, h.Value)
		}
	}
	if t.Mirror.Percent > 0 {
		out += fmt.Sprintf(" mirror=%d%%", t.Mirror.Percent)
	}
	if t.Preview != "" {
		out += " preview=" + t.Preview
	}
	return out
}

// tick lets d pass, stopping wherever the engine asked to be woken, and once in a while to store clocks.
func (w *World) tick(d time.Duration) error {
	for end := w.mono + d; w.mono < end; {
		step := end - w.mono
		if until := w.wake.Sub(w.wall); !w.wake.IsZero() && until > 0 {
			step = min(step, until)
		}
		if w.State().Phase.Open() || w.State().Phase == rollout.RollingBack {
			step = min(step, persistEvery)
		}
		w.mono, w.wall = w.mono+step, w.wall.Add(step)
		if err := w.run(); err != nil {
			return err
		}
	}
	return nil
}

// judge is where reports come from: given ones, or the real Judge over given windows. A report belongs to a step of an
// attempt; only Rollback lasts longer.
type judge struct {
	given    analysis.Report
	evidence analysis.Evidence
}

func (j *judge) moved(prev, next rollout.State) {
	if next.Attempt != prev.Attempt {
		*j = judge{}
	}
	if next.Traffic.Step != prev.Traffic.Step && j.given.Verdict != analysis.Rollback {
		j.given = analysis.Report{}
	}
}

func (j *judge) report(st rollout.State) analysis.Report {
	judged := st.Phase == rollout.Baking || st.Phase == rollout.Holding
	if judged || st.Phase.Open() && j.given.Verdict == analysis.Rollback {
		return j.given
	}
	return analysis.Report{}
}
