package istio

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// follow brings the configuration up to date with an index: by a new plan where the index is another one, else by making
// the units anew that have read what moved.
func (p *planner) follow(x *index) {
	if p.index != x || p.cfg == nil {
		p.plan(x)
		return
	}
	stale := map[*unit]bool{}
	moved := map[move]bool{}
	for ; p.heard < len(x.moved); p.heard++ {
		m := x.moved[p.heard]
		moved[m] = true
		for _, u := range p.readersOf(m) {
			stale[u] = true
		}
	}
	if len(stale) == 0 {
		return
	}
	next := *p.cfg
	c := change{into: &next, copied: map[string]bool{}}
	gather := false
	for u := range stale {
		before, found := u.value, u.found
		p.remake(u)
		p.enroll(u)
		gather = gather || !slices.Equal(found, u.found)
		if !c.put(u, before) {
			p.plan(x)
			return
		}
	}
	for m := range moved {
		if m.fact == factSplit {
			s := p.divided[m.name]
			c.use(s, slices.Concat(p.readersOf(m), p.readersOf(move{factPreview, s.previewHost})))
		}
	}
	if !equalConfigs(p.cfg, &next) {
		p.cfg = &next
	}
	if gather {
		p.gather()
	}
}

// movable reports whether a fact may change without a new index.
func (f fact) movable() bool { return f == factSplit || f == factPreview || f == factEndpoints }

// readersOf are the units that have asked for a fact that may move.
func (p *planner) readersOf(m move) []*unit {
	if p.readers == nil {
		p.readers = map[move][]*unit{}
		for _, u := range p.units {
			p.enroll(u)
		}
	}
	return p.readers[m]
}

func (p *planner) enroll(u *unit) {
	for _, r := range u.reads {
		if !r.fact.movable() {
			continue
		}
		m := move{r.fact, r.name}
		if !slices.Contains(p.readers[m], u) {
			p.readers[m] = append(p.readers[m], u)
		}
	}
}

// change is a configuration that differs from another in single nodes. Lists are copied before their first change.
type change struct {
	into   *ir.Config
	copied map[string]bool
}

// put brings in what a unit has made in the place of what it made before; false: only a plan can.
func (c *change) put(u *unit, before any) bool {
	switch now := u.value.(type) {
	case madeCluster:
		was, _ := before.(madeCluster)
		if now.hash != was.hash || now.cluster == nil || was.cluster == nil || now.cluster.Discovery != was.cluster.Discovery {
			return now == was
		}
		put(c, "clusters", &c.into.Clusters, now.cluster, func(x *ir.Cluster) int { return cmp.Compare(x.Name, now.cluster.Name) })
	case *ir.Endpoints:
		put(c, "endpoints", &c.into.Endpoints, now, func(x *ir.Endpoints) int { return cmp.Compare(x.Cluster, now.Cluster) })
	case *ir.RouteTable:
		put(c, "tables", &c.into.Tables, now, func(x *ir.RouteTable) int { return cmp.Compare(x.Name, now.Name) })
	case *ir.VirtualHost:
		was, _ := before.(*ir.VirtualHost)
		return now == was || c.putHost(u.key.table, was, now)
	case []ir.Chain:
		was, _ := before.([]ir.Chain)
		return c.putChains(u.key.table, was, now)
	default:
		return reflect.DeepEqual(before, now)
	}
	return true
}

// putChains replaces where chains of a listener forward to; false: they differ in more, or are not where they were.
func (c *change) putChains(listener string, was, now []ir.Chain) bool {
	if len(was) != len(now) {
		return false
	}
	i, ok := slices.BinarySearchFunc(c.into.Listeners, listener, func(l *ir.Listener, name string) int { return cmp.Compare(l.Name, name) })
	if !ok {
		return reflect.DeepEqual(was, now)
	}
	next := *c.into.Listeners[i]
	next.Chains = slices.Clone(next.Chains)
	for j, n := range now {
		w := was[j]
		if reflect.DeepEqual(w, n) {
			continue
		}
		rest := n
		rest.Proxy = w.Proxy
		if !reflect.DeepEqual(w, rest) {
			return false
		}
		found := false
		for k := range next.Chains {
			if next.Chains[k].Proxy == w.Proxy {
				next.Chains[k].Proxy, found = n.Proxy, true
			}
		}
		if !found {
			return false
		}
	}
	if !reflect.DeepEqual(next.Chains, c.into.Listeners[i].Chains) {
		put(c, "listeners", &c.into.Listeners, &next, func(l *ir.Listener) int { return cmp.Compare(l.Name, listener) })
	}
	return true
}

// put replaces the element that at finds; one that is not in the list has no place in the configuration either.
func put[T any](c *change, list string, in *[]*T, now *T, at func(*T) int) {
	i, ok := slices.BinarySearchFunc(*in, now, func(x, _ *T) int { return at(x) })
	if !ok || (*in)[i] == now {
		return
	}
	if !c.copied[list] {
		*in, c.copied[list] = slices.Clone(*in), true
	}
	(*in)[i] = now
}

// putHost replaces the routes of a virtual host, whose domains may have been joined with others' or taken away. One that
// was joined to another is that other's.
func (c *change) putHost(table string, was, now *ir.VirtualHost) bool {
	i, ok := slices.BinarySearchFunc(c.into.Tables, table, func(t *ir.RouteTable, name string) int { return cmp.Compare(t.Name, name) })
	if !ok {
		return false
	}
	t := c.into.Tables[i]
	j, ok := slices.BinarySearchFunc(t.VirtualHosts, now.Name, func(h *ir.VirtualHost, name string) int { return cmp.Compare(h.Name, name) })
	if !ok {
		return true
	}
	if !slices.Equal(was.Domains, now.Domains) || was.RequireTLS != now.RequireTLS {
		return false
	}
	host := *t.VirtualHosts[j]
	host.Routes = now.Routes
	if len(host.Domains) == len(now.Domains) && slices.Equal(host.Origins, now.Origins) {
		host = *now
	}
	if name := "hosts of " + table; c.copied[name] {
		t.VirtualHosts[j] = &host
	} else {
		next := *t
		next.VirtualHosts = slices.Clone(t.VirtualHosts)
		next.VirtualHosts[j] = &host
		put(c, "tables", &c.into.Tables, &next, func(x *ir.RouteTable) int { return cmp.Compare(x.Name, table) })
		c.copied[name] = true
	}
	return true
}

// use says anew where a split is rendered.
func (c *change) use(s *split, readers []*unit) {
	now, used := splitUse(s, readers)
	i, listed := slices.BinarySearchFunc(c.into.Splits, s.Key, func(u *ir.SplitUse, key string) int { return cmp.Compare(u.Key, key) })
	next := slices.Clone(c.into.Splits)
	switch {
	case used && listed:
		next[i] = &now
	case used:
		next = slices.Insert(next, i, &now)
	case listed:
		next = slices.Delete(next, i, i+1)
	}
	if len(next) == 0 {
		next = nil // as from nothing
	}
	c.into.Splits = next
}
