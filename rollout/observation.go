package rollout

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// Observation is what was seen of the world, stamped with the state it was seen under.
type Observation struct {
	Seq      uint64 // State.Seq it was made under
	Want     Want
	Clocks   Clocks // State's clocks plus the time observed since; Step decides which of them run
	Fleet    Fleet
	Ready    Ready
	Report   analysis.Report // zero where nothing is judged
	Problems []Reason        // what forbids starting and raising, first first
	Window   Window
	Action   *Action  // at most one, chosen by Due
	Written  []string // uids of State.Consumed whose actions say so, or are gone
	Brake    *Brake   // this process renders the canary's weight as 0 for this attempt
	Refused  string   // what the server said to the last write of this state; for SayRefused alone
}

// Window says whether the time is one in which the canary may get more. The zero value: it is.
type Window struct {
	Reason Reason    // OutsideWindow or Frozen; empty: open
	Text   string    // the same as a clause
	Until  time.Time // when that may change; zero: not known
}

// Brake is a rollback that acts without being stored: the API server could not be reached.
type Brake struct {
	Attempt int64  // that failed; a brake for another one says nothing
	Reason  Reason // of the failure
	Text    string // what was seen then
}

// Want is what Git asks for. The zero value is unknown, which changes nothing.
type Want struct {
	Known bool
	Version
	Deleting bool // the object is being deleted
}

// Fleet is how far the proxies are with the state's traffic seq.
type Fleet struct {
	Rendered  bool // the configuration of the traffic seq was built
	Connected int  // proxies that take part
	Acked     int
	Nacked    int
	Settled   bool // at least one proxy, and all acknowledged a second ago or more
	SettledAt time.Time
	First     string // the first rejection, in words
}

// Ready counts endpoints.
type Ready struct {
	Known  bool
	Stable int
	Canary int
}

// Actions is what follows from a Step besides the new state.
type Actions struct {
	Transition *Transition // nil: no transition; State differs in its clocks at most, or in what was consumed
	Consumed   *Consumed   // the observation's action, where it was decided on: to be stored at once
	Wake       time.Time   // when to look again if nothing happens before; zero: no need
	Deadline   time.Time   // when the new state's wait ends if nothing happens; zero: it has no end
	Finalize   bool        // nothing is left to do for an object that is being deleted
}

// Transition is one row of the table taken.
type Transition struct {
	Seq    uint64
	From   Phase
	To     Phase
	Reason Reason
	Step   int    // the step concerned
	Steps  int    // of how many
	Weight int    // canary's share from now on
	Asked  bool   // a person's action made it
	Text   string // one sentence with numbers, for people
}
