package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

const (
	letGoAfter    = 10 * time.Minute // of deleting the objects of a Source
	dismantlePoll = time.Second
)

// claim keeps the finalizer where the Source is to take its objects along, and only there.
func (p *pass) claim(ctx context.Context) error {
	wanted := p.src.Spec.DeletionPolicy == v1alpha1.DeletionDelete
	if wanted == controllerutil.ContainsFinalizer(p.src, v1alpha1.SourceFinalizer) {
		return nil
	}
	if wanted {
		return p.finalizer(ctx, controllerutil.AddFinalizer)
	}
	return p.finalizer(ctx, controllerutil.RemoveFinalizer)
}

func (p *pass) finalizer(ctx context.Context, change func(client.Object, string) bool) error {
	before := p.src.DeepCopy()
	change(p.src, v1alpha1.SourceFinalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := p.controller.config.Client.Patch(ctx, p.src, patch); err != nil {
		return fmt.Errorf("writing the finalizer of the Source: %w", err)
	}
	return nil
}

// dismantle goes on with the deletion of a Source: it needs no Git, and lets go in the end whatever happens.
func (p *pass) dismantle(ctx context.Context) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(p.src, v1alpha1.SourceFinalizer) {
		return ctrl.Result{}, nil // its objects stay
	}
	elapsed := p.started.Sub(p.src.DeletionTimestamp.Time)
	left, err := p.takeAlong(ctx, elapsed)
	if len(left) == 0 && err == nil {
		return ctrl.Result{}, p.finalizer(ctx, controllerutil.RemoveFinalizer)
	}
	if elapsed < letGoAfter {
		return ctrl.Result{RequeueAfter: dismantlePoll}, err
	}
	names := make([]string, 0, maxNames)
	for _, id := range left[:min(len(left), maxNames)] {
		names = append(names, id.Ref())
	}
	p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, v1alpha1.ReasonLeftBehind, "Delete",
		"%s stay after %s: %s", count(len(left), "object"), letGoAfter, strings.Join(names, ", "))
	return ctrl.Result{}, p.finalizer(ctx, controllerutil.RemoveFinalizer)
}

// takeAlong deletes what is due and gives what is still there. Where that cannot be told it is the whole inventory.
func (p *pass) takeAlong(ctx context.Context, elapsed time.Duration) ([]gitsync.ID, error) {
	have, err := gitsync.ParseInventory(p.src.Status.Inventory)
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	var all []gitsync.ID
	for _, e := range have {
		all = append(all, e.ID)
	}
	applier, err := p.applier()
	if err != nil {
		return all, err
	}
	live, refused, err := applier.Look(ctx, have)
	if err != nil {
		return all, fmt.Errorf("looking at what is to be deleted: %w", err)
	}
	what := gitsync.Dismantle(p.owner(), have.Settle(p.owner(), live), live, elapsed)
	gone, err := applier.Prune(ctx, what.Delete)
	left := slices.DeleteFunc(what.Left, func(id gitsync.ID) bool { return slices.Contains(gone, id) && p.final(live[id]) })
	for _, one := range refused {
		left = append(left, one.ID)
		err = errors.Join(err, gitsync.Fail(gitsync.Forbidden, errors.New(one.Problem.Message)))
	}
	return left, err
}

// final reports whether an object is gone as soon as it is deleted.
func (p *pass) final(l gitsync.Live) bool {
	meta, _ := l.Object.Content["metadata"].(map[string]any)
	finalizers, _ := meta["finalizers"].([]any)
	return len(finalizers) == 0
}
