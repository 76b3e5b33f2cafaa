package controller

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

const (
	concurrent   = 32 // Sources at work at a time
	perNamespace = 4  // of them of one namespace
)

// turn is who of one namespace is at work and who waits, in the order that they came: the Sources of one namespace never take
// all the workers.
type turn struct {
	working int
	parked  []types.NamespacedName // each once
}

// enter takes a turn for a Source; false: its namespace has as many at work as it may, and it is woken when one is done.
func (c *Controller) enter(source types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.turns[source.Namespace]
	if t == nil {
		t = &turn{}
		c.turns[source.Namespace] = t
	}
	if t.working < perNamespace {
		t.working++
		return true
	}
	if !slices.Contains(t.parked, source) {
		t.parked = append(t.parked, source)
	}
	return false
}

// leave gives a turn back and wakes the Source that has waited longest.
func (c *Controller) leave(namespace string) {
	c.mu.Lock()
	t := c.turns[namespace]
	var next []types.NamespacedName
	if len(t.parked) > 0 {
		next, t.parked = t.parked[:1:1], t.parked[1:]
	}
	if t.working--; t.working == 0 && len(t.parked) == 0 {
		delete(c.turns, namespace)
	}
	c.mu.Unlock()
	for _, one := range next {
		c.wake.now(one)
	}
}
