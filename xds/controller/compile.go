package controller

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// compiled is what a class was published last. It is never changed but for published.
type compiled struct {
	config    *ir.Config
	found     []problem.Problem // as the compiler gave them
	builder   *envoy.Builder
	resources envoy.Resources
	problems  []problem.Problem // found, and what is wrong with resources
	published bool              // the Publisher has taken it
}

// compile brings the classes up to date with what is due, and makes those that are new. It reports whether some have to
// wait for Secrets.
func (c *Controller) compile(ctx context.Context, classes []ir.ProxyClass, due lanes) (held bool) {
	began := c.config.Now()
	c.learn(c.world.tell(due))
	work := c.demandChanged(ctx, classes, due.rest)
	for _, of := range classes {
		before := c.classes[of]
		if before != nil && before.published && !due.any() {
			continue
		}
		if c.waiting[of] {
			held = true
			if before != nil {
				c.classes[of] = c.divide(ctx, of, before)
			}
			continue
		}
		next := c.compileClass(of, before)
		work = work || before == nil || !sameSlice(before.problems, next.problems)
		c.classes[of] = c.publish(ctx, of, before, next)
	}
	if !held {
		c.keepRendered(classes)
	}
	if due.any() {
		c.metrics.compiled(due, c.config.Now().Sub(began))
	}
	if work {
		c.keepProblems()
	}
	return held
}

// learn tells the compiler the news.
func (c *Controller) learn(n news) {
	c.renders.learn(n)
	if n.whole != nil {
		c.input = *n.whole
		c.compiler.Replace(c.input)
		c.edits++
	}
	for _, s := range n.services {
		c.compiler.SetService(s)
		c.edits++
	}
	for _, s := range n.splits {
		c.compiler.SetSplit(s)
		c.edits++
	}
}

// demandChanged follows what proxies need where they, or the objects, have changed; it reports whether they have.
func (c *Controller) demandChanged(ctx context.Context, classes []ir.ProxyClass, objects bool) bool {
	if objects {
		c.config.Demand.SetClassKeys(istio.ClassKeys(c.input))
	}
	others := !slices.Equal(c.demanded, classes)
	if others || objects || slices.Contains(slices.Collect(maps.Values(c.waiting)), true) {
		before := c.waiting
		c.waiting = c.secrets.follow(ctx, c.input, classes)
		if slices.ContainsFunc(classes, func(of ir.ProxyClass) bool { return before[of] && !c.waiting[of] }) {
			c.learn(c.world.tell(lanes{rest: true})) // the Secrets themselves may still be gathering
		}
	}
	if !others && !objects {
		return false
	}
	for of := range c.classes {
		if !slices.Contains(classes, of) {
			delete(c.classes, of)
			c.compiler.Forget(of)
		}
	}
	c.demanded = slices.Clone(classes)
	c.unselected = istio.Unselected(c.input, classes)
	return true
}

// compileClass compiles for one class. What no proxy would take keeps the bytes that were last good.
func (c *Controller) compileClass(of ir.ProxyClass, before *compiled) *compiled {
	cfg, found := c.compiler.Compile(of)
	next := &compiled{config: cfg, found: found, builder: envoy.NewBuilder()}
	if before != nil {
		next.builder = before.builder
		if before.config == cfg && sameSlice(before.found, found) {
			next.resources, next.problems = before.resources, before.problems
			return next
		}
	}
	var bad []*envoy.ResourceError
	next.resources, bad = next.builder.Build(cfg)
	next.problems = withErrors(found, bad)
	if before != nil && slices.Equal(before.problems, next.problems) {
		next.problems = before.problems
	}
	return next
}

// withErrors adds what is wrong with resources to what is wrong with objects.
func withErrors(found []problem.Problem, bad []*envoy.ResourceError) []problem.Problem {
	if len(bad) == 0 {
		return found
	}
	out := slices.Clone(found)
	for _, one := range bad {
		out = append(out, problemOf(one))
	}
	problem.Sort(out)
	return slices.Compact(out)
}

// publish hands a compilation on, where it differs from the one before.
func (c *Controller) publish(ctx context.Context, of ir.ProxyClass, before, next *compiled) *compiled {
	if before != nil && before.published && equal(before.resources, next.resources) {
		next.published = true
		return next
	}
	err := c.config.Publisher.Publish(ctx, of, next.resources)
	next.published = err == nil
	if err != nil && ctx.Err() == nil {
		c.config.Log.Error("publishing to proxies", "namespace", of.Namespace, "reason", string(of.Kind), "err", err)
	}
	return next
}

// problemOf says of a resource what its author has to know.
func problemOf(bad *envoy.ResourceError) problem.Problem {
	p := problem.Problem{Code: bad.Code, Severity: problem.Error, Message: problem.Clean(bad.Error(), problem.MaxMessage), Hint: "correct the object; until then it is left out"}
	switch {
	case bad.Code == envoy.CodeLarge:
		p.Severity, p.Hint = problem.Warning, "spread the hosts over several gateways or ports, or shorten bodies"
	case bad.Kept:
		p.Hint = "correct the object; until then proxies keep what was last good of it"
	}
	if len(bad.Origins) > 0 {
		o := bad.Origins[0]
		p.Object, p.Field = o.Kind+"/"+o.Namespace+"/"+o.Name, o.Field
	}
	return p
}

// equal reports whether proxies and ledger would see no difference.
func equal(a, b envoy.Resources) bool {
	same := func(a, b []envoy.Resource) bool {
		return sameSlice(a, b) || slices.EqualFunc(a, b, func(x, y envoy.Resource) bool { return x.Name == y.Name && x.Version == y.Version })
	}
	return same(a.Listeners, b.Listeners) && same(a.Routes, b.Routes) && same(a.Clusters, b.Clusters) && same(a.Endpoints, b.Endpoints) && same(a.Secrets, b.Secrets) &&
		slices.EqualFunc(a.Splits, b.Splits, func(x, y *ir.SplitUse) bool { return x == y || x.Equal(*y) })
}

// keepProblems joins the Problems of all classes, each once.
func (c *Controller) keepProblems() {
	all := slices.Concat(c.unselected, c.world.fileProblems())
	for _, one := range c.classes {
		all = append(all, one.problems...)
	}
	problem.Sort(all)
	all = slices.Compact(all)
	c.metrics.found(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = all
}

// sameSlice reports whether two slices are one.
func sameSlice[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
