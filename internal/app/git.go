package app

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/egress"
)

// git is the control loop of Sources, and the server of webhooks.
func git(ctrl.Manager, Config, *egress.Guard) (func(context.Context) error, error) {
	return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
}
