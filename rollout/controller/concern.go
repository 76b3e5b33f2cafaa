package controller

import (
	"context"
	"reflect"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// concern is what of the surroundings can matter to an object, and what its newest pass saw of them. A change that this pass
// saw already, or that is another object's, wakes nobody: thousands of objects share the proxies and the mesh. What is
// missed all the same the next tick sees.
type concern struct {
	proxies bool     // an attempt is under way, or its traffic is not confirmed
	loads   bool     // its canary is sent traffic, or is watched
	objects bool     // its digest is that of other objects
	split   ir.Split // that was asked about
	fleet   ir.Convergence
	facts   ir.SplitFacts
	since   time.Time // up to the pass,
	failed  uint64    // the canary failed so many requests
}

// note keeps what a pass has seen.
func (m *memory) note(c concern) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.concern = &c
}

// seen is what the newest pass saw; nil: there was none.
func (m *memory) seen() *concern {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.concern
}

// concern is that of an object as a pass sees it.
func (p *pass) concern() concern {
	out := concern{
		proxies: unsettled(p.object), loads: fed(p.object), objects: p.object.Annotations[v1alpha1.AnnotationDigest] == "",
		split: p.split(), fleet: p.fleet, facts: p.facts,
	}
	if out.loads {
		since := p.now.Add(-failingFor)
		out.since = since.Add(-time.Duration(since.Nanosecond())) // reports are put together by the second
		out.failed = p.controller.failed(p.facts.CanaryClusters, out.since)
	}
	return out
}

// unsettled reports that news of proxies can matter to an object: an attempt is under way, or its traffic is not
// confirmed.
func unsettled(ro *v1alpha1.Rollout) bool {
	s := ro.Status
	return s == nil || !s.Phase.AtRest() || s.SettledSeq != s.Traffic.Seq
}

// fed reports that load reports matter to an object: its canary is sent traffic, or is watched.
func fed(ro *v1alpha1.Rollout) bool {
	s := ro.Status
	return s != nil && !s.Phase.AtRest() && (s.Weight > 0 || len(s.Traffic.Match) > 0 || s.Traffic.Mirror != nil || s.Observe)
}

// moved reports that proxies are elsewhere with the object's traffic than its newest pass saw.
func (c *Controller) moved(m concern) bool {
	return m.proxies && !reflect.DeepEqual(c.config.Fleet.Convergence(m.split.Key, m.split.UID, m.split.Seq), m.fleet)
}

// differs reports that the mesh is another one to the object than its newest pass saw.
func (c *Controller) differs(m concern) bool {
	return m.objects || !reflect.DeepEqual(c.config.Mesh.Facts(m.split), m.facts)
}

// rejected reports that a proxy has rejected the object's traffic, and that its newest pass knew of none that did.
func (c *Controller) rejected(m concern) bool {
	return m.fleet.Nacked == 0 && c.config.Fleet.Convergence(m.split.Key, m.split.UID, m.split.Seq).Nacked > 0
}

// wakeAll lets those objects be looked at to whom a change matters. One that was never looked at is on the queue.
func (c *Controller) wakeAll(ctx context.Context, f follower) {
	matters := f.matters()
	for _, m := range c.memories.listed() {
		if ctx.Err() != nil {
			return
		}
		switch seen := m.seen(); {
		case seen == nil || !matters(*seen):
		case f.first != nil && f.first(*seen) && m.raise(c.config.Now(), f.every):
			c.wake.first(m.key)
		default:
			c.wake.now(m.key)
		}
	}
}
