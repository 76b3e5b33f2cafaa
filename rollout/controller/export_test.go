package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// StateOf is the state that a status holds.
func StateOf(s *v1alpha1.RolloutStatus) (rollout.State, error) { return stateOf(s) }

// Ask lets queries be made although no manager runs the controller.
func (c *Controller) Ask(ctx context.Context) { c.queries.start(ctx) }

// Thawed says that a namespace is not frozen, although no manager has it looked at.
func (c *Controller) Thawed(namespace string) { c.freezes.set(namespace, "") }

// Asking reports that a query of an object is under way.
func (c *Controller) Asking(key types.NamespacedName) bool {
	c.memories.mu.Lock()
	defer c.memories.mu.Unlock()
	m := c.memories.all[key]
	return m != nil && m.looking()
}

// Priority is that of the next look at an object.
func (c *Controller) Priority(key types.NamespacedName) int { return c.memories.priority(key) }
