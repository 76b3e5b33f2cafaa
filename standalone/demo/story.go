package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/load"
)

// World is what the story acts on.
type World interface {
	Push(ctx context.Context, c Change) (Push, error) // commits and pushes; returns when receive-pack has answered
	Ask(ctx context.Context) (version string, err error)
	StartLoad(ctx context.Context) (Load, error)
	Look(ctx context.Context) (Look, error)
}

// Load is the running load.
type Load interface {
	Record() *load.Record
	Shed() int64
}

// Change is a commit to make.
type Change struct {
	Subject string
	Subset  string // what the Rollout is to want; empty: no change
	Readme  string // text of the README; empty: no change
	Revert  string // the commit to take back; then the rest is empty
}

// Look is what the API server says of the Rollout and its Source.
type Look struct {
	Ready    string // status of the condition
	Reason   string // of the condition
	Attempt  int64
	Weight   int
	Stable   string
	Revision string // that the Source has applied
	Source   string // message of the Source's Ready condition, unless it is True
	Message  string // of the Rollout's Ready condition
	Harm     string // evidence of harm, in units of which 100 roll back; empty: unknown
	Safe     string // evidence of no harm, of which 20 promote
}

// Act is one act of the story, as it went.
type Act struct {
	N       int
	Title   string
	From    time.Time
	To      time.Time // zero: it was not reached or has not ended
	Problem string    // why it went otherwise; empty: it did not
}

// Result is the story, as it went.
type Result struct {
	Acts []Act
	Load Load      // nil: it never began
	From time.Time // when the load began
	To   time.Time // when the story ended

	Still time.Duration // for how long at most the machine let the demo wait for its turn
}

// The versions of the story.
const (
	first = "v1"
	good  = "v2"
	bad   = "v3"
)

// The pace of the story.
const (
	baseline    = 8 * time.Second
	beforeBad   = 4 * time.Second
	quiet       = 5 * time.Second
	notesWithin = 30 * time.Second
	lookEvery   = 100 * time.Millisecond
)

// script is what Story needs to know besides the world.
type script struct {
	Subtle bool // the bad release fails rarely
}

func (s script) badDeadline() time.Duration {
	if s.Subtle {
		return 180 * time.Second
	}
	return 90 * time.Second
}

// Story plays the acts 1 to 5.
type Story struct {
	World   World
	Journal *Journal
	Script  script

	result Result
	broken string // the commit of the bad release
}

// Play plays the story to its end, or to the first act that goes otherwise, which is not an error. The error is that of
// ctx or of the world.
func (s *Story) Play(ctx context.Context) (Result, error) {
	stop := watchMachine(ctx, s.Journal.now)
	err := s.play(ctx)
	s.result.To, s.result.Still = s.Journal.now(), stop()
	return s.result, err
}

// errOtherwise says that an act went otherwise and why.
type errOtherwise struct {
	why  string
	late bool // its deadline has passed, so something else must be the reason
}

func (e errOtherwise) Error() string { return e.why }

func otherwise(format string, args ...any) error {
	return errOtherwise{why: fmt.Sprintf(format, args...)}
}

func late(limit time.Duration) error {
	return errOtherwise{why: "not within " + span(limit), late: true}
}

func (s *Story) play(ctx context.Context) error {
	for _, act := range []struct {
		title  string
		before time.Duration
		limit  time.Duration
		play   func(context.Context) error
		after  func(context.Context) error
	}{
		{"first apply", 0, 60 * time.Second, s.firstApply, s.beginLoad},
		{"a good release", 0, 240 * time.Second, s.goodRelease, nil},
		{"a bad release", beforeBad, s.Script.badDeadline(), s.badRelease, nil},
		{"not retried", 0, 60 * time.Second, s.notRetried, nil},
		{"undo", 0, 60 * time.Second, s.undo, s.awaitNotes},
	} {
		if err := pause(ctx, act.before); err != nil {
			return err
		}
		n := len(s.result.Acts) + 1
		s.Journal.Add(Moment{Kind: KindAct, Act: n, Text: act.title})
		went := Act{N: n, Title: act.title, From: s.Journal.now()}
		limited, cancel := context.WithTimeoutCause(ctx, act.limit, late(act.limit))
		err := act.play(limited)
		cancel()
		went.To = s.Journal.now()
		var other errOtherwise
		if errors.As(err, &other) {
			went.Problem, err = other.why, nil
		}
		s.result.Acts = append(s.result.Acts, went)
		s.Journal.Add(Moment{Kind: KindEnd, Text: went.Problem})
		if err != nil || went.Problem != "" {
			return err
		}
		if act.after == nil {
			continue
		}
		if err := act.after(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Story) push(ctx context.Context, c Change) (index int, p Push, err error) {
	index = len(s.Journal.Moments())
	p, err = s.World.Push(ctx, c)
	if err != nil {
		return 0, p, worldOr(ctx, err)
	}
	s.Journal.Add(Moment{At: p.At, Kind: KindPush, Push: p})
	return index, p, nil
}

// worldOr gives the reason of ctx's end where that explains the error.
func worldOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *Story) firstApply(ctx context.Context) error {
	index, p, err := s.push(ctx, Change{Subject: "reviews: " + first, Subset: first})
	if err != nil {
		return err
	}
	err = s.Journal.Await(ctx, index, func(moments []Moment) (bool, error) {
		for _, m := range moments {
			if m.Kind == KindTransition && m.Event.Reason == v1alpha1.ReasonAdopted {
				return true, expectSubset(m, first)
			}
		}
		return false, nil
	})
	if err != nil {
		return s.explain(ctx, err, p)
	}
	err = s.poll(ctx, func() error {
		version, err := s.World.Ask(ctx)
		if err == nil && version != first {
			err = fmt.Errorf("%q answers instead of %s", version, first)
		}
		return err
	})
	return s.explain(ctx, err, p)
}

func expectSubset(m Moment, want string) error {
	if m.Event.Subset != want {
		return otherwise("%s %s instead of %s", m.Event.Reason, m.Event.Subset, want)
	}
	return nil
}

// explain adds to a missed deadline what the API server says of the reason.
func (s *Story) explain(ctx context.Context, err error, p Push) error {
	var other errOtherwise
	if !errors.As(err, &other) || !other.late {
		return err
	}
	look, lookErr := s.World.Look(context.WithoutCancel(ctx))
	switch {
	case lookErr != nil:
		return otherwise("%s: %v", other.why, lookErr)
	case !strings.Contains(look.Revision, p.Commit):
		return otherwise("%s: commit %.7s is not applied: %s", other.why, p.Commit, look.Source)
	default:
		return otherwise("%s: Ready is %s, %s: %s", other.why, look.Ready, look.Reason, look.Message)
	}
}

// poll asks until the answer is nil.
func (s *Story) poll(ctx context.Context, ask func() error) error {
	for {
		last := ask()
		if last == nil {
			return nil
		}
		if err := pause(ctx, lookEvery); err != nil {
			var other errOtherwise
			if errors.As(err, &other) && other.late {
				return otherwise("%s: %v", other.why, last)
			}
			return err
		}
	}
}

func (s *Story) beginLoad(ctx context.Context) error {
	running, err := s.World.StartLoad(ctx)
	if err != nil {
		return err
	}
	s.result.Load, s.result.From = running, s.Journal.now()
	return pause(ctx, baseline)
}

func (s *Story) goodRelease(ctx context.Context) error {
	index, p, err := s.push(ctx, Change{Subject: "reviews: " + good, Subset: good})
	if err != nil {
		return err
	}
	err = s.Journal.Await(ctx, index, func(moments []Moment) (bool, error) {
		for _, m := range moments {
			switch {
			case m.Kind != KindTransition:
			case m.Event.Phase == string(v1alpha1.PhaseRolledBack):
				return false, otherwise("%s was rolled back: %s", good, reasonOfRollback(moments))
			case m.Event.Reason == v1alpha1.ReasonCompleted:
				return true, expectSubset(m, good)
			}
		}
		return false, nil
	})
	return s.explain(ctx, err, p)
}

// reasonOfRollback gives the reason with the weight it was found at.
func reasonOfRollback(moments []Moment) string {
	weight := 0
	for _, m := range moments {
		switch {
		case m.Kind != KindTransition:
		case m.Event.Phase == string(v1alpha1.PhaseRollingBack):
			return fmt.Sprintf("%s at %d%%", m.Event.Reason, weight)
		default:
			weight = m.Event.Weight
		}
	}
	return unknown
}

func (s *Story) badRelease(ctx context.Context) error {
	index, p, err := s.push(ctx, Change{Subject: "reviews: " + bad, Subset: bad})
	if err != nil {
		return err
	}
	s.broken = p.Commit
	err = s.Journal.Await(ctx, index, func(moments []Moment) (bool, error) {
		for _, m := range moments {
			switch {
			case m.Kind != KindTransition:
			case m.Event.Reason == v1alpha1.ReasonCompleted, m.Event.Phase == string(v1alpha1.PhaseShifting) && m.Event.Weight == 100:
				return false, otherwise("%s was promoted", bad)
			case m.Event.Phase == string(v1alpha1.PhaseRolledBack):
				return true, nil
			}
		}
		return false, nil
	})
	return s.explain(ctx, err, p)
}

func (s *Story) notRetried(ctx context.Context) error {
	index, p, err := s.push(ctx, Change{Subject: "readme: say what this is", Readme: "# reviews\n\nDeployed by Sluice.\n"})
	if err != nil {
		return err
	}
	if err := s.poll(ctx, func() error {
		look, err := s.World.Look(ctx)
		if err == nil && !strings.Contains(look.Revision, p.Commit) {
			err = fmt.Errorf("commit %.7s is not applied: %s", p.Commit, look.Source)
		}
		return err
	}); err != nil {
		return err
	}
	still, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	err = s.Journal.Await(still, index, func(moments []Moment) (bool, error) {
		for _, m := range moments {
			if m.Kind == KindTransition && (m.Event.Weight > 0 || m.Event.Reason == v1alpha1.ReasonAttemptStarted) {
				return false, otherwise("%s %s: the rejected version was tried again", m.Event.Reason, m.Event.Subset)
			}
		}
		return false, nil
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	look, err := s.World.Look(ctx)
	if err == nil && look.Weight != 0 {
		err = otherwise("the weight is %d%%", look.Weight)
	}
	return worldOr(ctx, err)
}

func (s *Story) undo(ctx context.Context) error {
	index, p, err := s.push(ctx, Change{Subject: "revert " + bad, Revert: s.broken})
	if err != nil {
		return err
	}
	err = s.Journal.Await(ctx, index, func(moments []Moment) (bool, error) {
		for _, m := range moments {
			if m.Kind == KindTransition && m.Event.Phase == string(v1alpha1.PhaseIdle) {
				return true, expectSubset(m, good)
			}
		}
		return false, nil
	})
	if err != nil {
		return s.explain(ctx, err, p)
	}
	return s.poll(ctx, func() error {
		look, err := s.World.Look(ctx)
		if err == nil && (look.Ready != "True" || look.Stable != good) {
			err = fmt.Errorf("ready is %s, %s: %s; stable is %s", look.Ready, look.Reason, look.Message, look.Stable)
		}
		return err
	})
}

// awaitNotes gives notes that are under way time to come; whether all did is for Check to say.
func (s *Story) awaitNotes(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, notesWithin)
	defer cancel()
	err := s.Journal.Await(limited, 0, func(moments []Moment) (bool, error) {
		return len(notesMissing(notesOf(moments))) == 0, nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// pause waits; the error is the reason of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
