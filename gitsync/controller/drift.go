package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

const mergeDrift = 200 * time.Millisecond // changes of one Source within this time are repaired together

// drift is what a process knows of the applied objects that others change.
type drift struct {
	pending map[gitsync.ID]bool // changed, not looked at yet
	tries   int                 // repairs that failed in a row
	next    time.Time           // before which pending ones are left alone after a failure
	repairs map[gitsync.ID]gitsync.Repairs
}

func newDrift() drift {
	return drift{pending: map[gitsync.ID]bool{}, repairs: map[gitsync.ID]gitsync.Repairs{}}
}

// drifted is told by the watch that an object changed, by whom and how does not matter here.
func (c *Controller) drifted(owner gitsync.Owner, id gitsync.ID) {
	name := types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
	c.mu.Lock()
	known, first := c.memory[name] != nil, len(c.drifts[name]) == 0
	if known {
		if first {
			c.drifts[name] = map[gitsync.ID]bool{}
		}
		c.drifts[name][id] = true
	}
	c.mu.Unlock()
	if known && first {
		c.wake.after(name, mergeDrift)
	}
}

// heed takes over what the watch has told since.
func (p *pass) heed() {
	c, name := p.controller, types.NamespacedName{Namespace: p.src.Namespace, Name: p.src.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(p.memory.drift.pending, c.drifts[name])
	delete(c.drifts, name)
}

// repair brings back what was applied last of the objects that others have changed since. It needs no Git: held units
// get what they had.
func (p *pass) repair(ctx context.Context) error {
	d := &p.memory.drift
	if p.started.Before(d.next) {
		return nil
	}
	var items []gitsync.Item
	strays := false
	for id := range d.pending {
		it, ours := p.memory.applied[id]
		if ours && p.started.Before(d.repairs[id].Next(p.started)) {
			continue
		}
		delete(d.pending, id)
		if ours {
			items = append(items, it)
		}
		strays = strays || !ours
	}
	if strays {
		p.stray(ctx)
	}
	if len(items) == 0 {
		return nil
	}
	if err := p.restore(ctx, items); err != nil {
		for _, it := range items {
			d.pending[it.Object.ID] = true
		}
		d.tries++
		d.next = p.started.Add(doubled(firstRetry, d.tries, longestRetry))
		return err
	}
	d.tries, d.next = 0, time.Time{}
	return nil
}

// stray has the objects counted anew that carry our labels and that nobody lists.
func (p *pass) stray(ctx context.Context) {
	have, err := gitsync.ParseInventory(p.src.Status.Inventory)
	if err != nil || p.memory.revision == nil {
		return // the next pass says so, or counts
	}
	held := p.src.Status.PruneHeld
	said := held != nil && held.Reason == v1alpha1.ReasonOrphans
	if said || len(p.orphans(ctx, have)) > 0 {
		p.memory.again = p.started
	}
}

func (p *pass) restore(ctx context.Context, items []gitsync.Item) error {
	applier, err := p.applier()
	if err != nil {
		return err
	}
	have, err := gitsync.ParseInventory(p.src.Status.Inventory)
	if err != nil {
		return fmt.Errorf("reading the inventory: %w", err)
	}
	var entries []gitsync.Entry
	for _, it := range items {
		entries = append(entries, gitsync.Entry{ID: it.Object.ID, Version: it.Object.Version})
	}
	live, refused, err := applier.Look(ctx, entries)
	if err != nil {
		return fmt.Errorf("looking at what drifted: %w", err)
	}
	sources, err := p.sources(ctx)
	if err != nil {
		return err
	}
	outcome, err := applier.Apply(ctx, gitsync.Repair(p.owner(), items, have, live, sources))
	p.repaired(outcome.Drifted)
	if len(refused)+len(outcome.Refused) > 0 {
		p.memory.settled = false // the next look compares and says what is wrong
	}
	inventory := have.Update(outcome.Confirmed...)
	if failed := p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		s.Inventory = inventory.Strings()
		keepAll(s, c)
	}); failed != nil {
		return failed
	}
	if err == nil && len(outcome.Troubled) > 0 {
		err = outcome.Troubled[0].Err
	}
	return err
}

// repaired counts what was brought back, and says so.
func (p *pass) repaired(drifts []gitsync.Drift) {
	d := &p.memory.drift
	for _, one := range drifts {
		d.repairs[one.ID] = d.repairs[one.ID].Add(p.started, one)
		p.controller.meters.repairs.Inc()
		what := "was deleted"
		if len(one.Fields) > 0 {
			what = strings.Join(one.Fields, ", ") + " had changed"
		}
		by := ""
		if len(one.Managers) > 0 {
			by = ", by " + strings.Join(one.Managers, ", ")
		}
		p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeNormal, v1alpha1.ReasonRepaired, "Repair", "%s: %s%s", one.ID.Ref(), what, by)
	}
	maps.DeleteFunc(d.repairs, func(_ gitsync.ID, r gitsync.Repairs) bool { return !p.started.Before(r.Quiet()) })
}

// contested gives the Problems of the objects that somebody else keeps changing.
func (d drift) contested(now time.Time) []problem.Problem {
	var out []problem.Problem
	for _, r := range d.repairs {
		if r.Contested(now) {
			out = append(out, r.Problem())
		}
	}
	problem.Sort(out)
	return out
}

// wake is when something of it is due; zero: never.
func (d drift) wake(now time.Time) time.Time {
	var at time.Time
	for id := range d.pending {
		due := d.repairs[id].Next(now)
		if due.Before(d.next) {
			due = d.next
		}
		at = sooner(at, due)
	}
	for _, r := range d.repairs {
		if r.Contested(now) {
			at = sooner(at, r.Quiet())
		}
	}
	return at
}

// setDrifted says in the status which objects are contested.
func (p *pass) setDrifted(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	was := len(s.Problems)
	s.Problems = slices.DeleteFunc(s.Problems, func(f v1alpha1.ProblemStatus) bool { return f.Code == "S411" })
	s.ProblemCount -= int32(was - len(s.Problems))
	contested := p.memory.drift.contested(p.started)
	if len(contested) == 0 {
		return
	}
	for _, f := range contested {
		if len(s.Problems) < maxProblems {
			s.Problems = append(s.Problems, problemStatus(f))
		}
	}
	s.ProblemCount += int32(len(contested))
	c.Set(v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonContested, contested[0].Object+": "+contested[0].Message)
}
