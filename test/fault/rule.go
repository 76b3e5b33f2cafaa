package fault

import (
	"bytes"
	"net/http"
	"sync"
)

// Mode is what becomes of a request.
type Mode int

// The modes.
const (
	Forward  Mode = iota // nothing happens to it
	Before               // it is lost: not forwarded, no reply
	Applied              // it is forwarded, and the reply lost
	Conflict             // 409, not forwarded
	Invalid              // 422, not forwarded
	TooMany              // 429, not forwarded
	Broken               // 500, not forwarded
	Full                 // refused as by a server whose etcd has no space left
	Late                 // no reply; forwarded a while after the client was cut off
	Held                 // forwarded when Release is called, also if the client has given up
)

// String names the mode.
func (m Mode) String() string {
	return [...]string{"forward", "before", "applied", "conflict", "invalid", "toomany", "broken", "full", "late", "held"}[m]
}

// NoSpace is what the API server says while its etcd has no space left, with 500 and without a reason.
const NoSpace = "etcdserver: mvcc: database space exceeded"

// status is what the modes that reply say.
func (m Mode) status() (code int, reason string) {
	switch m {
	case Conflict:
		return http.StatusConflict, "Conflict"
	case Invalid:
		return http.StatusUnprocessableEntity, "Invalid"
	case TooMany:
		return http.StatusTooManyRequests, "TooManyRequests"
	case Broken:
		return http.StatusInternalServerError, "InternalError"
	case Full:
		return http.StatusInternalServerError, ""
	case Forward, Before, Applied, Late, Held:
	}
	return 0, ""
}

// Rule says what happens to which request.
type Rule struct {
	Match Key
	Body  string // that those which match hold; empty: any
	Nth   int    // of those that match, from 1; 0: each
	Mode  Mode
	Kill  bool // the door is closed with it: the process that made the request is as good as dead
}

// Active is a rule in force.
type Active struct {
	rule  Rule
	fired chan struct{}
	free  chan struct{}

	mu   sync.Mutex // guards the rest
	seen int
	off  bool
	once sync.Once
}

func newActive(r Rule) *Active {
	return &Active{rule: r, fired: make(chan struct{}), free: make(chan struct{})}
}

// Fired is closed when the rule was used.
func (a *Active) Fired() <-chan struct{} { return a.fired }

// HasFired reports that the rule was used.
func (a *Active) HasFired() bool {
	select {
	case <-a.fired:
		return true
	default:
		return false
	}
}

// Release lets requests go that are held.
func (a *Active) Release() { a.once.Do(func() { close(a.free) }) }

// Remove ends the rule, and releases what it holds.
func (a *Active) Remove() {
	a.mu.Lock()
	a.off = true
	a.mu.Unlock()
	a.Release()
}

// applies counts the request and reports whether the rule is for it.
func (a *Active) applies(k Key, body []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.off || !a.rule.Match.matches(k) || !bytes.Contains(body, []byte(a.rule.Body)) {
		return false
	}
	a.seen++
	if a.rule.Nth != 0 && a.seen != a.rule.Nth {
		return false
	}
	if !a.HasFired() {
		close(a.fired)
	}
	return true
}
