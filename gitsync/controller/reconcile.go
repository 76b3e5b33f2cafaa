package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// Reconcile implements reconcile.Reconciler. It does nothing but note the next look unless one is due: by the clock, by
// a changed spec, by a hint or an annotation, or because a Rollout lets a waiting commit go on.
func (c *Controller) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !c.enter(req.NamespacedName) {
		return ctrl.Result{}, nil // it is woken
	}
	defer c.leave(req.Namespace)
	return c.reconcile(ctx, req)
}

func (c *Controller) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	src := &v1alpha1.Source{}
	err := c.config.Live.Get(ctx, req.NamespacedName, src)
	if apierrors.IsNotFound(err) {
		c.forget(ctx, req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading the Source: %w", err)
	}
	m := c.recall(req.NamespacedName, src.UID)
	p := &pass{controller: c, src: src, memory: m, started: c.config.Now()}
	if !src.DeletionTimestamp.IsZero() {
		return p.dismantle(ctx)
	}
	if err := p.claim(ctx); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p.begin()
	if src.Spec.Suspend {
		m.next = time.Time{}
		return ctrl.Result{}, p.write(ctx, p.suspended())
	}
	p.heed()
	err = errors.Join(p.repair(ctx), p.work(ctx))
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil // somebody changed the Source: read it again
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return p.reflect(ctx, p.wake().Sub(c.config.Now()))
}

// work looks at the remote, or goes on with the commit at hand, where one of the two is due.
func (p *pass) work(ctx context.Context) (err error) {
	m := p.memory
	_, look := p.controller.due(p)
	switch {
	case look:
		err = p.look(ctx)
	case m.waits.Load(), !m.again.IsZero() && !p.started.Before(m.again):
		m.again = time.Time{}
		err = p.resume(ctx)
	}
	if err != nil {
		m.next = time.Time{} // the look is not done: it is due as soon as it is tried again
	}
	return err
}

// wake is when something is due next.
func (p *pass) wake() time.Time {
	m := p.memory
	at := m.next
	if p.controller.hinted(client.ObjectKeyFromObject(p.src)) || p.asked() {
		at = sooner(at, m.lastLook.Add(betweenHints))
	}
	return sooner(sooner(at, m.again), m.drift.wake(p.started))
}

// due reports whether the remote is to be looked at now, else how long that can wait.
func (c *Controller) due(p *pass) (time.Duration, bool) {
	m, name := p.memory, client.ObjectKeyFromObject(p.src)
	if m.generation != p.src.Generation || !p.started.Before(m.next) {
		p.takeHint(c, name)
		return 0, true
	}
	if c.hinted(name) || p.asked() {
		if wait := betweenHints - p.started.Sub(m.lastLook); wait > 0 {
			return wait, false
		}
		p.takeHint(c, name)
		return 0, true
	}
	return m.next.Sub(p.started), false
}

// asked reports whether a person asks for a look.
func (p *pass) asked() bool {
	return p.src.Annotations[v1alpha1.AnnotationReconcile] != p.src.Status.LastHandledReconcile
}

func (p *pass) takeHint(c *Controller, name types.NamespacedName) {
	h, ok := c.takeHint(name)
	if !ok {
		return
	}
	if h.after != "" {
		p.memory.awaited = awaited{commit: h.after}
	}
	if p.memory.pushed.IsZero() {
		p.memory.pushed = h.first
	}
}

// secret reads a Secret of the Source's namespace.
func (c *Controller) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	s := &corev1.Secret{}
	err := c.config.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, gitsync.Fail(gitsync.SecretInvalid, fmt.Errorf("no Secret %s in namespace %s", name, namespace))
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	return s.Data, nil
}
