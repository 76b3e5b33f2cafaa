package server

import (
	"slices"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
)

// maxMessage is how much of a proxy's own words is kept, in bytes.
const maxMessage = 512

// together is how long a change that is one of many waits for others before it is announced.
const together = 5 * time.Millisecond

// ledger knows what the connected proxies run. Counts are kept per (class, kind, name, version) and change with each
// answer; nobody scans streams.
type ledger struct {
	now    func() time.Time
	timing Timing

	mu       sync.Mutex // guards everything below
	books    map[ir.ProxyClass]*book
	clients  map[*client]struct{}
	live     map[string]int   // streams by node
	lost     map[string]*loss // by node
	departed departed
	refusal  map[string]map[key]*refusal // by node
	changed  chan struct{}               // closed at the next change
	told     bool                        // no change waits to be announced
	timers   map[*time.Timer]struct{}    // running, to be stopped at the end
}

type key struct {
	kind kind
	name string
}

// book is the ledger of one class.
type book struct {
	set      *set
	streams  int
	rows     map[key]*row
	accounts map[bearerNames]*account
	plain    bool               // the accounts were opened when no kind of proxy rejected anything
	by       map[key][]*account // those that a resource counts for
	rejects  map[string]rejects // by flavour
	variants map[string]*set    // by flavour
}

// row is one resource in one class.
type row struct {
	members map[*client]struct{} // those that count: they run, or have rejected, some version
	acked   map[string]*tally    // by version
	nacked  map[string]*tally    // by version
	goods   []*item              // acknowledged with their bytes at hand, newest last
}

// tally counts the clients at one version.
type tally struct {
	clients int
	last    time.Time     // newest acknowledgement
	first   *ir.Rejection // of a rejected version
}

// client is one stream.
type client struct {
	node  string // id, as shown
	key   string // of the node among all
	class ir.ProxyClass

	flavour string
	cells   map[key]*cell
	grown   bool // it has acknowledged a cluster that it did not have; read by its stream only, after record
}

// cell is what a client runs of a resource.
type cell struct {
	version string // applied; empty: it is not known which, or none
	refused string // rejected, newer than version; empty: none
}

// loss is a stream that ended before it had acknowledged everything.
type loss struct {
	class ir.ProxyClass
	keys  map[key]bool
}

// refusal is a rejection that outlives its stream.
type refusal struct {
	class   ir.ProxyClass
	version string // empty: none is refused, but what the node reports of the resource may be wrong
	message string
	at      time.Time
}

func newLedger(now func() time.Time, timing Timing) *ledger {
	return &ledger{
		now: now, timing: timing,
		books: map[ir.ProxyClass]*book{}, clients: map[*client]struct{}{}, live: map[string]int{}, lost: map[string]*loss{},
		refusal: map[string]map[key]*refusal{}, changed: make(chan struct{}), told: true,
		timers: map[*time.Timer]struct{}{},
	}
}

// publish makes s what the class should have, and gives what the kinds of proxies should have that reject a part of it.
func (l *ledger) publish(class ir.ProxyClass, s *set) map[string]*set {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.book(class)
	before := b.set
	b.set = s
	b.lift()
	b.derive()
	b.reopen(before)
	for _, of := range l.refusal {
		for at, r := range of {
			if r.class == class && r.version != "" && b.want(at) != r.version {
				delete(of, at) // new content is tried
			}
		}
	}
	l.announce()
	return b.variants
}

// derive makes the variants of a class anew.
func (l *ledger) derive(class ir.ProxyClass) map[string]*set {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.book(class)
	if b.set == nil {
		return nil
	}
	b.derive()
	b.reopen(b.set)
	l.announce()
	return b.variants
}

// forget drops a class that nobody asks for any more.
func (l *ledger) forget(class ir.ProxyClass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.books, class)
	l.announce()
}

// join makes a stream count in a class.
func (l *ledger) join(who identity, class ir.ProxyClass) *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book(class).streams++
	node := who.key()
	l.live[node]++
	if l.lost[node] != nil || l.departed.nodes[node] != nil {
		delete(l.lost, node)
		delete(l.departed.nodes, node)
		l.announce()
	}
	c := &client{node: who.id, key: node, class: class, flavour: who.flavour, cells: map[key]*cell{}}
	l.clients[c] = struct{}{}
	return c
}

// leave takes a stream out. What it had not acknowledged counts as lost for a while, and one that was sent to another replica counts
// as a whole.
func (l *ledger) leave(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
	sent := l.departed.begun
	if sent {
		l.part(c)
	}
	pending := map[key]bool{}
	b := l.book(c.class)
	b.streams--
	for at, of := range c.cells {
		if want := b.want(at); want != "" && of.version != want && of.refused != want {
			pending[at] = true
		}
		l.dropCell(c, at)
	}
	if l.live[c.key]--; l.live[c.key] == 0 {
		delete(l.live, c.key)
	}
	if len(pending) > 0 && l.live[c.key] == 0 && !sent {
		lost := &loss{class: c.class, keys: pending}
		l.lost[c.key] = lost
		l.after(l.timing.Lost, func() {
			if l.lost[c.key] == lost {
				delete(l.lost, c.key)
				l.announce()
			}
		})
	}
	l.announce()
}

// move takes a stream from one class to another; what it runs goes with it.
func (l *ledger) move(c *client, class ir.ProxyClass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book(c.class).streams--
	l.book(class).streams++
	cells := c.cells
	for at := range cells {
		l.dropCell(c, at)
	}
	c.class, c.cells = class, map[key]*cell{}
	for at, of := range cells {
		l.setCell(c, at, *of, time.Time{})
	}
	l.announce()
}

// record takes what a stream has learned, and reports whether others must be kept from something because of it.
func (l *ledger) record(c *client, outcomes []outcome) (quarantined bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, soon := false, false
	for _, o := range outcomes {
		at := key{kind: o.kind, name: o.name}
		switch o.what {
		case rejected:
			l.keepRefusal(c, at, o)
			quarantined = l.quarantine(c, at, o) || quarantined
		case unsure:
			l.keep(c.key, at, &refusal{class: c.class, at: l.now()})
			continue
		case sure:
			if of := l.refusal[c.key][at]; of != nil && of.version == "" {
				delete(l.refusal[c.key], at)
			}
			continue
		case acked, reported, dropped: // no refusal
		}
		l.enter(c, at, o)
		switch {
		case o.what == acked && !l.answered(c.class, at):
			soon = soon || o.kind.steers()
		default:
			changed = changed || o.kind.steers() || o.what == rejected
		}
	}
	switch {
	case changed:
		l.announce()
	case soon:
		l.announceSoon()
	}
	return quarantined
}

func (l *ledger) enter(c *client, at key, o outcome) {
	switch o.what {
	case acked:
		if of := c.cells[at]; at.kind == clusters && (of == nil || of.version == "") {
			c.grown = true
		}
		l.setCell(c, at, cell{version: o.item.version}, l.now())
		if o.item.known() {
			l.row(c.class, at).approve(o.item)
		}
	case reported:
		l.setCell(c, at, cell{version: o.item.version}, time.Time{})
		if o.item.known() {
			l.row(c.class, at).approve(o.item)
		}
	case rejected:
		before := cell{}
		if of := c.cells[at]; of != nil {
			before = *of
		}
		before.refused = o.item.version
		l.setCell(c, at, before, time.Time{})
		if t := l.row(c.class, at).nacked[o.item.version]; t.first == nil {
			t.first = l.rejection(c, o)
		}
	case dropped:
		l.dropCell(c, at)
	case unsure, sure: // a doubt of the node, which changes no cell
	}
}

func (l *ledger) rejection(c *client, o outcome) *ir.Rejection {
	return &ir.Rejection{
		Node: c.node, TypeURL: o.kind.typeURL(), Resource: o.name, Version: o.item.version,
		Message: problem.Clean(o.message, maxMessage), At: l.now(),
	}
}

// setCell puts a client at a version. at is when it was acknowledged; zero: it had it already.
func (l *ledger) setCell(c *client, k key, of cell, at time.Time) {
	l.clearCell(c, k)
	c.cells[k] = &of
	r := l.row(c.class, k)
	r.members[c] = struct{}{}
	if of.version != "" {
		t := count(r.acked, of.version)
		if !at.IsZero() {
			t.last = at
		} else if t.last.IsZero() {
			t.last = l.now()
		}
	}
	if of.refused != "" {
		count(r.nacked, of.refused)
	}
	l.settle(c, k)
}

func (l *ledger) dropCell(c *client, k key) {
	l.clearCell(c, k)
	l.settle(c, k)
}

// settle brings the accounts that a resource counts for up to date with a client.
func (l *ledger) settle(c *client, k key) {
	for _, a := range l.book(c.class).by[k] {
		a.update(c)
	}
}

func (l *ledger) clearCell(c *client, k key) {
	of := c.cells[k]
	if of == nil {
		return
	}
	delete(c.cells, k)
	r := l.row(c.class, k)
	delete(r.members, c)
	want := l.book(c.class).want(k)
	discount(r.acked, of.version, want)
	discount(r.nacked, of.refused, want)
}

func count(tallies map[string]*tally, version string) *tally {
	t := tallies[version]
	if t == nil {
		t = &tally{}
		tallies[version] = t
	}
	t.clients++
	return t
}

// discount takes a client off a version; the tally of the wanted version stays, its times still matter.
func discount(tallies map[string]*tally, version, want string) {
	t := tallies[version]
	if t == nil {
		return
	}
	t.clients--
	if t.clients <= 0 && version != want {
		delete(tallies, version)
	}
}

func (l *ledger) book(class ir.ProxyClass) *book {
	b := l.books[class]
	if b == nil {
		b = &book{rows: map[key]*row{}, rejects: map[string]rejects{}}
		l.books[class] = b
	}
	return b
}

func (l *ledger) row(class ir.ProxyClass, at key) *row {
	return l.book(class).row(at)
}

func (b *book) row(at key) *row {
	r := b.rows[at]
	if r == nil {
		r = &row{members: map[*client]struct{}{}, acked: map[string]*tally{}, nacked: map[string]*tally{}}
		b.rows[at] = r
	}
	return r
}

// want is the version of a resource that the class should have; empty: none.
func (b *book) want(at key) string {
	if b.set == nil {
		return ""
	}
	if i := b.set.of[at.kind].get(at.name); i != nil {
		return i.version
	}
	return ""
}

// announce wakes whoever waits for a change.
func (l *ledger) announce() {
	close(l.changed)
	l.changed, l.told = make(chan struct{}), true
}

// announceSoon wakes them together for all that changes within a moment: one of a thousand acknowledgements that are on
// their way says little.
func (l *ledger) announceSoon() {
	if !l.told {
		return // somebody will
	}
	l.told = false
	l.after(together, func() {
		if !l.told {
			l.announce()
		}
	})
}

// answered reports whether an acknowledgement of a resource was the last one that an account has waited for, or none does.
func (l *ledger) answered(class ir.ProxyClass, at key) bool {
	accounts := l.book(class).by[at]
	return len(accounts) == 0 || slices.ContainsFunc(accounts, (*account).answered)
}

// changes gives a channel that is closed at the next change.
func (l *ledger) changes() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// after runs f under the lock when d has passed, unless the ledger is closed before.
func (l *ledger) after(d time.Duration, f func()) {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.timers, t)
		f()
	})
	l.timers[t] = struct{}{}
}

// close stops all timers.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.timers {
		t.Stop()
	}
	clear(l.timers)
}

// keepRefusal remembers what a node has rejected, while that is what it should have.
func (l *ledger) keepRefusal(c *client, at key, o outcome) {
	if b := l.book(c.class); b.want(at) != o.item.version && b.wants(at, c.flavour) != o.item.version {
		return
	}
	l.keep(c.key, at, &refusal{class: c.class, version: o.item.version, message: o.message, at: l.now()})
}

// keep remembers r for the node, and forgets what is too old of any node.
func (l *ledger) keep(node string, at key, r *refusal) {
	if l.refusal[node] == nil {
		l.refusal[node] = map[key]*refusal{}
	}
	for id, of := range l.refusal {
		for k, old := range of {
			if r.at.Sub(old.at) >= l.timing.Rejected {
				delete(of, k)
			}
		}
		if len(of) == 0 && id != node {
			delete(l.refusal, id)
		}
	}
	l.refusal[node][at] = r
}

// recollection answers a conversation's questions about earlier streams of its node.
type recollection struct {
	ledger *ledger
	client *client
}

// refused implements memory.
func (r recollection) refused(k kind, name string) (version, message string) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	of := r.ledger.refusal[r.client.key][key{kind: k, name: name}]
	if of == nil || r.ledger.now().Sub(of.at) >= r.ledger.timing.Rejected {
		return "", ""
	}
	return of.version, of.message
}

// doubted implements memory.
func (r recollection) doubted(k kind) []string {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	var out []string
	for at, of := range r.ledger.refusal[r.client.key] {
		if at.kind == k && of.version == "" {
			out = append(out, at.name)
		}
	}
	slices.Sort(out)
	return out
}

// good implements memory.
func (r recollection) good(k kind, name, but string) *item {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return r.ledger.row(r.client.class, key{kind: k, name: name}).good(func(i *item) bool { return i.version != but })
}
