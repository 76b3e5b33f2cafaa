package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/receiver"
)

// scripted is a World without parts: it does at set times what the parts would do, or what a broken one would.
type scripted struct {
	journal *Journal
	breaks  breakage
	ctx     context.Context // ends the load

	mu     sync.Mutex // guards what follows
	record *load.Record
	shed   int64
	look   Look
	seq    uint64
	trial  int64
	stable string
	canary string
	weight int // that requests are split by
	served int // requests so far
	wheel  int // spreads the canary's share evenly
	broken int // answers of v3 so far
	pushes int
}

// breakage is what goes otherwise.
type breakage struct {
	notAdopted  bool // the first apply changes nothing
	badPromoted bool // nobody finds v3 bad
	goodFails   bool // v2 is rolled back at 50 %
	retried     bool // a README change starts the rejected version again
	lost        bool // the proxy answers 503 now and then
	slowAck     bool // proxies take six seconds
	skewed      bool // the proxy sends the canary twice its share
	noteLost    bool // the note of the end does not come
	noteTwice   bool // the note of the start comes twice
	sheds       bool // the load could not keep up
}

func (w *scripted) Shed() int64          { return w.shed }
func (w *scripted) Record() *load.Record { return w.record }

func (w *scripted) Ask(context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stable == "" {
		return "", errors.New("connection refused")
	}
	return w.stable, nil
}

func (w *scripted) Look(context.Context) (Look, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.look, nil
}

// StartLoad answers a request every 2 ms, in 8 ms.
func (w *scripted) StartLoad(context.Context) (Load, error) {
	w.record = load.NewRecord()
	if w.breaks.sheds {
		w.shed = 1000
	}
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.ctx.Done():
				return
			case at := <-tick.C:
				w.record.Add(w.answer(at))
			}
		}
	}()
	return w, nil
}

func (w *scripted) answer(at time.Time) load.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served++
	a := load.Answer{Due: at, Start: at, End: at.Add(8 * time.Millisecond), Version: w.stable, Status: 200}
	weight := w.weight
	if w.breaks.skewed {
		weight = min(100, 2*weight)
	}
	if w.wheel += weight; w.wheel >= 100 {
		w.wheel -= 100
		a.Version = w.canary
	}
	if a.Version == bad && !w.breaks.badPromoted {
		if w.broken++; w.broken%5 == 0 {
			a.Status = 500
		}
	}
	if w.breaks.lost && w.served%1000 == 0 {
		a.Version, a.Status = "", 503
	}
	return a
}

// Push answers after 40.3 ms: never at the instant of a request.
func (w *scripted) Push(ctx context.Context, c Change) (Push, error) {
	if err := pause(ctx, 40300*time.Microsecond); err != nil {
		return Push{}, err
	}
	w.mu.Lock()
	w.pushes++
	p := Push{Commit: fmt.Sprintf("%d%039d", w.pushes, 0), Subject: c.Subject, At: time.Now()}
	w.mu.Unlock()
	go w.react(p, c)
	return p, nil
}

func (w *scripted) wait(ms int) { _ = pause(w.ctx, time.Duration(ms)*time.Millisecond) }

func (w *scripted) react(p Push, c Change) {
	w.wait(230) // no multiple of the pace at which the story looks
	if w.breaks.notAdopted {
		w.mu.Lock()
		w.look.Source, w.look.Revision = "Problems: deploy/rollout.yaml:7: unknown field \"subst\"", "main@sha1:"
		w.mu.Unlock()
		return
	}
	w.mu.Lock()
	w.look.Revision = "main@sha1:" + p.Commit
	w.mu.Unlock()
	switch {
	case c.Revert != "":
		w.transition("Idle", "Reverted", good, 0)
		w.note("gitinsync")
	case c.Readme != "" && w.breaks.retried:
		w.wait(2000)
		w.release(bad, func() bool { return false })
	case c.Subset == first:
		w.transition("Idle", "Adopted", first, 0)
		w.mu.Lock()
		w.stable = first
		w.mu.Unlock()
	case c.Subset == good:
		w.release(good, func() bool { return w.breaks.goodFails && w.weight == 50 })
	case c.Subset == bad:
		w.release(bad, func() bool { return !w.breaks.badPromoted })
	}
}

// release shifts to a version; harmful says whether its present weight shows harm.
func (w *scripted) release(version string, harmful func() bool) {
	w.mu.Lock()
	w.trial++
	w.mu.Unlock()
	w.transition("Preparing", "AttemptStarted", version, 0)
	w.note("started")
	if w.breaks.noteTwice && version == good {
		w.note("started")
	}
	reason := "WeightRequested"
	for _, weight := range []int{15, 50, 100} {
		w.wait(10)
		w.transition("Shifting", reason, version, weight)
		if reason == "StepPassed" {
			w.note("steppassed")
		}
		w.ack(version, weight)
		w.wait(1000)
		w.transition("Baking", "WeightProgrammed", version, weight)
		if harmful() {
			w.wait(5000)
			w.transition("RollingBack", "RegressionDetected", version, 0)
			w.note("rolledback")
			w.ack(version, 0)
			w.wait(1000)
			w.transition("RolledBack", "RolledBack", w.stable, 0)
			return
		}
		w.wait(9000)
		reason = "StepPassed"
	}
	w.mu.Lock()
	w.stable = version
	w.mu.Unlock()
	w.transition("Idle", "Completed", version, 0)
	w.ack(version, 0)
	if !w.breaks.noteLost {
		w.note("completed")
	}
}

func (w *scripted) transition(phase, reason, subset string, weight int) {
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.seq++
	seq, trial := w.seq, w.trial
	w.look.Attempt, w.look.Weight, w.look.Stable = trial, weight, w.stable
	w.look.Ready, w.look.Reason, w.look.Harm = "Unknown", phase, "64"
	if phase == "Idle" {
		w.look.Ready, w.look.Reason = "True", reason
	}
	w.mu.Unlock()
	w.journal.Observe(app.Event{At: time.Now(), Kind: app.EventTransition, Attempt: trial, Seq: seq, Phase: phase, Reason: reason, Subset: subset, Weight: weight})
}

func (w *scripted) ack(version string, weight int) {
	w.wait(38)
	if w.breaks.slowAck {
		w.wait(6000)
	}
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.canary, w.weight = version, weight
	seq := w.seq
	w.mu.Unlock()
	w.journal.Observe(app.Event{At: time.Now(), Kind: app.EventAcked, Seq: seq, Subset: version, Weight: weight, Connected: 1})
}

func (w *scripted) note(kind string) {
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	id := fmt.Sprintf("u.%d.%d.team", w.trial, w.seq)
	w.mu.Unlock()
	n := receiver.Note{ID: id, Kind: kind, At: time.Now(), Status: 200}
	for _, earlier := range notesOf(w.journal.Moments()) {
		n.Duplicate = n.Duplicate || earlier.ID == id
	}
	w.journal.Add(Moment{At: n.At, Kind: KindNote, Note: n})
}
