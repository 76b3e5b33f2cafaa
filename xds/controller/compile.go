package controller

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// compiled is what a class was published last.
type compiled struct {
	resources envoy.Resources
	problems  []problem.Problem
	published bool // the Publisher has taken it
}

// compile brings the classes up to date: all of them when the world has changed, else those that are new. It reports
// whether some have to wait for Secrets.
func (c *Controller) compile(ctx context.Context, classes []ir.ProxyClass, changed bool) (held bool) {
	maps.DeleteFunc(c.classes, func(of ir.ProxyClass, _ *compiled) bool { return !slices.Contains(classes, of) })
	in := c.world.snapshot()
	if changed {
		c.config.Demand.SetClassKeys(istio.ClassKeys(in))
	}
	work := false
	if changed || !slices.Equal(c.demanded, classes) {
		c.demanded, work = slices.Clone(classes), true
		c.unselected = istio.Unselected(in, classes)
	}
	waiting := c.secrets.follow(ctx, in, classes)
	for _, of := range classes {
		before := c.classes[of]
		if before != nil && before.published && !changed {
			continue
		}
		if waiting[of] {
			held = true
			if before != nil {
				before.published = false // it is due as soon as the Secrets are known
			}
			continue
		}
		work = true
		c.classes[of] = c.publish(ctx, of, before, compileClass(in, of, before))
	}
	if work {
		c.keepProblems()
	}
	return held
}

// compileClass compiles for one class. A resource that no proxy would take keeps the bytes it was published with.
func compileClass(in istio.Input, of ir.ProxyClass, before *compiled) *compiled {
	cfg, problems := istio.Translate(in, of)
	resources, err := envoy.Build(cfg)
	out := &compiled{resources: resources, problems: problems}
	for _, bad := range resourceErrors(err) {
		out.problems = append(out.problems, problemOf(bad))
		if before != nil {
			keepGood(&out.resources, before.resources, bad)
		}
	}
	return out
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
		c.config.Log.Error("publishing to proxies", "kind", of.Kind, "namespace", of.Namespace, "error", err)
	}
	return next
}

// resourceErrors takes apart what Build has joined.
func resourceErrors(err error) []*envoy.ResourceError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*envoy.ResourceError
		for _, one := range joined.Unwrap() {
			out = append(out, resourceErrors(one)...)
		}
		return out
	}
	if bad, ok := errors.AsType[*envoy.ResourceError](err); ok {
		return []*envoy.ResourceError{bad}
	}
	return []*envoy.ResourceError{{Name: "configuration", Err: err}}
}

func problemOf(bad *envoy.ResourceError) problem.Problem {
	p := problem.Problem{
		Code: "S090", Severity: problem.Error, Message: problem.Clean(bad.Error(), problem.MaxMessage),
		Hint: "correct the object; proxies keep what they have of it",
	}
	if len(bad.Origins) > 0 {
		o := bad.Origins[0]
		p.Object, p.Field = o.Kind+"/"+o.Namespace+"/"+o.Name, o.Field
	}
	return p
}

// keepGood puts the last published bytes of a resource in the place of those that could not be built.
func keepGood(into *envoy.Resources, from envoy.Resources, bad *envoy.ResourceError) {
	pairs := map[string][2]*[]envoy.Resource{
		envoy.TypeListener: {&into.Listeners, &from.Listeners},
		envoy.TypeRoute:    {&into.Routes, &from.Routes},
		envoy.TypeCluster:  {&into.Clusters, &from.Clusters},
		envoy.TypeEndpoint: {&into.Endpoints, &from.Endpoints},
		envoy.TypeSecret:   {&into.Secrets, &from.Secrets},
	}
	pair, ok := pairs[bad.Type]
	if !ok {
		return
	}
	named := func(r envoy.Resource) bool { return r.Name == bad.Name }
	at := slices.IndexFunc(*pair[1], named)
	if at < 0 || slices.ContainsFunc(*pair[0], named) {
		return
	}
	kept := append(slices.Clone(*pair[0]), (*pair[1])[at])
	slices.SortFunc(kept, func(a, b envoy.Resource) int { return cmp.Compare(a.Name, b.Name) })
	*pair[0] = kept
}

// equal reports whether proxies and ledger would see no difference.
func equal(a, b envoy.Resources) bool {
	same := func(a, b []envoy.Resource) bool {
		return slices.EqualFunc(a, b, func(x, y envoy.Resource) bool { return x.Name == y.Name && x.Version == y.Version })
	}
	return same(a.Listeners, b.Listeners) && same(a.Routes, b.Routes) && same(a.Clusters, b.Clusters) && same(a.Endpoints, b.Endpoints) && same(a.Secrets, b.Secrets) &&
		slices.EqualFunc(a.Splits, b.Splits, ir.SplitUse.Equal)
}

// keepProblems joins the Problems of all classes, each once.
func (c *Controller) keepProblems() {
	all := slices.Concat(c.unselected, c.world.fileProblems())
	for _, one := range c.classes {
		all = append(all, one.problems...)
	}
	problem.Sort(all)
	all = slices.Compact(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = all
}
