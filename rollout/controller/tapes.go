package controller

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/rollout/scenario"
)

// tapesBytes is how much all tapes take together, beyond a few kB each.
const tapesBytes = 32 << 20

// Bounds of one shortening: so many tapes are looked at, and so many shortened.
const (
	tapeLooks = 256
	tapeCuts  = 16
)

// tapes are the last decisions of this process on each object.
type tapes struct {
	mu   sync.Mutex // guards all, size, and what is on each tape
	all  map[types.NamespacedName]*tape
	size int
}

type tape struct {
	uid types.UID
	scenario.Tape
}

// add puts a decision on the tape of its object, once it is known whether it was stored. One that was held back is none.
func (t *tapes) add(p *pass, d decision, stored bool) {
	if d.withheld {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[types.NamespacedName]*tape{}
	}
	one := t.all[p.key]
	if one == nil || one.uid != p.object.UID {
		if one != nil {
			t.size -= one.Size()
		}
		one = &tape{uid: p.object.UID}
		t.all[p.key] = one
	}
	t.size -= one.Size()
	one.Add(scenario.Decision{Spec: p.spec, State: p.state, Observation: d.observation, Now: p.wallClock(), How: d.how, Next: d.next,
		Moved: d.actions.Transition != nil || d.actions.Consumed != nil, Stored: stored})
	if t.size += one.Size(); t.size > tapesBytes {
		t.shorten(tapesBytes)
	}
}

// shorten takes the oldest decisions from some tapes, of objects at rest where it finds any, until all take no more than so
// many bytes. It looks at few tapes and shortens fewer, so that nobody waits for the lock; what is added meanwhile is less.
func (t *tapes) shorten(within int) {
	var rest, open []*tape
	looks := tapeLooks
	for _, one := range t.all { // which begins anywhere
		switch {
		case one.Size() == 0:
		case one.Rests():
			rest = append(rest, one)
		default:
			open = append(open, one)
		}
		if looks--; looks <= 0 || len(rest) == tapeCuts {
			break
		}
	}
	if len(rest) == 0 {
		rest = open[:min(len(open), tapeCuts)]
	}
	for _, one := range rest {
		was := one.Size()
		if t.size <= within {
			return
		}
		one.Shorten()
		t.size += one.Size() - was
	}
}

// drop lets go of an object that does not exist any more.
func (t *tapes) drop(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, one := range t.all {
		if one.uid == uid {
			t.size -= one.Size()
			delete(t.all, key)
		}
	}
}

// Decisions gives the last decisions of this process on a Rollout as a script that plays to the same end; empty: there are
// none, because another process leads, or because there is no such Rollout.
func (c *Controller) Decisions(key types.NamespacedName) (string, error) {
	c.tapes.mu.Lock()
	defer c.tapes.mu.Unlock()
	one := c.tapes.all[key]
	if one == nil {
		return "", nil
	}
	return one.Script(fmt.Sprintf("The last decisions on Rollout %s, as the leader saw what it decided on.", key))
}
