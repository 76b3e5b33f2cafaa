package server

import (
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxLaggards is how many pending proxies are named.
const maxLaggards = 20

// convergence says how far the proxies are with a split. A proxy counts when it runs, or has rejected, some version of
// a resource that carries the split; a fresh one that has applied nothing serves nothing.
func (l *ledger) convergence(split string, seq uint64) ir.Convergence {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out ir.Convergence
	var last time.Time
	var laggards []string
	rendered, behind := false, false
	carriers := map[ir.ProxyClass][]key{}
	for class, b := range l.books {
		if b.set == nil {
			continue
		}
		use, carries := b.set.uses[split]
		if !carries {
			continue
		}
		rendered = rendered || use.Seq >= seq
		behind = behind || use.Seq < seq
		keys := keysOf(use)
		carriers[class] = keys
		t := b.tally(keys, &laggards)
		out.Connected += t.connected
		out.Acked += t.acked
		out.Nacked += t.nacked
		if t.last.After(last) {
			last = t.last
		}
		if t.first != nil && (out.First == nil || t.first.At.Before(out.First.At)) {
			first := *t.first
			out.First = &first
		}
	}
	out.Rendered = rendered && !behind
	out.Pending = out.Connected - out.Acked - out.Nacked
	out.Lost = l.losses(carriers)
	out.Laggards = sortedNodes(laggards, maxLaggards)
	if out.Done() {
		out.SettledAt = last.Add(l.timing.Settle)
	}
	return out
}

func keysOf(use ir.SplitUse) []key {
	keys := make([]key, 0, len(use.Tables)+len(use.Listeners))
	for _, name := range use.Tables {
		keys = append(keys, key{kind: routes, name: name})
	}
	for _, name := range use.Listeners {
		keys = append(keys, key{kind: listeners, name: name})
	}
	return keys
}

// standing is how far the clients of one class are with one split.
type standing struct {
	connected, acked, nacked int
	last                     time.Time
	first                    *ir.Rejection
}

// tally adds up the rows of a split's resources. One resource is read off its counts; with several of them a client
// counts once, by the worst of its answers.
func (b *book) tally(keys []key, laggards *[]string) standing {
	var out standing
	clients := map[*client]bool{}
	for _, k := range keys {
		r, want := b.rows[k], b.want(k)
		if r == nil {
			continue
		}
		if t := r.acked[want]; t != nil && t.last.After(out.last) {
			out.last = t.last
		}
		if t := r.nacked[want]; t != nil && t.clients > 0 && (out.first == nil || t.first.At.Before(out.first.At)) {
			out.first = t.first
		}
		if len(keys) == 1 {
			out.connected, out.acked, out.nacked = len(r.members), r.acked[want].count(), r.nacked[want].count()
			if out.connected == out.acked+out.nacked {
				return out
			}
		}
		for c := range r.members {
			clients[c] = true
		}
	}
	out.connected, out.acked, out.nacked = len(clients), 0, 0
	for c := range clients {
		switch b.answer(c, keys) {
		case acked:
			out.acked++
		case rejected:
			out.nacked++
		default:
			*laggards = append(*laggards, c.node)
		}
	}
	return out
}

// answer is the worst of a client's answers to the wanted versions; reported stands for none yet.
func (b *book) answer(c *client, keys []key) verdict {
	worst := acked
	for _, k := range keys {
		of, want := c.cells[k], b.want(k)
		switch {
		case of == nil || want == "":
		case of.refused == want:
			return rejected
		case of.version != want:
			worst = reported
		}
	}
	return worst
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
