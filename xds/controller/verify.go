package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// How often what was compiled change by change is compared with what is compiled from nothing.
const (
	verifyEvery = 10 * time.Minute
	verifyAfter = 1000 // changes
)

// verification is a comparison, on its way or done.
type verification struct {
	done   chan struct{} // closed when differs is complete
	took   time.Duration
	differ []difference
}

// difference is a class that would get something else from nothing.
type difference struct {
	class      ir.ProxyClass
	step, full string // hashes of what it has and of what it would get
}

// verify compares now and then, in a goroutine of its own: a weight never waits for it. Where something differs, all
// that was kept is dropped, so that everything is compiled and published from nothing. It reports whether that is so.
func (c *Controller) verify(ctx context.Context) bool {
	if v := c.verifying; v != nil {
		select {
		case <-v.done:
		default:
			return false
		}
		c.verifying = nil
		c.metrics.seconds.WithLabelValues("full").Observe(v.took.Seconds())
		for _, d := range v.differ {
			c.config.Log.Error("what was compiled change by change is not what is compiled from nothing; the latter is published",
				"namespace", d.class.Namespace,
				"reason", fmt.Sprintf("%s of %v: change by change %v, from nothing %v", d.class.Kind, d.class.Labels, d.step, d.full))
		}
		if len(v.differ) > 0 {
			c.metrics.mismatches.Inc()
			c.restart()
			return true
		}
	}
	now := c.config.Now()
	if c.verified.IsZero() {
		c.verified = now
	}
	if len(c.classes) == 0 || (c.edits < verifyAfter && (c.edits == 0 || now.Sub(c.verified) < verifyEvery)) {
		return false
	}
	c.verified, c.edits = now, 0
	c.verifying = c.begun(ctx, now)
	return false
}

// restart forgets all that is kept but what was last good: everything is compiled from nothing.
func (c *Controller) restart() {
	c.compiler = istio.NewCompiler(c.config.DomainSuffix, c.config.RootNamespace)
	for of, one := range c.classes {
		c.classes[of] = &compiled{builder: one.builder.Afresh(), resources: one.resources, problems: one.problems, published: one.published}
	}
}

// begun starts a comparison of all classes with what the compiler knows now.
func (c *Controller) begun(ctx context.Context, now time.Time) *verification {
	v := &verification{done: make(chan struct{})}
	in := c.compiler.Input()
	type class struct {
		of      ir.ProxyClass
		has     *compiled
		builder *envoy.Builder
	}
	var all []class
	for of, has := range c.classes {
		if !c.waiting[of] && has.published {
			all = append(all, class{of, has, has.builder.Afresh()})
		}
	}
	c.checks.Go(func() {
		defer c.rouse()
		defer close(v.done)
		for _, one := range all {
			if ctx.Err() != nil {
				return
			}
			cfg, found := istio.Translate(in, one.of)
			resources, bad := one.builder.Build(&cfg)
			step, full := digest(one.has.resources, one.has.problems), digest(resources, withErrors(found, bad))
			if step != full {
				v.differ = append(v.differ, difference{one.of, step, full})
			}
		}
		v.took = c.config.Now().Sub(now)
	})
	return v
}

// digest is a hash of all that a class is given, and of what is said about it.
func digest(r envoy.Resources, ps []problem.Problem) string {
	h := sha256.New()
	for _, list := range [][]envoy.Resource{r.Listeners, r.Routes, r.Clusters, r.Endpoints, r.Secrets} {
		for _, one := range list {
			fmt.Fprintf(h, "%s %s\n", one.Name, one.Version)
		}
		fmt.Fprintln(h)
	}
	for _, use := range r.Splits {
		fmt.Fprintln(h, *use)
	}
	for _, p := range ps {
		fmt.Fprintln(h, p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
