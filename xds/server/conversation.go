package server

import (
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	maxNames    = 50_000
	maxResponse = 1 << 20
	wildcard    = "*"
)

// request is one discovery request in either form.
type request struct {
	typeURL string
	at      time.Time // when it was read; zero: it does not matter
	nonce   string
	nack    string // the client's error message; meaningful when refused is set
	refused bool

	// delta
	subscribe   []string
	unsubscribe []string
	versions    map[string]string

	// state of the world
	names   []string
	version string
}

// response is one discovery response in either form.
type response struct {
	typeURL string
	nonce   string
	version string // state of the world only
	items   []*item
	removed []string
}

// outcome is what a client has said of one resource, for the ledger.
type outcome struct {
	kind    kind
	name    string
	what    verdict
	item    *item
	message string
}

// verdict is the sort of an outcome.
type verdict int

const (
	acked    verdict = iota // applied now
	reported                // the client had it when the stream began
	rejected                // refused; message says why
	dropped                 // not subscribed to any more, or removed
	unsure                  // applied from a rejected response: the client does not remember the version
	sure                    // it does again
)

// conversation is the state of one stream: what the client subscribes to, has, and was sent. It does no I/O and is
// owned by one goroutine, which calls receive for each request and plan whenever something may have to be sent.
type conversation struct {
	sotw   bool
	set    *set // nil until the class has its first
	subs   [kinds]subscription
	timing Timing
	memory memory
	calm   calm

	proofs
	notes    notes
	nonces   uint64
	outcomes []outcome // not collected yet
	timeouts int       // routes that went out although a cluster they name was not acknowledged
}

// proofs is what is known of the age of the set. The zero value: nothing that a client may have is newer.
type proofs struct {
	unproven bool // the client may have newer versions than the set: what it reports is not replaced
	emptied  bool // the last cluster or listener may be missing because the set is older: it is not taken away

	barred struct{ unproven, emptied bool } // for that reason something was not sent
}

// memory is what is known from other streams. It is consulted, never written, by a conversation.
type memory interface {
	// refused gives the version of a resource that this node has rejected lately, and its words; empty: none.
	refused(k kind, name string) (version, message string)
	// doubted are the resources of which the node may have another version than it says, or one although it says none.
	doubted(k kind) []string
	// good gives the newest version but one that some proxy of the class has acknowledged; nil: none.
	good(k kind, name, but string) *item
}

// subscription is what the client wants of one kind.
type subscription struct {
	started  bool
	wildcard bool
	legacy   bool // wildcard by a first request without names
	entries  map[string]*entry
	sorted   []*entry  // entries by name; nil: not known
	flights  []*flight // responses without answer, oldest first
	newest   uint64    // nonce of the newest response

	owed     bool        // a response is due even if it says nothing new
	reported string      // state of the world: version of the first request, until the state is sent or found equal
	scanned  *collection // what entries were last compared with
	dirty    bool        // entries must be compared again
	asked    bool        // some of them since the client, or a changed cluster, wants them
}

// entry is one resource of a subscription.
type entry struct {
	name  string
	named bool // subscribed to by name
	owed  bool // asked for and not answered yet
	told  bool // the client knows that it does not exist

	claimed bool // the client has reported another version than the set's, and was sent none yet

	have    *item  // newest that the client has applied; nil: none
	haveAt  uint64 // nonce of that acknowledgement
	guessed bool   // have was never acknowledged: it was replaced before it could be
	before  *item  // sent, replaced by sent before it was answered, and probably applied; nil: none
	sent    *item  // newest that the client was sent or has reported; nil: none, or removed

	rejection
	waiting
}

// rejection is what is known of the client's dislike of a resource.
type rejection struct {
	asked   bool   // the memory has been asked whether the node rejects it
	refused string // version that the client has rejected and that is still the wanted one
	instead *item  // what is served in place of a version refused on an earlier stream
}

// waiting is how a resource stands at the gates.
type waiting struct {
	heldFor   string    // version that waits for its clusters
	heldSince time.Time // when it began to
	leaving   time.Time // the cluster is not wanted any more since
	unnamed   time.Time // and no route names it since
}

// flight is a response that was sent and not answered.
type flight struct {
	nonce   uint64
	sent    time.Time
	items   []*item
	removed []string
}

func (s *subscription) entry(name string) *entry {
	e := s.entries[name]
	if e == nil {
		if s.entries == nil {
			s.entries = map[string]*entry{}
		}
		e = &entry{name: name}
		s.entries[name], s.sorted = e, nil
	}
	return e
}

// covers reports whether the client has asked for the resource, by name or by wildcard.
func (s *subscription) covers(name string) bool {
	if !s.started {
		return false
	}
	if s.wildcard {
		return true
	}
	e := s.entries[name]
	return e != nil && e.named
}

// sortedEntries are all, by name. What is removed meanwhile stays in what was returned.
func (s *subscription) sortedEntries() []*entry {
	if s.sorted == nil {
		s.sorted = slices.SortedFunc(maps.Values(s.entries), func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	}
	return s.sorted
}

func (s *subscription) remove(name string) {
	delete(s.entries, name)
	s.sorted = nil
}

// receive takes a request. An error ends the stream.
func (c *conversation) receive(r request) error {
	k, known := kindOf(r.typeURL)
	if !known {
		return nil // answered by plan's caller through unsupported
	}
	if c.sotw {
		c.receiveSotw(k, r)
	} else {
		c.receiveDelta(k, r)
	}
	total := 0
	for i := range c.subs {
		total += len(c.subs[i].entries)
	}
	if total > maxNames {
		return status.Errorf(codes.ResourceExhausted, "the stream subscribes to %d names, at most %d are accepted", total, maxNames)
	}
	return nil
}

// unsupported is the answer to a request for a type that is not served; ok is false when there is nothing to say.
func (c *conversation) unsupported(r request) (response, bool) {
	if _, known := kindOf(r.typeURL); known || c.sotw || len(r.subscribe) == 0 {
		return response{}, false
	}
	removed := slices.DeleteFunc(slices.Clone(r.subscribe), func(name string) bool { return name == wildcard })
	return response{typeURL: r.typeURL, nonce: c.nextNonce(), removed: removed}, len(removed) > 0
}

// quiet reports whether plan would send nothing.
func (c *conversation) quiet() bool {
	if c.set == nil {
		return false
	}
	for k := range kinds {
		if sub := &c.subs[k]; sub.started && (sub.dirty || sub.scanned != c.set.of[k]) {
			return false
		}
	}
	return true
}

// awaits reports whether some response is not answered.
func (c *conversation) awaits() bool {
	for k := range c.subs {
		if len(c.subs[k].flights) > 0 {
			return true
		}
	}
	return false
}

// awaitsSteering reports whether some response with routes or listeners is not answered.
func (c *conversation) awaitsSteering() bool {
	return len(c.subs[listeners].flights)+len(c.subs[routes].flights) > 0
}

// use makes s what the client should have.
func (c *conversation) use(s *set) { c.set = s }

// collect returns what was learned since the last call.
func (c *conversation) collect() []outcome {
	out := c.outcomes
	c.outcomes = nil
	return out
}

func (c *conversation) note(k kind, e *entry, what verdict, i *item) {
	c.outcomes = append(c.outcomes, outcome{kind: k, name: e.name, what: what, item: i})
}

// drop forgets an entry that the client is not interested in any more.
func (c *conversation) drop(k kind, e *entry) {
	c.subs[k].remove(e.name)
	c.note(k, e, dropped, nil)
}

// wanted is what the client should have of a resource now. withheld: it has rejected the newest version, and keeps
// what it has.
func (c *conversation) wanted(k kind, e *entry) (want *item, withheld bool) {
	want = c.target(k, e)
	if c.keeps(k, e, want) {
		return nil, true
	}
	if want == nil {
		e.refused, e.instead = "", nil
		return nil, false
	}
	c.remember(k, e, want)
	if e.refused != want.version {
		e.refused, e.instead = "", nil
		return want, false
	}
	switch {
	case e.sent.known():
		return e.sent, !e.owed
	case e.instead != nil && e.instead.version != want.version && (e.have == nil || c.sotw):
		return e.instead, false
	default:
		return nil, true
	}
}

// target is what the set has of a resource. A client that has accepted, or may yet accept, what others like it reject
// is left with it.
func (c *conversation) target(k kind, e *entry) *item {
	if base := c.set.base; base != nil {
		if i := base.of[k].get(e.name); i != nil && (e.have != nil && e.have.version == i.version || e.sent != nil && e.sent.version == i.version) {
			return i
		}
	}
	return c.set.of[k].get(e.name)
}

// keeps reports whether the client keeps what it has because what is wanted is rejected by others like it, and no good
// version of it, or of a part of it, is known here.
func (c *conversation) keeps(k kind, e *entry, want *item) bool {
	if want == nil {
		return (e.have != nil || e.sent != nil) && c.set.withheld[key{kind: k, name: e.name}]
	}
	return want.partial && e.have != nil && !e.have.known()
}

// remember applies, once per stream and resource, what the node has rejected on an earlier stream.
func (c *conversation) remember(k kind, e *entry, want *item) {
	if e.asked {
		return
	}
	e.asked = true
	version, message := c.memory.refused(k, e.name)
	if version != want.version || e.have != nil && e.have.version == version {
		return
	}
	c.refuse(k, e, want, message)
	e.instead = c.memory.good(k, e.name, version)
}
