package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// pass is one run over a Source.
type pass struct {
	controller *Controller
	src        *v1alpha1.Source
	memory     *memory
	started    time.Time
}

// look asks the remote, renders what is new and applies it.
func (p *pass) look(ctx context.Context) error {
	m, c := p.memory, p.controller.config
	changed := m.generation != p.src.Generation
	m.generation, m.lastLook = p.src.Generation, p.started
	m.next = p.started.Add(interval(p.src.Spec.Interval.Or(defaultInterval), c.Random()))
	tree, err := p.fetch(ctx)
	if err != nil {
		return p.failed(ctx, err)
	}
	defer tree.Close()
	m.fetching = streak{}
	p.await(tree.Commit().ID)
	same := m.revision != nil && m.revision.commit.ID == tree.Commit().ID && !changed
	if same {
		m.revision.listedAt = p.started
	}
	if same && m.settled && p.started.Sub(m.compared) < resync {
		return p.write(ctx, p.unchanged())
	}
	if !same {
		if err := p.render(ctx, tree); err != nil {
			return err
		}
	}
	return p.apply(ctx)
}

// resume goes on with a commit that waits for a Rollout, without asking the remote.
func (p *pass) resume(ctx context.Context) error {
	if p.memory.revision == nil || p.started.Sub(p.memory.revision.listedAt) > listedFor {
		return p.look(ctx)
	}
	return p.apply(ctx)
}

// fetch gets the tree of the ref; a commit that was never applied is not held against the remote's history.
func (p *pass) fetch(ctx context.Context) (gitsync.Tree, error) {
	ref, err := p.controller.remote(ctx, p.src)
	if err != nil {
		return nil, err
	}
	have := ""
	if applied := p.src.Status.Commit; applied != nil && p.src.Generation == p.src.Status.ObservedGeneration {
		have = applied.ID
	}
	return p.controller.config.Fetcher.Fetch(ctx, ref, have)
}

// await looks again soon when the commit that a webhook has announced is not there yet.
func (p *pass) await(id string) {
	m := p.memory
	if m.awaited.commit == "" || m.awaited.commit == id {
		m.awaited = awaited{}
		return
	}
	m.awaited.looks++
	wait, again := announced(m.awaited.looks)
	if !again {
		m.awaited = awaited{}
		return
	}
	if soon := p.started.Add(wait); soon.Before(m.next) {
		m.next = soon
	}
}

// render builds the tree, unless everything that the last build read is the same.
func (p *pass) render(ctx context.Context, tree gitsync.Tree) error {
	m := p.memory
	options := gitsync.Options{Path: p.src.Spec.Path, Namespace: p.src.Namespace}
	next := &revision{commit: tree.Commit(), options: options, listedAt: p.started}
	if last := m.revision; last != nil && last.options == options && len(last.build.Reads) > 0 && rereads(tree, last.build.Reads) {
		next.build = last.build
		m.revision = next
		return nil
	}
	build, err := p.controller.config.Renderer.Render(ctx, tree, options)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", next.commit.Revision(), err)
	}
	if build.Reason == "" {
		objects, problems := p.controller.config.Decoder.Check(build, p.src.Namespace)
		build.Objects, build.Problems = objects, slices.Concat(build.Problems, problems)
	}
	next.build = build
	m.revision, m.settled = next, false
	return nil
}

// rereads reports whether a tree has the same content at every path that a build has read.
func rereads(tree gitsync.Tree, reads map[string]string) bool {
	for path, hash := range reads {
		if tree.Hash(path) != hash {
			return false
		}
	}
	return true
}

// apply brings the rendered revision into the cluster and writes the result.
func (p *pass) apply(ctx context.Context) error {
	m, rev := p.memory, p.memory.revision
	if rev.build.Reason != "" {
		m.settled = true // nothing to do until Git or the spec changes
		m.waits.Store(false)
		m.compared = p.started
		return p.write(ctx, p.refused())
	}
	m.waits.Store(true)
	r, err := p.plan(ctx)
	if err != nil {
		return p.troubled(ctx, r, err)
	}
	if !slices.Equal(r.set.Union.Strings(), r.have.Strings()) {
		r.inventory = r.set.Union
		if err := p.write(ctx, p.applying(r)); err != nil {
			return err
		}
	}
	r.inventory = r.set.Union
	r.outcome, err = r.applier.Apply(ctx, r.set)
	p.confirm(r)
	if err != nil {
		return p.troubled(ctx, r, err)
	}
	if err := p.prune(ctx, r); err != nil {
		return p.troubled(ctx, r, err)
	}
	m.retries = 0
	m.compared = p.started
	waits := len(r.set.Waiting) > 0 || r.pruned.Withheld == gitsync.WithheldStable
	m.waits.Store(waits)
	m.settled = !waits && len(r.outcome.Refused) == 0
	return p.write(ctx, p.applied(r))
}

// result gathers what a pass has found and done.
type result struct {
	applier   gitsync.Applier
	have      gitsync.Inventory // before
	inventory gitsync.Inventory // now
	live      map[gitsync.ID]gitsync.Live
	rollouts  []gitsync.View
	set       gitsync.Set
	outcome   gitsync.Outcome
	problems  []problem.Problem // all of them, with the server's refusals
	pruned    gitsync.PruneSet
	gone      []gitsync.ID
}

// plan reads what is there and decides what to do.
func (p *pass) plan(ctx context.Context) (*result, error) {
	c, build := p.controller.config, p.memory.revision.build
	r := &result{problems: build.Problems}
	account := p.src.Spec.ServiceAccountName
	if account == "" {
		account = c.Account
	}
	if account == "" {
		return r, gitsync.Fail(gitsync.NoIdentity, errors.New("no service account: set spec.serviceAccountName, or the operator's default"))
	}
	var err error
	if r.applier, err = c.Appliers.As(p.src.Namespace, account); err != nil {
		return r, fmt.Errorf("acting as %s: %w", account, err)
	}
	if r.have, err = gitsync.ParseInventory(p.src.Status.Inventory); err != nil {
		return r, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading the inventory: %w", err))
	}
	r.inventory = r.have
	if r.live, err = r.applier.Look(ctx, r.have.Union(admissible(build))); err != nil {
		return r, err
	}
	r.have = r.have.Settle(p.owner(), r.live)
	sources, err := p.neighbours(ctx, r)
	if err != nil {
		return r, err
	}
	r.set = gitsync.Plan(gitsync.Input{Owner: p.owner(), Commit: p.memory.revision.commit, Domain: c.Domain, Want: build.Objects, Problems: build.Problems,
		Have: r.have, Live: r.live, Applied: p.memory.applied, Rollouts: r.rollouts, Sources: sources})
	r.problems = r.set.Problems
	return r, nil
}

// admissible gives the objects that may be looked at: those that are not allowed are never asked for.
func admissible(b gitsync.Build) []gitsync.Object {
	refused := map[string]bool{}
	for _, found := range b.Problems {
		if found.Code == "S401" || found.Code == "S402" {
			refused[found.Object] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(b.Objects), func(o gitsync.Object) bool { return refused[o.ID.Ref()] })
}

func (p *pass) owner() gitsync.Owner {
	return gitsync.Owner{Namespace: p.src.Namespace, Name: p.src.Name}
}

// neighbours reads the Rollouts of the namespace, the newest state of those we manage, and the other Sources.
func (p *pass) neighbours(ctx context.Context, r *result) ([]gitsync.Owner, error) {
	c := p.controller.config
	rollouts := &v1alpha1.RolloutList{}
	if err := c.Live.List(ctx, rollouts, inNamespace(p.src.Namespace)); err != nil {
		return nil, fmt.Errorf("listing Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		view, err := viewOf(&rollouts.Items[i])
		if err != nil {
			return nil, err
		}
		r.rollouts = append(r.rollouts, view)
	}
	sources := &v1alpha1.SourceList{}
	if err := c.Client.List(ctx, sources); err != nil {
		return nil, fmt.Errorf("listing Sources: %w", err)
	}
	var owners []gitsync.Owner
	for _, s := range sources.Items {
		owners = append(owners, gitsync.Owner{Namespace: s.Namespace, Name: s.Name})
	}
	return owners, nil
}

// viewOf takes from a Rollout what gitsync needs to know.
func viewOf(ro *v1alpha1.Rollout) (gitsync.View, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ro)
	if err != nil {
		return gitsync.View{}, fmt.Errorf("reading Rollout %s: %w", ro.Name, err)
	}
	id := gitsync.ID{Group: v1alpha1.Group, Kind: v1alpha1.KindRollout, Namespace: ro.Namespace, Name: ro.Name}
	v := gitsync.View{ID: id, Object: gitsync.Object{ID: id, Version: v1alpha1.Version, Content: content}, Rest: true}
	status := ro.Status
	if status == nil {
		return v, nil
	}
	v.Stable, v.Attempted, v.Rest = status.Stable.Name, status.Attempted, status.Phase.AtRest()
	if status.Canary != nil {
		v.Canary = status.Canary.Name
	}
	if status.Previous != nil {
		v.Former = []string{status.Previous.Name}
	}
	return v, nil
}

// confirm takes over what was applied, and the server's refusals with the place of the field.
func (p *pass) confirm(r *result) {
	r.inventory = r.inventory.Update(r.outcome.Confirmed...)
	items := map[gitsync.ID]gitsync.Item{}
	for _, it := range r.set.Items {
		items[it.Object.ID] = it
	}
	for _, e := range r.outcome.Confirmed {
		p.memory.applied[e.ID] = items[e.ID].Hash
	}
	place := p.memory.revision.build.Position
	for _, refusal := range r.outcome.Refused {
		delete(p.memory.applied, refusal.ID)
		found := refusal.Problem
		if place != nil {
			found.Line, found.Column = place(items[refusal.ID].Object, found.Field)
		}
		r.problems = append(r.problems, found)
	}
	problem.Sort(r.problems)
}

// prune deletes what is proven superfluous.
func (p *pass) prune(ctx context.Context, r *result) error {
	rev := p.memory.revision
	var want []gitsync.ID
	for _, o := range rev.build.Objects {
		want = append(want, o.ID)
	}
	refused := map[int]bool{}
	for _, refusal := range r.outcome.Refused {
		refused[refusal.Unit] = true
	}
	facts := gitsync.Facts{
		Enabled: p.src.Spec.Prune == nil || *p.src.Spec.Prune, Complete: rev.build.Reason == "", Descends: true, // else the fetch had been refused
		Listed: p.controller.config.Now().Sub(rev.listedAt) <= listedFor, Applied: len(refused) == 0,
	}
	r.pruned = gitsync.Prune(gitsync.Proof{Facts: facts, Owner: p.owner(), Domain: p.controller.config.Domain, Percent: int(p.src.Spec.PruneLimitPercent),
		Want: want, Problems: r.problems, Held: len(r.set.Held) + len(r.set.Waiting) + len(refused), Have: r.inventory, Live: r.live, Rollouts: r.rollouts})
	gone, err := r.applier.Prune(ctx, r.pruned.Delete)
	r.gone = gone
	r.inventory = r.inventory.Without(slices.Concat(gone, r.pruned.Forget)...)
	maps.DeleteFunc(p.memory.applied, func(id gitsync.ID, _ string) bool { return slices.Contains(gone, id) })
	if !facts.Listed && len(r.pruned.Kept) > 0 {
		p.memory.next = p.started // look at the remote again before anything is deleted
	}
	return err
}
