package rollout

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verb is what a person asks for.
type Verb string

// The verbs.
const (
	VerbPromote     Verb = "promote"     // end this step's waits, but for approvals
	VerbPromoteFull Verb = "promoteFull" // the same, and straight to the last step
	VerbSkip        Verb = "skip"        // the same, to a later step
	VerbApprove     Verb = "approve"     // give an approval that a step asks for
	VerbPause       Verb = "pause"       // raise nothing
	VerbResume      Verb = "resume"      // end that
	VerbAbort       Verb = "abort"       // end the attempt and reject its version
	VerbRollback    Verb = "rollback"    // the same; at rest: back to the former stable version
	VerbRetry       Verb = "retry"       // start again with what Git wants, rejected or not
)

// Verbs lists all verbs.
func Verbs() []Verb {
	return []Verb{VerbPromote, VerbPromoteFull, VerbSkip, VerbApprove, VerbPause, VerbResume, VerbAbort, VerbRollback, VerbRetry}
}

// actionLimit is how long after its creation an action may still be decided on.
const actionLimit = 10 * time.Minute

// Action is what a person asks of a rollout, once. Its guards are the fields that begin with If; those that are set
// must all hold when it is decided on.
type Action struct {
	UID            string
	Verb           Verb
	IfAttempt      int64  // 0: any
	IfRevision     string // how the digest begins; empty: any
	IfSeq          uint64 // 0: any
	Step           string // by name, or by number from 1; empty: the present one
	OverrideWindow bool
	Actor          string
	Reason         string    // the person's words
	Created        time.Time // wall time
}

// Answer is how an action was decided.
type Answer string

// The answers.
const (
	Accepted Answer = "accepted"
	Refused  Answer = "refused"
	Expired  Answer = "expired" // nobody decided on it in time; the caller's, see Due
)

// Code says why an action was refused.
type Code string

// The codes of refusals.
const (
	StaleSeq         Code = "StaleSeq"
	WrongAttempt     Code = "WrongAttempt"
	WrongRevision    Code = "WrongRevision"
	NothingOpen      Code = "NothingOpen"
	StepNotApproved  Code = "ApprovalNeeded"
	UnknownStep      Code = "UnknownStep"
	NothingToApprove Code = "NothingToApprove"
	DuplicateActor   Code = "DuplicateActor"
	StaysPaused      Code = "PausedInGit"
	NoPrevious       Code = "NoPrevious"
	NothingRejected  Code = "NothingRejected"
	UnknownVerb      Code = "UnknownVerb" // of a newer build
)

// Consumed is an action that was decided on. It stays in State until the caller has seen that the action itself says so.
type Consumed struct {
	UID     string
	Verb    Verb
	Answer  Answer
	Code    Code   // why it was refused
	Attempt int64  // the newest when it was decided on
	Seq     uint64 // of the transition that it made; refused: of the state it was refused under
	At      time.Time
}

// Due chooses the action to offer to Step: abort and rollback before all others, then the oldest, but none that must
// wait for another phase or that was consumed. expired are those that came too late, to be told so; nothing else
// follows from them.
func Due(st State, all []Action, now time.Time) (next *Action, expired []Action) {
	list := slices.DeleteFunc(slices.Clone(all), func(a Action) bool { return st.consumed(a.UID) })
	slices.SortStableFunc(list, func(a, b Action) int {
		return cmp.Or(cmp.Compare(a.Verb.rank(), b.Verb.rank()), a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID))
	})
	for i := range list {
		a := &list[i]
		switch {
		case !now.Before(a.Created.Add(actionLimit)) && (!st.Phase.Open() || !a.Verb.lasting()):
			expired = append(expired, *a)
		case next == nil && len(st.Consumed) < MaxConsumed && !st.defers(a.Verb):
			next = a
		}
	}
	return next, expired
}

func (v Verb) rank() int {
	if v == VerbAbort || v == VerbRollback {
		return 0
	}
	return 1
}

// lasting reports that the verb makes an attempt safer, so that it never comes too late for an open one.
func (v Verb) lasting() bool { return v == VerbPause || v == VerbAbort || v == VerbRollback }

func (v Verb) promotes() bool { return v == VerbPromote || v == VerbPromoteFull || v == VerbSkip }

// defers reports that an action waits for the next phase rather than being refused.
func (s State) defers(v Verb) bool {
	switch s.Phase {
	case Shifting:
		return v.promotes()
	case Preparing:
		return v == VerbPromote || v == VerbSkip
	case RollingBack:
		return v == VerbRetry
	case Idle, Baking, Holding, RolledBack:
	}
	return false
}

func (s State) consumed(uid string) bool {
	return slices.ContainsFunc(s.Consumed, func(c Consumed) bool { return c.UID == uid })
}

// guard is the code of the first guard that does not hold under st, or "". wanted is what Git asks for.
func (a Action) guard(st State, wanted Version) Code {
	revision := st.Canary.Digest
	switch {
	case a.Verb == VerbRetry && !st.Phase.Open():
		revision = wanted.Digest
	case a.Verb == VerbRollback && st.Phase.Rest():
		revision = st.Stable.Digest
	}
	switch {
	case a.IfSeq != 0 && a.IfSeq != st.Seq:
		return StaleSeq
	case a.IfAttempt != 0 && a.IfAttempt != st.Attempt:
		return WrongAttempt
	case a.IfRevision != "" && !strings.HasPrefix(revision, a.IfRevision):
		return WrongRevision
	}
	return ""
}

// step is the plan's entry that the action names, from 1; 0: there is none.
func (a Action) step(st State) int {
	if a.Step == "" {
		return st.Traffic.Step
	}
	if i := slices.IndexFunc(st.Plan, func(s Stage) bool { return s.Name == a.Step }); i >= 0 {
		return i + 1
	}
	if n, err := strconv.Atoi(a.Step); err == nil && n >= 1 && n <= len(st.Plan) {
		return n
	}
	return 0
}
