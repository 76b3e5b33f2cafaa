package model

import (
	"encoding/binary"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// id is a stored state; 0 is none. Equal states have one id.
type id uint32

// states are all stored states that were found, each kept relative to the newest one and to now. What only people read is
// left out.
type states struct {
	list  []*rollout.State
	ids   map[string]id
	older map[id]id // the same a tick later
	back  map[shift]id
}

// shift is a state seen from one that was stored after it.
type shift struct {
	of      id
	seq     uint8
	attempt uint8
}

func newStates() *states {
	return &states{list: []*rollout.State{nil}, ids: map[string]id{}, older: map[id]id{}, back: map[shift]id{}}
}

// of is the id of a state whose seq and attempt are those of the newest.
func (s *states) of(st rollout.State) id {
	plain(&st)
	key := string(encode(nil, &st))
	if known, ok := s.ids[key]; ok {
		return known
	}
	s.list = append(s.list, &st)
	n := id(len(s.list) - 1)
	s.ids[key] = n
	return n
}

func (s *states) at(n id) *rollout.State { return s.list[n] }

// later is a state a tick later.
func (s *states) later(n id) id {
	if n == 0 {
		return 0
	}
	if known, ok := s.older[n]; ok {
		return known
	}
	st := *s.at(n)
	if t := &st.Progress.StartedAt; !t.IsZero() {
		*t = latest(t.Add(-tick), start().Add(-oldest*tick))
	}
	if t := &st.Previous.Until; !t.IsZero() {
		*t = latest(t.Add(-tick), start())
	}
	out := s.of(st)
	s.older[n] = out
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// behind is a state when another one is stored after it, whose seq and attempt are higher by so much.
func (s *states) behind(n id, seq, attempt uint8) id {
	if n == 0 || seq == 0 && attempt == 0 {
		return n
	}
	key := shift{n, seq, attempt}
	if known, ok := s.back[key]; ok {
		return known
	}
	st := *s.at(n)
	rebase(&st, uint64(seq), int64(attempt))
	out := s.of(st)
	s.back[key] = out
	return out
}

func rebase(st *rollout.State, seq uint64, attempt int64) {
	st.Seq -= seq
	st.Attempt -= attempt
	st.Traffic.Seq -= seq
	st.Traffic.Settled -= seq
}

// plain takes away what no decision looks at.
func plain(st *rollout.State) {
	st.History, st.Managed, st.Approved, st.Reason, st.Since = nil, nil, nil, "", start()
	if !st.Progress.SettledAt.IsZero() {
		st.Progress.SettledAt = start()
	}
	if st.Traffic.Settled < st.Traffic.Seq {
		st.Traffic.Settled = st.Traffic.Seq - 1 // not settled, however old what was
	}
	gates := make([]rollout.Gate, 0, len(st.Gates))
	for _, g := range st.Gates {
		gates = append(gates, rollout.Gate{Step: g.Step, Result: g.Result})
	}
	st.Gates = gates
	rejected := make([]rollout.Rejection, 0, len(st.Rejected))
	for _, r := range st.Rejected {
		rejected = append(rejected, rollout.Rejection{Version: r.Version})
	}
	st.Rejected = rejected
	consumed := make([]rollout.Consumed, 0, len(st.Consumed))
	for _, c := range st.Consumed {
		consumed = append(consumed, rollout.Consumed{UID: c.UID, Verb: c.Verb, Answer: c.Answer})
	}
	st.Consumed = consumed
}

// encode writes all that is left of a state; equal states give equal bytes.
func encode(to []byte, st *rollout.State) []byte {
	text := func(s string) { to = append(append(to, s...), 0) }
	num := func(n int64) { to = binary.AppendVarint(to, n) }
	flag := func(on bool) {
		if on {
			to = append(to, 1)
		} else {
			to = append(to, 0)
		}
	}
	age := func(t time.Time) {
		if t.IsZero() {
			num(-1000)
		} else {
			num(int64(start().Sub(t) / time.Second))
		}
	}
	v := func(v rollout.Version) { num(int64(number(v))) }
	num(int64(st.Seq))
	num(st.Attempt)
	num(int64(st.Phase))
	text(string(st.Outcome))
	text(string(st.Reason))
	age(st.Since)
	num(int64(st.Traffic.Step))
	num(int64(st.Traffic.Weight))
	num(int64(st.Traffic.Seq))
	num(int64(st.Traffic.Settled))
	v(st.Stable)
	v(st.Canary)
	v(st.Previous.Version)
	age(st.Previous.Until)
	flag(st.Kind.Undo)
	num(int64(len(st.Plan)))
	text(st.Attempted)
	for _, g := range st.Gates {
		num(int64(g.Step))
		text(string(g.Result))
	}
	text("")
	for _, r := range st.Rejected {
		v(r.Version)
	}
	text("")
	for _, c := range st.Consumed {
		text(c.UID)
		text(string(c.Answer))
	}
	text("")
	p := st.Progress
	age(p.StartedAt)
	age(p.SettledAt)
	num(int64(p.Base))
	text(string(p.Hold))
	for _, r := range p.Told {
		text(string(r))
	}
	text("")
	for _, d := range []time.Duration{p.Clocks.Phase, p.Clocks.Step, p.Clocks.Blind, p.Clocks.Empty, p.Clocks.Few, p.Clocks.Gate} {
		num(int64(d / time.Second))
	}
	flag(p.Wishes.Paused)
	flag(p.Wishes.OverrideWindow)
	flag(p.Wishes.Full)
	num(int64(p.Wishes.Override))
	return to
}
