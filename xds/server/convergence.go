package server

import (
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxLaggards is how many pending proxies are named.
const maxLaggards = 20

// convergence says how far the proxies are with a split of the Rollout with the uid. While some class still carries a
// use of an older seq, or of another Rollout that had the name before, or is served nothing yet, nothing is Rendered.
func (l *ledger) convergence(split, uid string, seq uint64) ir.Convergence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.converge(split, uid, seq)
}

// converge is convergence under the lock.
func (l *ledger) converge(split, uid string, seq uint64) ir.Convergence {
	var out ir.Convergence
	var last time.Time
	rendered, behind, braked, stored := false, false, false, false
	carriers := map[ir.ProxyClass][]key{}
	for class, b := range l.books {
		if b.set == nil && b.streams > 0 {
			behind = true // they may run something older of it
		}
		use, a := b.account(split)
		if use == nil {
			continue
		}
		if use.UID != uid {
			behind = true
			continue
		}
		rendered = rendered || use.Seq >= seq
		braked, stored = braked || use.Braked, stored || !use.Braked
		behind = behind || use.Seq < seq
		carriers[class] = a.keys
		out.Connected += len(a.answers)
		out.Acked += a.acked
		out.Nacked += a.nacked
		out.Laggards = a.laggards(out.Laggards)
		at, first := a.times(b)
		if at.After(last) {
			last = at
		}
		if first != nil && (out.First == nil || first.At.Before(out.First.At)) {
			one := *first
			out.First = &one
		}
	}
	out.Rendered = rendered && !behind && !braked
	out.Braked = braked && !stored
	out.Pending = out.Connected - out.Acked - out.Nacked
	stray, away := l.sent(carriers)
	out.Lost, out.Away = l.losses(carriers)+stray, away
	if out.Done() || out.Stopped() {
		out.SettledAt = last.Add(l.timing.Settle)
	}
	return out
}

// account is that of a split, and its use; nil: the class has none.
func (b *book) account(split string) (*ir.SplitUse, *account) {
	if b.set == nil {
		return nil, nil
	}
	use := useOf(b.set.uses, split)
	if use == nil {
		return nil, nil
	}
	return use, b.accounts[b.namesOf(use)]
}

func (t *tally) count() int {
	if t == nil {
		return 0
	}
	return t.clients
}

// losses counts the nodes that went away while one of the resources was pending on them.
func (l *ledger) losses(carriers map[ir.ProxyClass][]key) int {
	n := 0
	for _, lost := range l.lost {
		for _, k := range carriers[lost.class] {
			if lost.keys[k] {
				n++
				break
			}
		}
	}
	return n
}
