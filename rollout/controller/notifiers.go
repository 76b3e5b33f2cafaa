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

// readNotifiers finds the Notifiers of spec.notify that do not exist. Nothing waits for them. One that cannot be read is
// taken to exist.
func (p *pass) readNotifiers(ctx context.Context) {
	for i, ref := range p.object.Spec.Notify {
		key := types.NamespacedName{Namespace: p.key.Namespace, Name: ref.Name}
		switch err := p.controller.config.Client.Get(ctx, key, &v1alpha1.Notifier{}); {
		case err == nil:
		case apierrors.IsNotFound(err):
			p.unheard = append(p.unheard, fmt.Sprintf("spec.notify[%d]: there is no Notifier %s in the namespace, so that nobody is told by it: create it, or name another one", i, ref.Name))
		default:
			log.FromContext(ctx).Error(err, "a Notifier cannot be looked for", "notifier", ref.Name)
		}
	}
}

// ofNotifier are the Rollouts that name a Notifier.
func (c *Controller) ofNotifier(ctx context.Context, o client.Object) []reconcile.Request {
	return c.requests(ctx, o, func(ro *v1alpha1.Rollout) bool {
		return slices.ContainsFunc(ro.Spec.Notify, func(ref v1alpha1.NotifyRef) bool { return ref.Name == o.GetName() })
	}, client.InNamespace(o.GetNamespace()))
}
