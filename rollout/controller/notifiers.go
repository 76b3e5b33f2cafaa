package controller

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// system is the namespace of the controller itself, whose Notifiers may be about all others.
func (c *Controller) system() string { return c.config.Lead.Lease.Namespace }

// notifiers are those of the Rollout's namespace and of the controller's; beside an error those that could be read.
func (p *pass) notifiers(ctx context.Context) ([]v1alpha1.Notifier, error) {
	ctx, cancel := context.WithTimeout(ctx, p.controller.config.Lead.Patience.Read)
	defer cancel()
	var out []v1alpha1.Notifier
	for _, namespace := range slices.Compact([]string{p.object.Namespace, p.controller.system()}) {
		if namespace == "" {
			continue
		}
		list := &v1alpha1.NotifierList{}
		if err := p.controller.config.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return out, err
		}
		out = append(out, list.Items...)
	}
	return out, nil
}

// readNotifiers finds the Notifiers of spec.notify that do not exist. Nothing waits for them. One that cannot be read is
// taken to exist.
func (p *pass) readNotifiers(ctx context.Context) {
	for i, ref := range p.object.Spec.Notify {
		switch err := p.findNotifier(ctx, ref.Name); {
		case err == nil:
		case apierrors.IsNotFound(err):
			p.unheard = append(p.unheard, fmt.Sprintf("spec.notify[%d]: there is no Notifier %s in the namespace, so that nobody is told by it: create it, or name another one", i, ref.Name))
		default:
			log.FromContext(ctx).Error(err, "a Notifier cannot be looked for", "notifier", ref.Name)
		}
	}
}

// findNotifier looks for a Notifier of the Rollout's namespace, and for one of the controller's that is about all.
func (p *pass) findNotifier(ctx context.Context, name string) error {
	found := &v1alpha1.Notifier{}
	err := p.controller.config.Client.Get(ctx, types.NamespacedName{Namespace: p.key.Namespace, Name: name}, found)
	if system := p.controller.system(); apierrors.IsNotFound(err) && system != "" {
		far := p.controller.config.Client.Get(ctx, types.NamespacedName{Namespace: system, Name: name}, found)
		if client.IgnoreNotFound(far) != nil || far == nil && found.Spec.Namespaces == v1alpha1.ScopeAll {
			return far
		}
	}
	return err
}

// ofNotifier are the Rollouts that name a Notifier.
func (c *Controller) ofNotifier(ctx context.Context, o client.Object) []reconcile.Request {
	where := client.InNamespace(o.GetNamespace())
	if o.GetNamespace() == c.system() {
		where = "" // all
	}
	return c.requests(ctx, o, func(ro *v1alpha1.Rollout) bool {
		return slices.ContainsFunc(ro.Spec.Notify, func(ref v1alpha1.NotifyRef) bool { return ref.Name == o.GetName() })
	}, where)
}
