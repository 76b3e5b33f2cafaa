package rollout

import (
	"slices"
	"time"
)

// Bounds of the lists in State.
const (
	MaxRejected = 8
	MaxManaged  = 10
	MaxSteps    = 16
	MaxConsumed = 16
	MaxApproved = 16
	// MaxApprovals is how many a step may ask for.
	MaxApprovals = 5
	MaxText      = 120 // bytes of a history entry's text
	MaxDigest    = 64  // bytes of a digest, and of a commit
)

// Version is a subset together with the content that Git gives it. The zero value is no version.
type Version struct {
	Name   string // subset
	Digest string // content digest; equal digests are the same version whatever the commit
	Commit string // the commit that brought it, for people
}

// State is all that a rollout remembers; it is stored in the object's status. The zero value has adopted nothing.
type State struct {
	Mark
	Memory
	Traffic  Traffic
	Stable   Version
	Canary   Version // empty at rest
	Previous Previous
	Kind     Kind    // of the attempt; at rest only what Observe says stays
	Plan     []Stage // frozen when the attempt started; empty at rest
	Gates    []Gate  // of this attempt; empty at rest
	Approved []Approval
	Progress Progress // zero at rest
}

// Memory is what outlasts attempts, besides the versions.
type Memory struct {
	Attempted string      // digest of the want last acted on
	Managed   []string    // former stable names, newest first
	Rejected  []Rejection // newest first; survives promotions
	History   []Past      // newest first
	Consumed  []Consumed  // actions that may not know it yet, oldest first
}

// Kind is what sort of attempt it is. The zero value is the ordinary one.
type Kind struct {
	Observe bool // judged without moving traffic; at rest: the newest one was, or dryRun was on at adoption
	Proven  bool // the version was stable a short while ago: the short plan
	Undo    bool // a person asked for the former stable version
}

// Approval is one person's approval of a step.
type Approval struct {
	Step  int
	Actor string
	At    time.Time
}

// Mark identifies the newest transition and what it led to.
type Mark struct {
	Seq     uint64
	Attempt int64
	Phase   Phase
	Outcome Outcome // of the newest attempt
	Reason  Reason
	Since   time.Time // wall time of transition Seq
}

// Previous is the former stable version while it is kept ready for a way back.
type Previous struct {
	Version
	Until time.Time
}

// Rejection is a version that failed and is not tried again until its content changes.
type Rejection struct {
	Version
	Attempt int64
	Reason  Reason
	At      time.Time
}

// Result is what a gate found.
type Result string

// The results of gates.
const (
	Pass         Result = "Pass"
	PassTimeOnly Result = "TimeOnly"
	PassProven   Result = "Proven"       // the version was stable a short while ago
	PassAnyway   Result = "Inconclusive" // allowed by policy
	PassOverride Result = "Override"     // a person promoted the step
	PassSkipped  Result = "Skipped"      // a person went past the step
)

// Gate records that a step may be left upwards. It belongs to one attempt and one step.
type Gate struct {
	Step   int
	Result Result
	Seq    uint64
	At     time.Time
	Actor  string // of PassOverride and PassSkipped
}

// Progress is the bookkeeping of an open attempt.
type Progress struct {
	StartedAt time.Time
	SettledAt time.Time // when the present step's weight was acknowledged; zero before
	Base      int       // ready endpoints of stable at the start
	Hold      Reason    // why Holding holds
	Told      []Reason  // said once in this step already
	Clocks    Clocks
	Wishes    Wishes
}

// Wishes are what people asked of an open attempt and what still acts.
type Wishes struct {
	Paused         bool // raise nothing
	Override       int  // the step whose waits are ended; 0: none
	OverrideWindow bool // windows and freezes do not count any more
	Full           bool // the last step at once
}

// Clocks count observed time: monotonic time in which somebody watched, carried over restarts. Downtime and jumps of
// the wall clock neither shorten a minimum nor trip a limit.
type Clocks struct {
	Phase time.Duration // since the phase, or the reason to hold, began; while shifting, since there were enough proxies
	Step  time.Duration // since the step's weight was acknowledged
	Blind time.Duration // since analysis was first seen without usable data; 0: it has some
	Empty time.Duration // since the canary, while sent traffic, was first seen without a ready endpoint; 0: it has one
	Few   time.Duration // since too few proxies were first seen, while shifting; 0: there are enough
	Gate  time.Duration // since the step's gate was recorded
}

// Add is c after d more on each clock. Those that begin with what a look finds go on only where one has found it.
func (c Clocks) Add(d time.Duration) Clocks {
	begun := func(clock time.Duration) time.Duration {
		if clock == 0 {
			return 0
		}
		return clock + d
	}
	return Clocks{Phase: c.Phase + d, Step: c.Step + d, Blind: begun(c.Blind), Empty: begun(c.Empty), Few: begun(c.Few), Gate: c.Gate + d}
}

// Past is one ended attempt, or the adoption.
type Past struct {
	Attempt   int64
	Version   Version
	StartedAt time.Time
	EndedAt   time.Time
	Outcome   Outcome
	Reason    Reason
	Step      int
	Text      string // the numbers in a few words, at most MaxText bytes
	Observed  bool   // without moving traffic: a dry run
}

// Stage is the plan entry of the present step; zero before the first.
func (s State) Stage() Stage {
	if s.Traffic.Step < 1 || s.Traffic.Step > len(s.Plan) {
		return Stage{}
	}
	return s.Plan[s.Traffic.Step-1]
}

// Gate is the gate of the present step, and whether there is one.
func (s State) Gate() (Gate, bool) { return s.gateOf(s.Traffic.Step) }

func (s State) gateOf(step int) (Gate, bool) {
	i := slices.IndexFunc(s.Gates, func(g Gate) bool { return g.Step == step })
	if i < 0 {
		return Gate{}, false
	}
	return s.Gates[i], true
}

// Rejection is the entry for a digest, and whether there is one.
func (s State) Rejection(digest string) (Rejection, bool) {
	i := slices.IndexFunc(s.Rejected, func(r Rejection) bool { return r.Digest == digest })
	if i < 0 {
		return Rejection{}, false
	}
	return s.Rejected[i], true
}

// sameTraffic reports that two states render the same.
func (s State) sameTraffic(o State) bool {
	return s.Kind.Observe == o.Kind.Observe && s.Stable.Name == o.Stable.Name && s.Canary.Name == o.Canary.Name && s.Traffic.Weight == o.Traffic.Weight && s.Traffic.equal(o.Traffic.Extra)
}

func (s State) told(r Reason) bool { return slices.Contains(s.Progress.Told, r) }
