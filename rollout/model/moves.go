package model

import (
	"fmt"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// moveKind is what can happen.
type moveKind uint8

const (
	moveSee     moveKind = iota // a replica sees the next stored state
	moveDecide                  // a leader decides and writes
	moveDie                     // the same, and dies once the write is done
	moveCrash                   // a replica dies
	moveRestart                 // it comes back
	moveLead                    // a replica becomes leader
	moveConnect                 // a proxy goes to another replica
	movePush                    // a proxy takes what its replica has
	moveReject                  // it rejects that
	moveCommit                  // Git wants another version
	moveAct                     // a person asks for something
	moveAnswer                  // the action gets its result
	moveDown                    // the API server goes away
	moveUp
	moveEmpty // stable loses its endpoints
	moveFill
	moveTick // time passes
)

// move is one thing that happens: to which replica or proxy, and with what verdict, version, verb or replica.
type move struct {
	kind moveKind
	who  int8
	what int8
}

// The verdicts that a decision may meet.
const (
	noVerdict = iota
	promotes
	rollsBack
)

// String is the move in words.
func (m move) String() string {
	verdict := [...]string{"without a verdict", "on Promote", "on Rollback"}
	switch m.kind {
	case moveSee:
		return fmt.Sprintf("replica %d sees the next state", m.who)
	case moveDecide:
		return fmt.Sprintf("replica %d decides %s", m.who, verdict[m.what])
	case moveDie:
		return fmt.Sprintf("replica %d decides %s, writes and dies", m.who, verdict[m.what])
	case moveCrash:
		return fmt.Sprintf("replica %d dies", m.who)
	case moveRestart:
		return fmt.Sprintf("replica %d starts", m.who)
	case moveLead:
		return fmt.Sprintf("replica %d leads", m.who)
	case moveConnect:
		return fmt.Sprintf("proxy %d goes to replica %d", m.who, m.what)
	case movePush:
		return fmt.Sprintf("proxy %d takes what it is sent", m.who)
	case moveReject:
		return fmt.Sprintf("proxy %d rejects what it is sent", m.who)
	case moveCommit:
		return fmt.Sprintf("Git wants v%d", m.what)
	case moveAct:
		return fmt.Sprintf("a person asks for %s", rollout.Verbs()[m.what])
	case moveAnswer:
		return "the action has its result"
	case moveDown:
		return "the API server goes away"
	case moveUp:
		return "the API server is back"
	case moveEmpty:
		return "stable loses its endpoints"
	case moveFill:
		return "stable has endpoints again"
	default:
		return "time passes"
	}
}

// moves are all that can happen in a world.
func (x *search) moves(w *world, out []move) []move {
	for r := range int8(x.bounds.Replicas) {
		out = x.replicaMoves(w, r, out)
	}
	for p := range int8(x.bounds.Proxies) {
		out = x.proxyMoves(w, p, out)
	}
	for v := int8(1); v <= 3 && w.left.commits > 0; v++ {
		if v != w.want {
			out = append(out, move{moveCommit, 0, v})
		}
	}
	for i := range x.verbs {
		if w.left.actions > 0 && w.action.id == 0 {
			out = append(out, move{moveAct, 0, x.verbs[i]})
		}
	}
	if x.answerable(w) {
		out = append(out, move{kind: moveAnswer})
	}
	switch {
	case w.down:
		out = append(out, move{kind: moveUp})
	case w.left.outages > 0:
		out = append(out, move{kind: moveDown})
	}
	switch {
	case w.empty:
		out = append(out, move{kind: moveFill})
	case w.left.empties > 0:
		out = append(out, move{kind: moveEmpty})
	}
	return append(out, move{kind: moveTick})
}

func (x *search) replicaMoves(w *world, r int8, out []move) []move {
	rep := w.replicas[r]
	if !rep.up {
		return append(out, move{moveRestart, r, 0})
	}
	if rep.lag > 0 && !w.down {
		out = append(out, move{moveSee, r, 0})
	}
	if rep.leader {
		for verdict := range int8(3) {
			if x.judged(w, r, verdict) {
				out = append(out, move{moveDecide, r, verdict})
				if w.left.crashes > 0 {
					out = append(out, move{moveDie, r, verdict})
				}
			}
		}
	} else if !w.down && (w.left.takeovers > 0 || !w.led(x.bounds)) {
		out = append(out, move{moveLead, r, 0})
	}
	if w.left.crashes > 0 {
		out = append(out, move{moveCrash, r, 0})
	}
	return out
}

// judged reports that a verdict can be met in the state that a replica sees.
func (x *search) judged(w *world, r, verdict int8) bool {
	st := x.seen(w, r)
	switch verdict {
	case promotes:
		return st.Phase == rollout.Baking || st.Phase == rollout.Holding
	case rollsBack:
		return st.Phase.Open() && st.Traffic.Weight > 0
	default:
		return true
	}
}

// led reports that a leader runs.
func (w *world) led(b Bounds) bool {
	for r := range b.Replicas {
		if w.replicas[r].up && w.replicas[r].leader {
			return true
		}
	}
	return false
}

func (x *search) proxyMoves(w *world, p int8, out []move) []move {
	at := w.proxies[p].replica
	for r := range int8(x.bounds.Replicas) {
		if r != at && w.replicas[r].up && (w.left.takeovers > 0 || !w.replicas[at].up) {
			out = append(out, move{moveConnect, p, r})
		}
	}
	if !w.replicas[at].up || !x.news(w, p) {
		return out
	}
	out = append(out, move{movePush, p, 0})
	if w.left.rejects > 0 && w.proxies[p].rejected == 0 {
		out = append(out, move{moveReject, p, 0})
	}
	return out
}

// news reports that a proxy is to be sent something: what its replica has, unless the proxy has what is newer.
func (x *search) news(w *world, p int8) bool {
	have := w.proxies[p]
	st := x.seen(w, have.replica)
	since := behind(st.Traffic.Seq)
	if since > have.behind && !x.mutant.Backwards {
		return false
	}
	if x.mutant.Deaf && x.rendered(w, have.replica).weight < have.share.weight {
		return false
	}
	return since != have.behind || x.rendered(w, have.replica) != have.share && have.rejected != since+1
}

func behind(seq uint64) int8 { return int8(min(seqNow-seq, 100)) }

// seen is the stored state that a replica works from.
func (x *search) seen(w *world, r int8) *rollout.State {
	return x.states.at(w.stored[w.replicas[r].lag])
}

// rendered is what a replica gives proxies: what it sees, and nothing for a canary that it brakes.
func (x *search) rendered(w *world, r int8) share {
	st := x.seen(w, r)
	out := asked(st)
	if w.replicas[r].brakes(st) {
		out.weight = 0
	}
	return out
}

// answerable reports that the waiting action was decided on, as the stored state says.
func (x *search) answerable(w *world) bool {
	if w.action.id == 0 || w.action.said || w.down {
		return false
	}
	return consumes(x.states.at(w.stored[0]), uid(w.action.id))
}

func consumes(st *rollout.State, id string) bool {
	for _, c := range st.Consumed {
		if c.UID == id {
			return true
		}
	}
	return false
}

func uid(n int8) string { return [...]string{"", "a1", "a2", "a3"}[n] }

// observe is what a replica sees, under the state that it sees.
func (x *search) observe(w *world, r, verdict int8) (rollout.State, rollout.Observation) {
	st := *x.seen(w, r)
	obs := rollout.Observation{
		Seq:    st.Seq,
		Want:   rollout.Want{Known: true, Version: version(w.want)},
		Clocks: st.Progress.Clocks.Add(ticks(w.replicas[r].elapsed)),
		Fleet:  x.fleet(w, r, &st),
		Ready:  rollout.Ready{Known: true, Stable: 2, Canary: 2},
	}
	if w.empty {
		obs.Ready.Stable = 0
	}
	switch verdict {
	case promotes:
		obs.Report = analysis.Report{Verdict: analysis.Promote, Reason: analysis.NonInferior}
	case rollsBack:
		obs.Report = analysis.Report{Verdict: analysis.Rollback, Reason: analysis.RegressionDetected}
	default:
		if st.Phase == rollout.Baking || st.Phase == rollout.Holding {
			obs.Report = analysis.Report{Verdict: analysis.Inconclusive, Reason: analysis.NeedsRequests}
		}
	}
	if rep := w.replicas[r]; rep.brakes(&st) {
		obs.Brake = &rollout.Brake{Attempt: st.Attempt, Reason: rollout.FailReasons()[rep.reason]}
	}
	if a := w.action; a.id != 0 {
		if !a.said {
			one := rollout.Action{UID: uid(a.id), Verb: rollout.Verbs()[a.verb], IfAttempt: attemptNow - int64(a.attempt), Actor: "ana", Created: start()}
			if one.Verb == rollout.VerbSkip {
				one.Step = "all"
			}
			obs.Action, _ = rollout.Due(st, []rollout.Action{one}, start())
		} else if consumes(&st, uid(a.id)) {
			obs.Written = []string{uid(a.id)}
		}
	}
	return st, obs
}

// fleet is how far the connected proxies are with a state, as a replica knows.
func (x *search) fleet(w *world, r int8, st *rollout.State) rollout.Fleet {
	out := rollout.Fleet{Rendered: true}
	for p := range x.bounds.Proxies {
		have := w.proxies[p]
		if !w.replicas[have.replica].up || x.mutant.Own && have.replica != r {
			continue
		}
		out.Connected++
		since := behind(st.Traffic.Seq)
		switch {
		case have.rejected == since+1:
			out.Nacked++
			out.First = "it was rejected"
		case have.behind == since && have.share == asked(st):
			out.Acked++
		}
	}
	out.Settled = out.Connected > 0 && out.Acked == out.Connected
	out.SettledAt = start()
	return out
}
