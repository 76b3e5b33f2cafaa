package model

import (
	"errors"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

func ticks(n int8) time.Duration { return time.Duration(n) * tick }

// errNothing says that a move changes nothing.
var errNothing = errors.New("nothing happens")

// apply is the world after a move. An error other than errNothing is a rule that the move breaks.
func (x *search) apply(w world, m move) (world, error) {
	next, err := x.applied(w, m)
	next.trim()
	return next, err
}

func (x *search) applied(w world, m move) (world, error) {
	switch m.kind {
	case moveSee:
		x.see(&w, m.who, w.replicas[m.who].lag-1)
	case moveDecide:
		return x.decide(w, m.who, m.what)
	case moveDie:
		next, err := x.decide(w, m.who, m.what)
		if err != nil || next.stored == w.stored && next.epoch == w.epoch {
			return w, errors.Join(err, errNothing)
		}
		next.left.crashes--
		next.crash(m.who)
		return next, nil
	case moveCrash:
		w.left.crashes--
		w.crash(m.who)
	case moveRestart:
		rep := &w.replicas[m.who]
		*rep = replica{up: true, epoch: rep.epoch, elapsed: x.mutant.since(rep.elapsed)}
	case moveLead:
		x.lead(&w, m.who)
	case moveConnect:
		if w.replicas[w.proxies[m.who].replica].up {
			w.left.takeovers--
		}
		w.proxies[m.who].replica = m.what
	case movePush:
		return x.push(w, m.who)
	case moveReject:
		w.left.rejects--
		w.proxies[m.who].rejected = behind(x.seen(&w, w.proxies[m.who].replica).Traffic.Seq) + 1
	case moveCommit:
		w.left.commits--
		w.want = m.what
	case moveAct:
		w.left.actions--
		w.action = ask{id: int8(x.bounds.Actions) - w.left.actions, verb: m.what}
		if x.bounds.Late {
			w.action.attempt = 1
		}
	case moveAnswer:
		w.action.said = true
	case moveDown:
		w.left.outages--
		w.down = true
	case moveUp:
		w.down = false
		if x.mutant.Release {
			for r := range w.replicas {
				w.replicas[r].brake, w.replicas[r].reason = 0, 0
			}
		}
	case moveEmpty:
		w.left.empties--
		w.empty = true
	case moveFill:
		w.empty = false
	case moveTick:
		return x.pass(w), nil
	}
	return w, nil
}

// pass lets a tick go by: what is stored gets older, and those who lead have watched.
func (x *search) pass(w world) world {
	for i, n := range w.stored {
		w.stored[i] = x.states.later(n)
	}
	leads := false
	for r := range x.bounds.Replicas {
		rep := &w.replicas[r]
		if rep.up && rep.leader {
			leads = true
		}
		if rep.up && rep.leader || x.mutant.Downtime {
			rep.elapsed = min(rep.elapsed+1, longest)
		}
	}
	if leads {
		w.memory.watched = min(w.memory.watched+1, longest)
	}
	return w
}

// trim forgets stored states that nobody can see any more.
func (w *world) trim() {
	most := int8(0)
	for _, r := range w.replicas {
		if r.up {
			most = max(most, r.lag)
		}
	}
	for i := int(most) + 1; i < versions; i++ {
		w.stored[i] = 0
	}
}

func (w *world) crash(r int8) {
	rep := &w.replicas[r]
	*rep = replica{epoch: rep.epoch, elapsed: rep.elapsed}
	w.memory.found[r] = false
}

// lead makes a replica leader. It takes a new epoch before it writes anything.
func (x *search) lead(w *world, r int8) {
	if w.led(x.bounds) {
		w.left.takeovers--
	}
	w.lease++
	rep := &w.replicas[r]
	rep.leader, rep.epoch, rep.elapsed = true, w.lease, x.mutant.since(rep.elapsed)
}

// see brings a replica to a stored state. It forgets a brake whose attempt that state has ended.
func (x *search) see(w *world, r, lag int8) {
	rep := &w.replicas[r]
	rep.lag, rep.elapsed = lag, 0
	if rep.brake > 0 && !rep.brakes(x.states.at(w.stored[lag])) && attemptNow-int64(rep.brake-1) <= x.states.at(w.stored[lag]).Attempt {
		rep.brake, rep.reason = 0, 0
	}
}

// push gives a proxy what its replica has.
func (x *search) push(w world, p int8) (world, error) {
	have := &w.proxies[p]
	st := x.seen(&w, have.replica)
	next := x.rendered(&w, have.replica)
	since := behind(st.Traffic.Seq)
	switch {
	case since > have.behind:
		return w, errors.New("a proxy is given what is older than what it has")
	case st.Attempt == attemptNow && w.memory.found[have.replica] && next.weight > 0 && have.share.weight == 0:
		return w, errors.New("a replica that found the attempt harmful gives its canary traffic again")
	}
	have.behind, have.share, have.rejected = since, next, 0
	return w, nil
}

// decide lets a leader run the engine and write.
func (x *search) decide(w world, r, verdict int8) (world, error) {
	st, obs := x.observe(&w, r, verdict)
	shown := obs
	if x.mutant.Observe != nil {
		x.mutant.Observe(st, &shown)
	}
	next, acts := rollout.Step(x.shownSpec, st, shown, start())
	if x.mutant.Result != nil {
		x.mutant.Result(st, shown, &next, &acts)
	}
	if acts.Transition == nil && acts.Consumed == nil && !rollout.Worth(st, next, tick/4) {
		return w, errNothing
	}
	rep := &w.replicas[r]
	fails := st.Phase.Open() && next.Outcome.Failed()
	stale := rep.lag > 0 && !x.mutant.Unconditional
	switch {
	case w.down:
		if !fails || rep.brake > 0 {
			return w, errNothing
		}
		rep.brake, rep.reason = int8(attemptNow-st.Attempt)+1, reasonIndex(next.Reason)
		w.memory.found[r] = w.memory.found[r] || st.Attempt == attemptNow && rep.lag == 0
		return w, nil
	case rep.epoch < w.epoch && !x.mutant.Unfenced:
		rep.leader, rep.brake, rep.reason = false, 0, 0 // it meets a higher epoch, and stops
		w.memory.found[r] = false
		x.see(&w, r, 0)
		return w, nil
	case stale: // refused; it reads again
		x.see(&w, r, 0)
		return w, nil
	}
	return x.store(w, r, written{prev: st, obs: obs, next: next, acts: acts})
}

func reasonIndex(reason rollout.Reason) int8 {
	for i, r := range rollout.FailReasons() {
		if r == reason {
			return int8(i)
		}
	}
	return 0
}

// written is a write that the API server takes.
type written struct {
	prev rollout.State // that it was made from
	obs  rollout.Observation
	next rollout.State
	acts rollout.Actions
}

// store makes a state the newest, and holds it against the rules.
func (x *search) store(w world, r int8, wr written) (world, error) {
	before := x.states.at(w.stored[0])
	if err := x.hold(&w, r, before, wr); err != nil {
		return w, err
	}
	seq, attempt := uint8(wr.next.Seq-before.Seq), uint8(wr.next.Attempt-before.Attempt)
	w.remember(before, wr, x.bounds)
	rebase(&wr.next, uint64(seq), int64(attempt))
	for i := versions - 1; i > 0; i-- {
		w.stored[i] = x.states.behind(w.stored[i-1], seq, attempt)
	}
	w.stored[0], w.epoch = x.states.of(wr.next), w.replicas[r].epoch
	for i := range x.bounds.Replicas {
		rep := &w.replicas[i]
		if rep.brake > 0 {
			rep.brake = min(rep.brake+int8(attempt), 20)
		}
		if int8(i) != r {
			rep.lag++
			if rep.lag == versions {
				x.see(&w, int8(i), versions-1)
			}
		}
	}
	x.see(&w, r, 0)
	for p := range x.bounds.Proxies {
		have := &w.proxies[p]
		have.behind = min(have.behind+int8(seq), 100)
		if have.rejected > 0 {
			have.rejected = min(have.rejected+int8(seq), 101)
		}
	}
	if w.action.id != 0 {
		w.action.attempt = min(w.action.attempt+int8(attempt), 20)
		if w.action.said && !consumes(x.states.at(w.stored[0]), uid(w.action.id)) {
			w.action = ask{}
		}
	}
	return w, nil
}
