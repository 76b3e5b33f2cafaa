package invariant

import "time"

// Event is one thing that was seen. Events come in order.
type Event struct {
	At   time.Duration // since the beginning
	Body any           // Stored, Endpoints, Served, Answered or Noted
}

// Stored is a status that the server holds from now on.
type Stored struct {
	Object     string // uid
	Epoch, Seq int64
	Position
	Versions
	Gates    []Gate
	Rejected []string // digests
	Consumed []Consumed
}

// Position is where an attempt is.
type Position struct {
	Attempt int64
	Open    bool // it has not ended
	Failed  bool // it has ended for harm, or because a person wanted it
	Step    int
	Weight  int // canary's share in percent
}

// Versions are who serves.
type Versions struct {
	Stable, Canary string
	Observe        bool // a dry run
}

// Gate says that a step may be left.
type Gate struct {
	Step  int
	Seq   int64
	Asked bool // by a person
}

// Consumed is an action that was decided on.
type Consumed struct {
	ID  string
	Seq int64
}

// Endpoints are how many are ready from now on.
type Endpoints struct {
	Known          bool
	Stable, Canary int
}

// Served is what a proxy runs: the weight of the canary's clusters, and of all.
type Served struct {
	Proxy         string
	Canary, Total int
}

// Answered is a request that a version answered, at the instant at which it was sent.
type Answered struct{ Version string }

// Noted is a note that a receiver got for the first time.
type Noted struct {
	Receiver string
	ID       string
	Object   string // uid
	Seq      int64  // of the transition
}

// Violation is a rule that an event breaks.
type Violation struct {
	Rule  Rule
	Event Event
	Text  string
}

// Rule names an invariant.
type Rule string

// The invariants; see the package's comment.
const (
	Sum       Rule = "Sum"
	Capacity  Rule = "Capacity"
	GateFirst Rule = "Gate"
	Attempt   Rule = "Attempt"
	Absorbed  Rule = "Absorbed"
	WayBack   Rule = "WayBack"
	Writer    Rule = "Writer"
	Sequence  Rule = "Sequence"
	Once      Rule = "Once"
	Notes     Rule = "Notes"
	Recreated Rule = "Recreated"
)

// Rules are all of them.
func Rules() []Rule {
	return []Rule{Sum, Capacity, GateFirst, Attempt, Absorbed, WayBack, Writer, Sequence, Once, Notes, Recreated}
}
