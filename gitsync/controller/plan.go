package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// plan reads what is there and decides what to do.
func (p *pass) plan(ctx context.Context) (*result, error) {
	c, build := p.controller.config, p.memory.revision.build
	r := &result{problems: build.Problems}
	var err error
	if r.applier, err = p.applier(); err != nil {
		return r, err
	}
	if r.have, err = gitsync.ParseInventory(p.src.Status.Inventory); err != nil {
		return r, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading the inventory: %w", err))
	}
	r.inventory = r.have
	live, refused, err := r.applier.Look(ctx, r.have.Union(admissible(build)))
	if err != nil {
		return r, err
	}
	r.live, r.problems = live, slices.Concat(build.Problems, p.unreadable(r, refused))
	r.have = r.have.Settle(p.owner(), r.live)
	if err := p.neighbours(ctx, r); err != nil {
		return r, err
	}
	sources, err := p.sources(ctx)
	if err != nil {
		return r, err
	}
	r.set = gitsync.Plan(gitsync.Input{Owner: p.owner(), Commit: p.memory.revision.commit, Domain: c.Domain, Want: build.Objects, Problems: r.problems,
		Have: r.have, Live: r.live, Applied: p.hashes(), Rollouts: r.rollouts, Sources: sources})
	r.set.Full = p.full()
	r.problems = r.set.Problems
	return r, nil
}

// applier acts as the account of the Source.
func (p *pass) applier() (gitsync.Applier, error) {
	account := cmp.Or(p.src.Spec.ServiceAccountName, p.controller.config.Account)
	if account == "" {
		return nil, gitsync.Fail(gitsync.NoIdentity, errors.New("no service account: set spec.serviceAccountName, or the operator's default"))
	}
	applier, err := p.controller.config.Appliers.As(p.src.Namespace, account)
	if err != nil {
		return nil, fmt.Errorf("acting as %s: %w", account, err)
	}
	return applier, nil
}

// hashes are those of the content applied last.
func (p *pass) hashes() map[gitsync.ID]string {
	out := make(map[gitsync.ID]string, len(p.memory.applied))
	for id, it := range p.memory.applied {
		out[id] = it.Hash
	}
	return out
}

// unreadable notes what the account may not read, and gives the Problems of what Git wants of it.
func (p *pass) unreadable(r *result, refused []gitsync.Refusal) []problem.Problem {
	build := p.memory.revision.build
	wanted := make(map[gitsync.ID]gitsync.Object, len(build.Objects))
	for _, o := range build.Objects {
		wanted[o.ID] = o
	}
	var out []problem.Problem
	for _, one := range refused {
		r.unseen = append(r.unseen, one.ID)
		if o, ok := wanted[one.ID]; ok {
			out = append(out, placed(one.Problem, o, build.Position))
		}
	}
	return out
}

// placed gives a Problem the place of its field in the files.
func placed(found problem.Problem, o gitsync.Object, position gitsync.Position) problem.Problem {
	found.Path, found.Line = o.Path, o.Line
	if position != nil {
		found.Line, found.Column = position(o, found.Field)
	}
	return found
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

// neighbours reads the newest state of the Rollouts in every namespace that the Source has objects in.
func (p *pass) neighbours(ctx context.Context, r *result) error {
	c := p.controller.config
	for _, namespace := range p.namespaces(r) {
		rollouts := &v1alpha1.RolloutList{}
		if err := c.Live.List(ctx, rollouts, inNamespace(namespace)); err != nil {
			return fmt.Errorf("listing Rollouts: %w", err)
		}
		for i := range rollouts.Items {
			view, err := viewOf(&rollouts.Items[i])
			if err != nil {
				return err
			}
			r.rollouts = append(r.rollouts, view)
		}
	}
	return nil
}

// sources are all living Sources.
func (p *pass) sources(ctx context.Context) ([]gitsync.Owner, error) {
	sources := &v1alpha1.SourceList{}
	if err := p.controller.config.Client.List(ctx, sources); err != nil {
		return nil, fmt.Errorf("listing Sources: %w", err)
	}
	var owners []gitsync.Owner
	for _, s := range sources.Items {
		owners = append(owners, gitsync.Owner{Namespace: s.Namespace, Name: s.Name})
	}
	return owners, nil
}

// namespaces are those of the inventory and of what is live, the Source's own among them.
func (p *pass) namespaces(r *result) []string {
	found := map[string]bool{p.src.Namespace: true}
	for _, e := range r.have {
		found[e.ID.Namespace] = true
	}
	for id := range r.live {
		found[id.Namespace] = true
	}
	delete(found, "") // of the cluster as a whole
	return slices.Sorted(maps.Keys(found))
}

// unacked reports whether some connected proxy may still run routes older than the newest ones.
func unacked(s *v1alpha1.RolloutStatus) bool {
	if s.Traffic.Seq == 0 {
		return false // no routes were ever asked for
	}
	if s.Proxies == nil {
		return true
	}
	return s.Proxies.Connected > 0 && (s.Proxies.Acked < s.Proxies.Connected || s.SettledSeq < s.Traffic.Seq)
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
	v.Unacked = unacked(status)
	if status.Previous != nil {
		v.Former = []string{status.Previous.Name}
	}
	return v, nil
}
