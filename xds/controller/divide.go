package controller

import (
	"context"
	"slices"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// divide publishes the newest weights of a class that waits for Secrets. All else that is new waits with it, but a
// lowered weight waits for nothing: what proxies have stays, and only tables that are in it already are brought up to
// date. Weights in listeners wait, since a listener may be what the Secrets are for.
func (c *Controller) divide(ctx context.Context, of ir.ProxyClass, before *compiled) *compiled {
	cfg, _ := c.compiler.Compile(of)
	fresh, _ := before.builder.Build(cfg)
	next := *before
	next.config = nil // what is published is not what was compiled
	next.resources = redivided(before.resources, fresh)
	out := c.publish(ctx, of, before, &next)
	out.published = false // it is due as soon as the Secrets are known
	return out
}

// redivided is before with the tables of fresh, as far as before has their names and the clusters that they name.
func redivided(before, fresh envoy.Resources) envoy.Resources {
	clusters := map[string]bool{}
	for _, r := range before.Clusters {
		clusters[r.Name] = true
	}
	byName := map[string]envoy.Resource{}
	for _, r := range fresh.Routes {
		if !slices.ContainsFunc(r.Refs, func(name string) bool { return !clusters[name] }) {
			byName[r.Name] = r
		}
	}
	out := before
	out.Routes = slices.Clone(before.Routes)
	taken := map[string]bool{}
	for i, r := range out.Routes {
		if now, ok := byName[r.Name]; ok {
			out.Routes[i], taken[r.Name] = now, true
		}
	}
	out.Splits = slices.Clone(before.Splits)
	for i, use := range out.Splits {
		at := slices.IndexFunc(fresh.Splits, func(u *ir.SplitUse) bool { return u.Key == use.Key && u.UID == use.UID })
		if at < 0 || len(use.Listeners) > 0 || !slices.Equal(use.Tables, fresh.Splits[at].Tables) ||
			slices.ContainsFunc(use.Tables, func(table string) bool { return !taken[table] }) {
			continue
		}
		out.Splits[i] = fresh.Splits[at]
	}
	return out
}
