package controller

import (
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/rollout"
)

// released says of an object that goes what its routes mean from now on: whoever deletes a Rollout whose stable version Git
// does not name moves traffic by that.
func (c *Controller) released(p *pass) {
	moves := p.facts.Returning
	if p.state.Kind.Observe || p.state.Stable.Name == "" { // it rendered nothing
		moves = nil
	}
	text := "the Rollout is deleted, and no route changes by that"
	if len(moves) > 0 {
		text = "the Rollout is deleted: where " + p.state.Stable.Name + " served, these send as they are written: " + strings.Join(moves, "; ")
	}
	c.config.Recorder.Eventf(p.object, nil, eventType(len(moves) > 0), string(rollout.Deleted), "Release", "%s", problem.Clean(text, maxNote))
}
