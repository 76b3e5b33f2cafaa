package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

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

// neighbours reads the newest state of the Rollouts in every namespace that the Source has objects in, and the other Sources.
func (p *pass) neighbours(ctx context.Context, r *result) ([]gitsync.Owner, error) {
	c := p.controller.config
	for _, namespace := range p.namespaces(r) {
		rollouts := &v1alpha1.RolloutList{}
		if err := c.Live.List(ctx, rollouts, inNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("listing Rollouts: %w", err)
		}
		for i := range rollouts.Items {
			view, err := viewOf(&rollouts.Items[i])
			if err != nil {
				return nil, err
			}
			r.rollouts = append(r.rollouts, view)
		}
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
