package demo

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	example "github.com/sluice-dev/sluice/examples/demo"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/receiver"
)

// Numbers are what the demo measured. A nil duration was not reached.
type Numbers struct {
	Good, Bad Release
	Due       int   // requests that were due in the story, shed ones included
	Shed      int64 // of those
	NoVersion int   // answers that no version made
	Notes     NoteNumbers
	Median    time.Duration // of the time from due to answered
	P99       time.Duration
	Still     time.Duration // for how long at most the machine let the demo wait for its turn
}

// NoteNumbers are what the receiver got.
type NoteNumbers struct {
	Sent, Verified, Duplicate int
	Missing                   []string // kinds that were expected and did not come
	Unexpected                []string // kinds that came beyond what was expected
}

// Release is one release, as its users saw it.
type Release struct {
	Version string
	Outcome string // Promoted, RolledBack, else the last reason; empty: it never began
	Reason  string // why it was rolled back

	FirstAcked   *time.Duration // push answered to the ACK of the first weight
	FirstRequest *time.Duration // push answered to the start of the first request on the version
	Steps        []StepNumbers
	Failure      *Failure // of a release that was rolled back

	Requests     int // all, in the act
	OnVersion    int // answered by the version
	Failed       int // of those
	StableErrors int // failures not made by the bad version
}

// StepNumbers is one weight that was held.
type StepNumbers struct {
	Weight   int
	Requests int // all, while it was held
	Seen     int // of those, answered by the version
	Took     time.Duration
}

// Share is the part of the requests that the version answered; 0 of none.
func (s StepNumbers) Share() float64 {
	if s.Requests == 0 {
		return 0
	}
	return float64(s.Seen) / float64(s.Requests)
}

// Failure is how a release came back.
type Failure struct {
	Detect      *time.Duration // first failed request answered to decided
	PushToZero  *time.Duration // push answered to the ACK of weight 0
	ZeroAcked   *time.Duration // decided to the ACK of weight 0
	LastRequest *time.Duration // decided to the start of the last request on the version; 0: there was none after
}

// The outcomes of releases that went as they go.
const (
	OutcomePromoted   = "Promoted"
	OutcomeRolledBack = "RolledBack"
)

// Measure makes numbers of what happened and of what was answered.
func Measure(moments []Moment, story Result) Numbers {
	record := load.NewRecord()
	n := Numbers{Notes: measureNotes(notesOf(moments)), Still: story.Still}
	if story.Load != nil {
		record, n.Shed = story.Load.Record(), story.Load.Shed()
		all := record.Tally(story.From, story.To)
		n.Due, n.NoVersion = all.Total+int(n.Shed), all.Requests("")
		n.Median, n.P99 = record.Latency(0.5, story.From, story.To), record.Latency(0.99, story.From, story.To)
	}
	for _, act := range story.Acts {
		switch act.N {
		case 2:
			n.Good = measureRelease(good, moments, act, record)
		case 3:
			n.Bad = measureRelease(bad, moments, act, record)
		}
	}
	return n
}

func measureRelease(version string, moments []Moment, act Act, record *load.Record) Release {
	r := Release{Version: version}
	tally := record.Tally(act.From, act.To)
	r.Requests, r.OnVersion, r.Failed = tally.Total, tally.Requests(version), tally.Failed(version)
	r.StableErrors = tally.FailedBut(bad)
	moments = slices.DeleteFunc(slices.Clone(moments), func(m Moment) bool { return m.Act != act.N })
	pushed := time.Time{}
	for _, m := range moments {
		if m.Kind == KindPush {
			pushed = m.At
			break
		}
	}
	if pushed.IsZero() {
		return r
	}
	r.Outcome, r.Reason = outcome(moments)
	if m, ok := find(moments, func(m Moment) bool { return m.Kind == KindAcked && m.Event.Weight > 0 }); ok {
		r.FirstAcked = since(pushed, m.At)
	}
	if a, ok := record.First(pushed, act.To, load.Of(version)); ok {
		r.FirstRequest = since(pushed, a.Start)
	}
	r.Steps = measureSteps(version, moments, record)
	r.Failure = measureFailure(version, pushed, moments, record)
	return r
}

// outcome says how the release of these moments ended, and why it was taken back.
func outcome(moments []Moment) (outcome, reason string) {
	for _, m := range moments {
		if m.Kind != KindTransition {
			continue
		}
		switch {
		case m.Event.Reason == v1alpha1.ReasonCompleted:
			return OutcomePromoted, ""
		case m.Event.Phase == string(v1alpha1.PhaseRollingBack) && reason == "":
			reason = m.Event.Reason
		case m.Event.Phase == string(v1alpha1.PhaseRolledBack):
			return OutcomeRolledBack, reason
		}
		outcome = m.Event.Reason
	}
	return outcome, reason
}

func find(moments []Moment, keep func(Moment) bool) (Moment, bool) {
	i := slices.IndexFunc(moments, keep)
	if i < 0 {
		return Moment{}, false
	}
	return moments[i], true
}

func since(from, to time.Time) *time.Duration {
	d := to.Sub(from)
	return &d
}

// toldLate is by how much a transition is told after it was stored, on a busy machine: proxies may have the next weight before.
const toldLate = time.Second

// measureSteps counts the shares while each weight was held: from the transition that saw it settled to a moment before the next one.
func measureSteps(version string, moments []Moment, record *load.Record) []StepNumbers {
	var out []StepNumbers
	for i, m := range moments {
		if m.Kind != KindTransition || m.Event.Phase != string(v1alpha1.PhaseBaking) {
			continue
		}
		end, ok := find(moments[i+1:], func(next Moment) bool {
			return next.Kind == KindTransition && next.Event.Phase != string(v1alpha1.PhaseBaking) && next.Event.Phase != string(v1alpha1.PhaseHolding)
		})
		if !ok {
			break
		}
		if len(out) > 0 && out[len(out)-1].Weight == m.Event.Weight {
			continue // told something within the same step
		}
		acked := m
		for _, before := range moments[:i] {
			if before.Kind == KindAcked && before.Event.Weight == m.Event.Weight {
				acked = before
				break
			}
		}
		tally := record.Tally(m.At, end.At.Add(-toldLate))
		out = append(out, StepNumbers{Weight: m.Event.Weight, Requests: tally.Total, Seen: tally.Requests(version), Took: end.At.Sub(acked.At)})
	}
	return out
}

func measureFailure(version string, pushed time.Time, moments []Moment, record *load.Record) *Failure {
	decided, ok := find(moments, func(m Moment) bool {
		return m.Kind == KindTransition && m.Event.Phase == string(v1alpha1.PhaseRollingBack)
	})
	if !ok {
		return nil
	}
	f := &Failure{}
	if a, ok := record.First(pushed, time.Time{}, load.FailedOf(version)); ok {
		f.Detect = since(a.End, decided.At)
	}
	if zero, ok := find(moments, func(m Moment) bool {
		return m.Kind == KindAcked && m.Event.Weight == 0 && m.Event.Seq >= decided.Event.Seq
	}); ok {
		f.PushToZero, f.ZeroAcked = since(pushed, zero.At), since(decided.At, zero.At)
	}
	if a, ok := record.Last(pushed, time.Time{}, load.Of(version)); ok {
		f.LastRequest = since(decided.At, a.Start)
		*f.LastRequest = max(*f.LastRequest, 0)
	}
	return f
}

// notesOf gives the notes that came.
func notesOf(moments []Moment) []receiver.Note {
	var out []receiver.Note
	for _, m := range moments {
		if m.Kind == KindNote {
			out = append(out, m.Note)
		}
	}
	return out
}

// expectedNotes are the kinds of notes of a story that goes as it should, as often as each comes.
func expectedNotes() []string {
	return []string{"started", "steppassed", "steppassed", "completed", "started", "rolledback", "gitinsync"}
}

// notesMissing gives the expected kinds that did not come, verified, often enough.
func notesMissing(notes []receiver.Note) []string {
	missing := expectedNotes()
	for _, n := range notes {
		if i := slices.Index(missing, n.Kind); i >= 0 && n.Verified() && n.Accepted() && !n.Duplicate {
			missing = slices.Delete(missing, i, i+1)
		}
	}
	return missing
}

func measureNotes(notes []receiver.Note) NoteNumbers {
	n := NoteNumbers{Missing: notesMissing(notes)}
	wanted := expectedNotes()
	for _, note := range notes {
		switch {
		case note.Duplicate:
			n.Duplicate++
			continue
		case !note.Accepted():
			continue
		case note.Verified():
			n.Verified++
		}
		n.Sent++
		if i := slices.Index(wanted, note.Kind); i >= 0 {
			wanted = slices.Delete(wanted, i, i+1)
		} else if slices.Contains(example.NotedKinds(), note.Kind) {
			n.Unexpected = append(n.Unexpected, note.Kind)
		}
	}
	return n
}
