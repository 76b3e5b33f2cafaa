package controller

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// renders are the splits that are known, and those that every class in demand was published with.
type renders struct {
	known map[string]ir.SplitUse // by key
	fresh bool                   // known is not published everywhere yet
}

// learn takes news of splits.
func (r *renders) learn(n news) {
	if n.whole != nil {
		r.known = make(map[string]ir.SplitUse, len(n.whole.Splits))
		n.splits = append(slices.Clone(n.whole.Splits), n.splits...)
	}
	for _, s := range n.splits {
		r.known[s.Key] = ir.SplitUse{Key: s.Key, UID: s.UID, Seq: s.Seq, Weight: s.Weight, Rest: s.Canary == "", Braked: s.Braked}
		r.fresh = true
	}
	r.fresh = r.fresh || n.whole != nil
}

// Splits are those that every class of proxies has been published with, or with newer ones, where it uses them; sorted by
// key. Nobody may change them.
func (c *Controller) Splits() []ir.SplitUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rendered
}

// keepRendered notes that all classes in demand are up to date.
func (c *Controller) keepRendered(classes []ir.ProxyClass) {
	if !c.renders.fresh || slices.ContainsFunc(classes, func(of ir.ProxyClass) bool { return c.classes[of] == nil || !c.classes[of].published }) {
		return
	}
	all := make([]ir.SplitUse, 0, len(c.renders.known))
	for _, use := range c.renders.known {
		all = append(all, use)
	}
	slices.SortFunc(all, func(a, b ir.SplitUse) int { return cmp.Compare(a.Key, b.Key) })
	c.renders.fresh = false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rendered = all
}
