package server

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// account is how far the clients of one class are with one split. It changes with each answer; nobody counts anew.
type account struct {
	use     ir.SplitUse
	keys    []key
	wants   []string            // versions of keys
	others  map[string][]string // the same for the kinds of proxies that reject something; empty: what they reject concerns the split
	answers map[*client]verdict // of the clients that count: the worst of their answers; reported stands for none yet
	acked   int
	nacked  int
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

// reopen brings the accounts of a book in line with its set. One whose versions are the same goes on.
func (b *book) reopen() {
	before := b.accounts
	b.accounts = make(map[string]*account, len(b.set.uses))
	b.by = map[key][]*account{}
	for name, use := range b.set.uses {
		next := &account{use: use, keys: keysOf(use), answers: map[*client]verdict{}}
		for _, k := range next.keys {
			next.wants = append(next.wants, b.want(k))
		}
		next.others = b.others(next)
		if a := before[name]; a != nil && slices.Equal(a.keys, next.keys) && slices.Equal(a.wants, next.wants) && maps.EqualFunc(a.others, next.others, slices.Equal) {
			a.use, next = use, a
		} else {
			next.open(b)
		}
		b.accounts[name] = next
		for _, k := range next.keys {
			b.by[k] = append(b.by[k], next)
		}
	}
}

// others are the versions that an account wants of the kinds of proxies that reject something.
func (b *book) others(a *account) map[string][]string {
	out := map[string][]string{}
	for flavour := range b.variants {
		for _, k := range a.keys {
			version := b.wants(k, flavour)
			if b.concerns(k, flavour, a.use.Clusters) {
				version = ""
			}
			out[flavour] = append(out[flavour], version)
		}
	}
	return out
}

// open counts the clients for the first time.
func (a *account) open(b *book) {
	for _, k := range a.keys {
		if r := b.rows[k]; r != nil {
			for c := range r.members {
				a.update(c)
			}
		}
	}
}

// update takes a client's newest answers.
func (a *account) update(c *client) {
	a.add(c, -1)
	delete(a.answers, c)
	if answer, counts := a.answerOf(c); counts {
		a.answers[c] = answer
		a.add(c, 1)
	}
}

func (a *account) add(c *client, n int) {
	switch answer, counts := a.answers[c]; {
	case !counts:
	case answer == acked:
		a.acked += n
	case answer == rejected:
		a.nacked += n
	}
}

// answerOf is the worst of a client's answers to the wanted versions. A client counts when it runs, or has rejected,
// some version of one of the resources: one that has applied nothing serves nothing.
func (a *account) answerOf(c *client) (worst verdict, counts bool) {
	worst = acked
	others := a.others[c.flavour]
	for i, k := range a.keys {
		of, want := c.cells[k], a.wants[i]
		counts = counts || of != nil
		switch {
		case of == nil || want == "" || of.version == want:
		case others != nil && others[i] == "":
			return rejected, true
		case others != nil && of.version == others[i]:
		case others == nil && of.refused == want:
			return rejected, true
		default:
			worst = reported
		}
	}
	return worst, counts
}

// answered reports whether every client that counts has.
func (a *account) answered() bool { return len(a.answers) == a.acked+a.nacked }

// laggards adds the nodes that have not answered yet to those in out, which are sorted, and keeps the first.
func (a *account) laggards(out []string) []string {
	if a.answered() {
		return out
	}
	for c, answer := range a.answers {
		if answer != reported || len(out) == maxLaggards && c.node >= out[maxLaggards-1] {
			continue
		}
		at, _ := slices.BinarySearch(out, c.node)
		out = slices.Insert(out, at, c.node)
		out = out[:min(len(out), maxLaggards)]
	}
	return out
}

// times are when the newest of the wanted versions was acknowledged last, and the first rejection of one of them.
func (a *account) times(b *book) (last time.Time, first *ir.Rejection) {
	for i, k := range a.keys {
		r := b.rows[k]
		if r == nil {
			continue
		}
		if t := r.acked[a.wants[i]]; t != nil && t.last.After(last) {
			last = t.last
		}
		if t := r.nacked[a.wants[i]]; t != nil && t.first != nil && (t.clients > 0 || b.rejected(k)) && (first == nil || t.first.At.Before(first.At)) {
			first = t.first
		}
	}
	return last, first
}
