package cli

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// follow shows events whenever the rollout changes, until it rests or waits for somebody.
func (o *eventsOptions) follow(ctx context.Context, name string, show func(*v1alpha1.Rollout) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	err := o.cluster.observe(ctx, "rollouts", name, func(object runtime.Object) (bool, error) {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok {
			return false, fmt.Errorf("getting rollout %s: the server sent a %T", name, object)
		}
		return view.Status(ro).Standing != view.Moving, show(ro)
	})
	if err != nil && context.Cause(ctx) != nil {
		return ended(ctx, "rollout "+name+" is not at rest", o.timeout, statusOf(o.cluster.namespace, name))
	}
	return err
}
