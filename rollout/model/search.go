package model

import (
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/rollout"
)

// Result is what a search found.
type Result struct {
	States    int
	Edges     int // moves that lead somewhere
	Depth     int // moves of the longest shortest way
	Complete  bool
	Violation *Violation // nil: there is none
}

// Violation is a rule that was broken, and a shortest way there.
type Violation struct {
	Text  string
	Moves []string
}

type search struct {
	bounds    Bounds
	mutant    Mutant
	shownSpec rollout.Spec // what the engine is given
	verbs     []int8
	edges     map[rollout.Edge]bool
	states    *states
	nodes     []node
	known     map[world]int32
	fine      map[world]bool // from which the fair run rests
}

// node is how a world was reached.
type node struct {
	from int32
	by   move
}

// Search looks at every behaviour within the bounds, shortest first, until one breaks a rule.
func Search(b Bounds, m Mutant) Result {
	x := &search{bounds: b, mutant: m, shownSpec: spec(b.Paused), edges: map[rollout.Edge]bool{}, states: newStates(), known: map[world]int32{}, fine: map[world]bool{}}
	if m.Spec != nil {
		m.Spec(&x.shownSpec)
	}
	for i, v := range rollout.Verbs() {
		for _, wanted := range b.Verbs {
			if v == wanted {
				x.verbs = append(x.verbs, int8(i))
			}
		}
	}
	for _, e := range rollout.Edges() {
		x.edges[e] = true
	}
	return x.run()
}

func (x *search) run() Result {
	var out Result
	first := x.bounds.begin(x.states)
	x.reach(first, -1, move{})
	level := []world{first}
	var moves []move
	for ; len(level) > 0; out.Depth++ {
		var next []world
		for i := range level {
			w := &level[i]
			at := x.known[*w]
			moves = x.moves(w, moves[:0])
			for _, m := range moves {
				after, err := x.apply(*w, m)
				if errors.Is(err, errNothing) {
					continue
				}
				if err != nil {
					out.Violation = &Violation{Text: err.Error(), Moves: append(x.way(at), m.String())}
					return x.end(out)
				}
				out.Edges++
				if x.reach(after, at, m) {
					next = append(next, after)
				}
			}
			if err := x.fair(*w); err != nil {
				out.Violation = &Violation{Text: err.Error(), Moves: x.way(at)}
				return x.end(out)
			}
		}
		level = next
	}
	out.Complete = true
	return x.end(out)
}

func (x *search) end(out Result) Result {
	out.States = len(x.nodes)
	return out
}

// reach notes a world; false: it was known.
func (x *search) reach(w world, from int32, by move) bool {
	if _, known := x.known[w]; known {
		return false
	}
	x.known[w] = int32(len(x.nodes))
	x.nodes = append(x.nodes, node{from, by})
	return true
}

// way is the moves to a node.
func (x *search) way(at int32) []string {
	var out []string
	for ; x.nodes[at].from >= 0; at = x.nodes[at].from {
		out = append([]string{x.nodes[at].by.String()}, out...)
	}
	return out
}

// fairLimit bounds how long a run without faults may take.
const fairLimit = 300

// fair follows the run in which nothing fails any more, and the metrics are good, until it rests.
func (x *search) fair(w world) error {
	var passed []world
	for range fairLimit {
		if x.fine[w] {
			break
		}
		passed = append(passed, w)
		next, rests, err := x.fairly(w)
		if err != nil {
			return fmt.Errorf("then nothing fails any more, and: %w", err)
		}
		if rests {
			break
		}
		if w = next; len(passed) == fairLimit {
			st := x.states.at(w.stored[0])
			return fmt.Errorf("then nothing fails any more, and it does not come to rest from %s %s", st.Phase, st.Reason)
		}
	}
	for _, p := range passed {
		x.fine[p] = true
	}
	return nil
}

// fairly makes the next move of that run.
func (x *search) fairly(w world) (world, bool, error) {
	if m, ok := x.repair(&w); ok {
		next, err := x.apply(w, m)
		return next, false, err
	}
	for p := range int8(x.bounds.Proxies) {
		if x.news(&w, p) {
			next, err := x.apply(w, move{movePush, p, 0})
			return next, false, err
		}
	}
	leader := int8(0)
	for r := range int8(x.bounds.Replicas) {
		if rep := w.replicas[r]; rep.leader && (!w.replicas[leader].leader || rep.epoch > w.replicas[leader].epoch) {
			leader = r
		}
	}
	verdict := int8(noVerdict)
	if x.judged(&w, leader, promotes) {
		verdict = promotes
	}
	next, err := x.apply(w, move{moveDecide, leader, verdict})
	switch {
	case err == nil:
		return next, false, nil
	case !errors.Is(err, errNothing):
		return w, false, err
	}
	rests, err := x.rests(&w)
	if rests || err != nil {
		return w, rests, err
	}
	next = x.pass(w)
	next.trim()
	return next, false, nil
}

// repair is the next thing to be put right, if there is one.
func (x *search) repair(w *world) (move, bool) {
	switch {
	case w.down:
		return move{kind: moveUp}, true
	case w.empty:
		return move{kind: moveFill}, true
	}
	for r := range int8(x.bounds.Replicas) {
		switch {
		case !w.replicas[r].up:
			return move{moveRestart, r, 0}, true
		case w.replicas[r].lag > 0:
			return move{moveSee, r, 0}, true
		}
	}
	if !w.led(x.bounds) {
		return move{moveLead, 0, 0}, true
	}
	if x.answerable(w) {
		return move{kind: moveAnswer}, true
	}
	return move{}, false
}

// rests reports that nothing is left to do but by a person. At rest, what runs is what Git wants, unless that failed.
func (x *search) rests(w *world) (bool, error) {
	st := x.states.at(w.stored[0])
	switch {
	case st.Phase == rollout.Holding && waits(st.Progress.Hold), st.Phase == rollout.Preparing && (x.bounds.Paused || w.memory.paused || overdue(st)):
		return true, nil
	case !st.Phase.Rest() || st.Previous.Name != "":
		return false, nil
	}
	if err := x.everybodyHas(w, share{stable: number(st.Stable)}); err != nil {
		return false, fmt.Errorf("at rest %w", err)
	}
	if number(st.Stable) != w.want && !w.memory.rejected[w.want] {
		return false, fmt.Errorf("it rests with %s, and Git wants %s, which has not failed", st.Stable.Name, name(w.want))
	}
	return true, nil
}

// waits reports that a reason to hold is a person's to end.
func waits(reason rollout.Reason) bool {
	return reason == rollout.ManualPause || reason == rollout.PausedInGit || reason == rollout.DeadlineExceeded
}

// overdue reports that the attempt has taken all its time, after which only a person goes on.
func overdue(st *rollout.State) bool { return start().Sub(st.Progress.StartedAt) >= oldest*tick }
