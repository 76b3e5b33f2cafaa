package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Back is how people and repositories learn what became of commits. Its zero value tells nobody.
type Back struct {
	Outbox Outbox
}

// Tell says how people and repositories learn what became of commits. It is called before the controller is set up.
func (c *Controller) Tell(b Back) { c.back = b }

// reflect does what follows from what is applied, after a pass or when a Rollout or a note has news. It never delays a
// pass for long: what fails here is tried again with a later look.
func (p *pass) reflect(ctx context.Context, wait time.Duration) (ctrl.Result, error) {
	err := p.mail(ctx)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return ctrl.Result{RequeueAfter: max(wait, time.Millisecond)}, err
}
