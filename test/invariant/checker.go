package invariant

import (
	"fmt"
	"slices"
	"time"
)

// Checker holds events against the invariants.
type Checker struct {
	within    time.Duration
	exercised map[Rule]int
	found     []Violation
	now       Event
	of        story
	ready     Endpoints
	served    map[int]bool // weights that were stored
	notes     map[string]Noted
}

// story is what was stored of one object.
type story struct {
	last     Stored
	any      bool
	began    int64         // seq at which the attempt was first seen
	base     int           // stable's ready endpoints then; 0: not known
	failed   time.Duration // when; 0: it has not
	rejected string        // the canary that did
	consumed map[string]int64
}

// New makes a Checker; within is how long proxies may take to send nothing more to a version that has failed.
func New(within time.Duration) *Checker {
	return &Checker{within: within, exercised: map[Rule]int{}, served: map[int]bool{0: true, 100: true}, notes: map[string]Noted{}}
}

// Exercised is how often each invariant was put to the test. One that never was has not been shown.
func (c *Checker) Exercised() map[Rule]int { return c.exercised }

// Add takes the next event, and gives what it breaks.
func (c *Checker) Add(e Event) []Violation {
	c.now, c.found = e, nil
	switch b := e.Body.(type) {
	case Stored:
		c.stored(b)
	case Endpoints:
		c.ready = b
	case Served:
		c.serves(b)
	case Answered:
		c.answered(b)
	case Noted:
		c.noted(b)
	default:
		c.must(Sequence, false, "%T is no event", e.Body)
	}
	return c.found
}

// must notes that a rule was put to the test, and whether it held.
func (c *Checker) must(r Rule, holds bool, format string, args ...any) {
	c.exercised[r]++
	if !holds {
		c.found = append(c.found, Violation{Rule: r, Event: c.now, Text: fmt.Sprintf("%s: ", r) + fmt.Sprintf(format, args...)})
	}
}

func (c *Checker) stored(s Stored) {
	c.must(Sum, s.Weight >= 0 && s.Weight <= 100, "weight %d is stored", s.Weight)
	c.served[s.Weight] = true
	was := c.of.last
	if !c.of.any || was.Object != s.Object {
		if c.of.any {
			c.must(Recreated, len(s.Rejected) == 0 && s.Attempt <= 1 && s.Weight == 0, "a new object begins with attempt %d at %d%%, rejected %v", s.Attempt, s.Weight, s.Rejected)
		}
		c.of = story{last: s, any: true, began: s.Seq, consumed: map[string]int64{}}
		c.once(s)
		return
	}
	c.must(Writer, s.Epoch >= was.Epoch, "epoch %d is stored after %d", s.Epoch, was.Epoch)
	c.must(Sequence, s.Seq == was.Seq || s.Seq == was.Seq+1, "seq %d is stored after %d", s.Seq, was.Seq)
	c.once(s)
	if s.Attempt != was.Attempt {
		c.begins(was, s)
	} else {
		c.goesOn(was, s)
	}
	c.of.last = s
}

// begins judges the first status of an attempt.
func (c *Checker) begins(was, s Stored) {
	c.of.began, c.of.base, c.of.failed, c.of.rejected = s.Seq, 0, 0, ""
	if c.ready.Known {
		c.of.base = c.ready.Stable
	}
	c.must(Attempt, s.Attempt > was.Attempt && s.Weight == 0 && was.Weight == 0 && len(s.Gates) == 0,
		"attempt %d begins at %d%% with %d gates, after attempt %d at %d%%", s.Attempt, s.Weight, len(s.Gates), was.Attempt, was.Weight)
}

// goesOn judges what follows within an attempt.
func (c *Checker) goesOn(was, s Stored) {
	if len(s.Gates) > 0 {
		c.must(Attempt, !slices.ContainsFunc(s.Gates, func(g Gate) bool { return g.Seq < c.of.began }), "a gate is older than attempt %d: %v", s.Attempt, s.Gates)
	}
	if s.Step > was.Step && was.Step > 0 {
		i := slices.IndexFunc(s.Gates, func(g Gate) bool { return g.Step == was.Step })
		c.must(GateFirst, i >= 0 && (s.Step == was.Step+1 || s.Gates[i].Asked), "step %d follows %d with the gates %v", s.Step, was.Step, s.Gates)
	}
	if !was.Open {
		c.must(Absorbed, s.Weight <= was.Weight && !s.Open, "attempt %d has ended at %d%%, and has %d%% again", s.Attempt, was.Weight, s.Weight)
	}
	if s.Failed && !was.Failed && !s.Observe {
		c.of.failed, c.of.rejected = max(c.now.At, 1), was.Canary
	}
	if s.Weight > was.Weight {
		c.must(GateFirst, s.Step > was.Step, "weight %d follows %d within step %d", s.Weight, was.Weight, s.Step)
		if c.ready.Known && c.of.base > 0 {
			need := max(1, (s.Weight*c.of.base+199)/200)
			c.must(Capacity, c.ready.Canary >= need, "weight %d is stored with %d ready endpoints of the canary; stable had %d", s.Weight, c.ready.Canary, c.of.base)
		}
	}
	if s.Weight < was.Weight && s.Stable == was.Stable && c.ready.Known {
		c.must(WayBack, c.ready.Stable > 0 || c.ready.Canary == 0, "weight %d follows %d while stable has no ready endpoint and the canary has %d", s.Weight, was.Weight, c.ready.Canary)
	}
}

// once judges who was consumed where.
func (c *Checker) once(s Stored) {
	for _, one := range s.Consumed {
		at, known := c.of.consumed[one.ID]
		c.must(Once, !known || at == one.Seq, "action %s is consumed at seq %d and at %d", one.ID, at, one.Seq)
		c.of.consumed[one.ID] = one.Seq
	}
}

// late reports that the newest attempt has failed, and that proxies had time to hear of it.
func (c *Checker) late() bool { return c.of.failed > 0 && c.now.At > c.of.failed+c.within }

func (c *Checker) serves(s Served) {
	whole := s.Total > 0 && s.Canary*100%s.Total == 0
	c.must(Sum, whole && c.served[s.Canary*100/s.Total], "%s runs %d of %d", s.Proxy, s.Canary, s.Total)
	if c.late() {
		c.must(Absorbed, s.Canary == 0 || c.of.last.Weight > 0, "%s runs %d of %d, %v after the attempt failed", s.Proxy, s.Canary, s.Total, c.now.At-c.of.failed)
	}
}

func (c *Checker) answered(a Answered) {
	if c.late() && a.Version == c.of.rejected {
		c.must(Absorbed, c.of.last.Weight > 0, "%s is sent a request %v after it failed", a.Version, c.now.At-c.of.failed)
	}
}

func (c *Checker) noted(n Noted) {
	key := fmt.Sprintf("%s %s %d", n.Receiver, n.Object, n.Seq)
	first, twice := c.notes[key]
	c.must(Notes, !twice || first.ID == n.ID, "seq %d has the ids %s and %s", n.Seq, first.ID, n.ID)
	newest := c.notes[n.Receiver]
	c.must(Notes, newest.Object != n.Object || newest.Seq <= n.Seq, "seq %d is told after %d", n.Seq, newest.Seq)
	c.notes[key], c.notes[n.Receiver] = n, n
}
