package controller

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Replaced ends the controller: another process has the lease.
func (c *Controller) Replaced() { c.fence.end() }

// handOver asks the process that leads now for the rollbacks that this one braked and could not store. With its end the brakes
// are off and nobody else knows of them: it asks until it is heard, for as long as a write may take.
func (c *Controller) handOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.Lead.Patience.Write)
	defer cancel()
	again := time.NewTicker(vigilEvery)
	defer again.Stop()
	for {
		err := c.askForRollbacks(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// askForRollbacks asks for each once. One that was asked for before is not asked for again.
func (c *Controller) askForRollbacks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Lead.Patience.Action)
	defer cancel()
	var errs []error
	for _, one := range c.brakes.list() {
		a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: one.key.Namespace, Name: one.name()}}
		a.Spec = v1alpha1.RolloutActionSpec{Rollout: one.key.Name, Verb: v1alpha1.ActionRollback, IfAttempt: one.attempt, Actor: "sluice",
			Reason: short(fmt.Sprintf("a process that could not reach the API server rolled back: %s %s", one.reason, one.text), 280)}
		if err := c.config.Lead.Rollbacks.Create(ctx, a); err != nil && !apierrors.IsAlreadyExists(err) {
			errs = append(errs, fmt.Errorf("handing over the rollback of %s, attempt %d: %w", one.key, one.attempt, err))
		}
	}
	return errors.Join(errs...)
}

// name is that of the action that asks for it, the same whoever asks.
func (h hold) name() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", h.uid, h.attempt))
	return fmt.Sprintf("brake-%x", sum[:8])
}
