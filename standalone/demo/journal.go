package demo

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/receiver"
)

// Kind says what a Moment is.
type Kind string

// The kinds of moments.
const (
	KindPart       Kind = "part"       // a part is ready: Text, Took
	KindAct        Kind = "act"        // an act begins: Text
	KindPush       Kind = "push"       // a push was answered: Push
	KindTransition Kind = "transition" // the Rollout moved: Event
	KindAcked      Kind = "acked"      // proxies run a weight: Event
	KindNote       Kind = "note"       // a note has come: Note
	KindFault      Kind = "fault"      // faults of a version were switched: Text
	KindEnd        Kind = "end"        // an act has ended: Text, empty when it went well
)

// Moment is something that happened.
type Moment struct {
	At    time.Time
	Act   int
	Kind  Kind
	Text  string
	Took  time.Duration
	Push  Push
	Event app.Event
	Note  receiver.Note
}

// Push is a commit that the Git server has taken.
type Push struct {
	Commit  string    // full hash
	Subject string    // first line of the message
	At      time.Time // when receive-pack had answered
}

// Journal is what has happened so far, in the order in which it became known. Its methods may be called from any
// goroutine.
type Journal struct {
	now   func() time.Time
	start time.Time

	mu      sync.Mutex // guards what follows
	act     int
	moments []Moment
	changed chan struct{} // closed and replaced by each Add
}

// NewJournal starts the demo's clock.
func NewJournal(now func() time.Time) *Journal {
	return &Journal{now: now, start: now(), changed: make(chan struct{})}
}

// Start is when the demo began.
func (j *Journal) Start() time.Time { return j.start }

// Add appends a moment, of the present act, and of now unless it says when.
func (j *Journal) Add(m Moment) {
	if m.At.IsZero() {
		m.At = j.now()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if m.Kind == KindAct {
		j.act = m.Act
	}
	m.Act = j.act
	j.moments = append(j.moments, m)
	close(j.changed)
	j.changed = make(chan struct{})
}

// Observe appends what the controllers tell of the demo's Rollout.
func (j *Journal) Observe(e app.Event) {
	kind := KindTransition
	if e.Kind == app.EventAcked {
		kind = KindAcked
	}
	j.Add(Moment{At: e.At, Kind: kind, Event: e})
}

// Moments gives what has happened so far; the slice is not to be changed.
func (j *Journal) Moments() []Moment {
	moments, _ := j.look()
	return moments
}

func (j *Journal) look() ([]Moment, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.moments[:len(j.moments):len(j.moments)], j.changed
}

// Await returns when done gives true or an error for the moments from index on, or when ctx ends.
func (j *Journal) Await(ctx context.Context, index int, done func([]Moment) (bool, error)) error {
	for {
		moments, changed := j.look()
		ok, err := done(moments[index:])
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Follow calls f for each moment, in order, from the first on, until ctx ends and all are told.
func (j *Journal) Follow(ctx context.Context, f func(Moment)) {
	for next := 0; ; {
		moments, changed := j.look()
		for ; next < len(moments); next++ {
			f(moments[next])
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for _, m := range j.Moments()[next:] {
				f(m)
			}
			return
		}
	}
}
