package server

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// account is how far the clients of one class are with the resources that carry a split; splits in the same resources
// share one. It changes with each answer; nobody counts anew.
type account struct {
	keys    []key
	wants   []string            // versions of keys
	others  map[string][]string // the same for the kinds of proxies that reject something; empty: what they reject concerns the split
	answers map[*client]verdict // of the clients that count: the worst of their answers; reported stands for none yet
	acked   int
	nacked  int
}

// bearerNames tells accounts apart.
type bearerNames struct {
	tables, listeners string
	split             string // where some kind of proxy rejects something, which may concern one split and not the other
}

func (b *book) namesOf(use *ir.SplitUse) bearerNames {
	out := bearerNames{tables: strings.Join(use.Tables, "\n"), listeners: strings.Join(use.Listeners, "\n")}
	if len(b.variants) > 0 {
		out.split = use.Key
	}
	return out
}

func keysOf(use *ir.SplitUse) []key {
	keys := make([]key, 0, len(use.Tables)+len(use.Listeners))
	for _, name := range use.Tables {
		keys = append(keys, key{kind: routes, name: name})
	}
	for _, name := range use.Listeners {
		keys = append(keys, key{kind: listeners, name: name})
	}
	return keys
}

// reopen brings the accounts of a book in line with its set, which follows before. One whose versions are the same goes on.
func (b *book) reopen(before *set) {
	plain := b.plain
	if b.plain = len(b.variants) == 0; !plain || !b.plain || before == nil || !sameBearers(before.uses, b.set.uses) {
		b.reopenAll()
		return
	}
	for k, i := range b.set.fresh(before) {
		for _, a := range b.by[key{kind: k, name: i.name}] {
			a.reopen(b)
		}
	}
	for k, i := range before.fresh(b.set) { // it may be gone
		for _, a := range b.by[key{kind: k, name: i.name}] {
			a.reopen(b)
		}
	}
}

func (b *book) reopenAll() {
	before := b.accounts
	b.accounts = map[bearerNames]*account{}
	b.by = map[key][]*account{}
	for _, use := range b.set.uses {
		names := b.namesOf(use)
		if b.accounts[names] != nil {
			continue
		}
		next := &account{keys: keysOf(use)}
		next.wants, next.others = b.wanted(next.keys), b.others(next.keys, use.Clusters)
		if a := before[names]; a != nil && slices.Equal(a.wants, next.wants) && maps.EqualFunc(a.others, next.others, slices.Equal) {
			next = a
		} else {
			next.open(b)
		}
		b.accounts[names] = next
		for _, k := range next.keys {
			b.by[k] = append(b.by[k], next)
		}
	}
}

// reopen counts anew where other versions are wanted.
func (a *account) reopen(b *book) {
	if now := b.wanted(a.keys); !slices.Equal(a.wants, now) {
		a.wants = now
		a.open(b)
	}
}

// wanted are the versions of resources that the class should have.
func (b *book) wanted(keys []key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = b.want(k)
	}
	return out
}

// others are the versions of resources that carry a split which the kinds of proxies should have that reject something.
func (b *book) others(keys []key, clusters []string) map[string][]string {
	out := map[string][]string{}
	for flavour := range b.variants {
		for _, k := range keys {
			version := b.wants(k, flavour)
			if b.concerns(k, flavour, clusters) {
				version = ""
			}
			out[flavour] = append(out[flavour], version)
		}
	}
	return out
}

// open counts the clients from the beginning.
func (a *account) open(b *book) {
	a.answers, a.acked, a.nacked = map[*client]verdict{}, 0, 0
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
