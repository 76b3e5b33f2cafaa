package ir

import "time"

// Report says how far the proxies of one server are.
type Report struct {
	Connected int // proxies
	Synced    int // run all that they should have
	Pending   int // have not acknowledged something yet
	Rejected  int // have rejected something, or are kept from it since others like them have
	Lost      int // went away while they were pending, a moment ago
	Away      int // were sent to other replicas a moment ago, and ran all that they should have
	Unserved  int // streams for which nothing is published yet

	Splits     []SplitReport // sorted by key and UID
	Exceptions []Exception   // the proxies that are not in sync, worst first and then by node
}

// SplitReport is how far the proxies are with what is rendered of a Rollout.
type SplitReport struct {
	Use         SplitUse // the newest
	Convergence Convergence
}

// Standing is how a proxy stands. The zero value is Synced; a higher one is worse.
type Standing int

// The standings of proxies.
const (
	Synced   Standing = iota // it runs all that it should have
	Pending                  // it has not acknowledged something yet
	Lost                     // it went away while it was pending
	Rejected                 // it has rejected something, or is kept from it
)

// Exception is a proxy that is not in sync.
type Exception struct {
	Node      string
	Namespace string
	Kind      Kind
	Standing  Standing
	TypeURL   string // of one resource that it does not run; empty: it has acknowledged nothing yet
	Resource  string
	Message   string    // the proxy's own text
	At        time.Time // of the rejection; zero: not known
}
