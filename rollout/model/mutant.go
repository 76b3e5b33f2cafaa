package model

import "github.com/sluice-dev/sluice/rollout"

// Mutant breaks one thing. The zero value breaks nothing.
type Mutant struct {
	Name string
	// Spec changes what the engine is told of the spec.
	Spec func(*rollout.Spec)
	// Observe changes what the engine is shown.
	Observe func(st rollout.State, obs *rollout.Observation)
	// Result changes what the engine gives.
	Result func(prev rollout.State, obs rollout.Observation, next *rollout.State, acts *rollout.Actions)

	Unconditional bool // statuses are written without their resourceVersion
	Unfenced      bool // an old leader writes on after a new one has
	Backwards     bool // proxies are served what a lagging replica sees
	Release       bool // the brake is released when the API server is back
	Downtime      bool // clocks run while nobody watches
	Deaf          bool // proxies are not sent what takes from a canary
	Own           bool // only proxies of the leader itself are waited for
}

// since is how long a replica that starts to watch says it has watched.
func (m Mutant) since(elapsed int8) int8 {
	if m.Downtime {
		return elapsed
	}
	return 0
}
