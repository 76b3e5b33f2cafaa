package controller

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// Spec is what the engine makes of a Rollout, with every default filled in; an error says what is wrong with the object.
// It is for those who play a Rollout without a cluster.
func Spec(ro *v1alpha1.Rollout) (rollout.Spec, error) { return specOf(ro) }
