package envoy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Builder builds configurations that follow one another. What a configuration shares with the one before is not built
// again: the same node gives the same Resource, the same list the same slice. Of what a proxy would refuse it keeps the
// bytes that were last good. A Builder is for one class, and not safe for concurrent use.
type Builder struct {
	builder
	listeners kept[ir.Listener]
	tables    kept[ir.RouteTable]
	clusters  kept[ir.Cluster]
	endpoints kept[ir.Endpoints]
	secrets   kept[ir.Secret]
	empty     map[string]*ir.Endpoints // for clusters that have no Endpoints, by name
}

// NewBuilder makes a Builder that has built nothing.
func NewBuilder() *Builder { return &Builder{empty: map[string]*ir.Endpoints{}} }

// Build turns a configuration into resources, and says which of them are not as the configuration says. No part of the
// configuration may change afterwards, and no part of the result either.
func (b *Builder) Build(c *ir.Config) (Resources, []*ResourceError) {
	b.kind = c.Kind
	b.secrets.update(&b.builder, c.Secrets, func(s *ir.Secret) string { return s.Name }, func(s *ir.Secret, _ *made[ir.Secret]) (*Resource, any) {
		return b.resource(item{typeURL: TypeSecret, name: s.Name, origins: s.Origins}, secret(s)), nil
	})
	b.tables.update(&b.builder, c.Tables, func(t *ir.RouteTable) string { return t.Name }, func(t *ir.RouteTable, before *made[ir.RouteTable]) (*Resource, any) {
		return b.table(t, before)
	})
	b.buildClusters(c)
	b.buildListeners(c)
	out := Resources{
		Listeners: b.listeners.list, Routes: b.tables.list, Clusters: b.clusters.list, Endpoints: b.endpoints.list, Secrets: b.secrets.list,
		Splits: c.Splits,
	}
	return out, slices.Concat(b.listeners.errs, b.tables.errs, b.clusters.errs, b.endpoints.errs, b.secrets.errs)
}

// Afresh is a Builder that builds everything again, but knows what was last good.
func (b *Builder) Afresh() *Builder {
	return &Builder{
		empty: map[string]*ir.Endpoints{}, listeners: b.listeners.afresh(), tables: b.tables.afresh(), clusters: b.clusters.afresh(),
		endpoints: b.endpoints.afresh(), secrets: b.secrets.afresh(),
	}
}

func (b *Builder) buildClusters(c *ir.Config) {
	if b.secrets.renamed {
		b.clusters.recheck()
	}
	b.clusters.update(&b.builder, c.Clusters, func(cl *ir.Cluster) string { return cl.Name }, func(cl *ir.Cluster, _ *made[ir.Cluster]) (*Resource, any) {
		it := item{typeURL: TypeCluster, name: cl.Name, origins: cl.Origins, secrets: clusterSecrets(cl)}
		if missing := b.secrets.lacks(it.secrets); missing != "" {
			b.fail(it, fmt.Errorf("there is no Secret %s", missing))
			return nil, gone{}
		}
		return b.resource(it, b.cluster(cl)), nil
	})
	b.endpoints.update(&b.builder, b.assigned(c), func(e *ir.Endpoints) string { return e.Cluster }, func(e *ir.Endpoints, _ *made[ir.Endpoints]) (*Resource, any) {
		return b.resource(item{typeURL: TypeEndpoint, name: e.Cluster, origins: e.Origins}, b.assignment(e)), nil
	})
}

// assigned are the Endpoints of the configuration, with empty ones for the clusters that lack them: a proxy would wait.
func (b *Builder) assigned(c *ir.Config) []*ir.Endpoints {
	sameName := func(x, y *ir.Endpoints) bool { return x == y || x.Cluster == y.Cluster }
	if b.clusters.same && slices.EqualFunc(b.endpoints.nodes, c.Endpoints, sameName) { // no cluster lacked any
		return c.Endpoints
	}
	has := make(map[string]bool, len(c.Endpoints))
	for _, e := range c.Endpoints {
		has[e.Cluster] = true
	}
	out := c.Endpoints
	for _, cl := range c.Clusters {
		if cl.Discovery != ir.DiscoveryEDS || has[cl.Name] {
			continue
		}
		if b.empty[cl.Name] == nil {
			b.empty[cl.Name] = &ir.Endpoints{Cluster: cl.Name}
		}
		out = append(slices.Clip(out), b.empty[cl.Name])
	}
	return out
}

// buildListeners builds what routes by the tables and shows the Secrets that there are.
func (b *Builder) buildListeners(c *ir.Config) {
	if b.tables.renamed || b.secrets.renamed {
		b.listeners.recheck()
	}
	b.listeners.update(&b.builder, c.Listeners, func(l *ir.Listener) string { return l.Name }, func(l *ir.Listener, _ *made[ir.Listener]) (*Resource, any) {
		l = b.complete(l)
		it := item{typeURL: TypeListener, name: l.Name, origins: l.Origins, refs: upstreams(l), tables: tables(l), secrets: listenerSecrets(l)}
		if len(chainsOf(l)) == 0 {
			b.fail(it, errors.New("no chain of it is left"))
			return nil, gone{}
		}
		message := b.listener(l)
		if message.GetApiListener() == nil && len(message.GetFilterChains()) == 0 && message.GetDefaultFilterChain() == nil {
			b.fail(it, errors.New("no chain of it is left"))
			return nil, nil
		}
		return b.resource(it, message), nil
	})
}

// complete is a listener without the chains that would wait for ever for what is not there.
func (b *Builder) complete(l *ir.Listener) *ir.Listener {
	lacks := func(c ir.Chain) string {
		alone := &ir.Listener{Chains: []ir.Chain{c}}
		if table := b.tables.lacks(tables(alone)); table != "" {
			return "route table " + table
		}
		if name := b.secrets.lacks(listenerSecrets(alone)); name != "" {
			return "Secret " + name
		}
		return ""
	}
	drop := func(c ir.Chain) bool {
		missing := lacks(c)
		if missing != "" {
			b.fail(item{typeURL: TypeListener, name: l.Name + "/" + c.Name, origins: c.Origins}, fmt.Errorf("its %s is missing", missing))
		}
		return missing != ""
	}
	if !slices.ContainsFunc(chainsOf(l), func(c ir.Chain) bool { return lacks(c) != "" }) {
		return l
	}
	out := *l
	out.Chains = slices.DeleteFunc(slices.Clone(l.Chains), drop)
	if l.Default != nil && drop(*l.Default) {
		out.Default = nil
	}
	return &out
}

// kept are the resources of one kind, and what they were made of.
type kept[T any] struct {
	nodes   []*T      // as they stood in the configuration
	made    []made[T] // sorted by name
	list    []Resource
	errs    []*ResourceError
	renamed bool // the newest update added or removed a name
	same    bool // it changed nothing
}

// made is what came of a node.
type made[T any] struct {
	name     string
	node     *T
	resource *Resource // what is served; nil: nothing
	errs     []*ResourceError
	state    any // of the builder's own
}

// gone is the state of what was last good and must not be kept, since what it names is not there any more.
type gone struct{}

// recheck lets the next update build everything again.
func (k *kept[T]) recheck() {
	k.nodes = nil
	for i := range k.made {
		k.made[i].node = nil
	}
}

func (k *kept[T]) afresh() kept[T] {
	out := kept[T]{}
	for _, m := range k.made {
		if len(m.errs) > 0 && m.resource != nil {
			one := made[T]{name: m.name, resource: m.resource}
			if t, ok := m.state.(*builtTable); ok {
				one.state = t.lastGood()
			}
			out.made = append(out.made, one)
		}
	}
	return out
}

// lacks is the first of the names that is not served; empty: all are.
func (k *kept[T]) lacks(names []string) string {
	for _, name := range names {
		if _, ok := slices.BinarySearchFunc(k.list, name, func(r Resource, name string) int { return cmp.Compare(r.Name, name) }); !ok {
			return name
		}
	}
	return ""
}

// update brings the resources up to date with the nodes.
func (k *kept[T]) update(b *builder, nodes []*T, name func(*T) string, build func(*T, *made[T]) (*Resource, any)) {
	k.renamed, k.same = false, k.nodes != nil && sameSlice(k.nodes, nodes)
	if k.same {
		return
	}
	k.nodes = nodes
	if !slices.IsSortedFunc(nodes, func(x, y *T) int { return cmp.Compare(name(x), name(y)) }) {
		nodes = slices.Clone(nodes)
		slices.SortStableFunc(nodes, func(x, y *T) int { return cmp.Compare(name(x), name(y)) })
	}
	if slices.EqualFunc(k.made, nodes, func(m made[T], n *T) bool { return m.node == n || m.node != nil && m.name == name(n) }) {
		k.replace(b, nodes, build)
		return
	}
	before := k.made
	k.made, k.errs = make([]made[T], 0, len(nodes)), nil
	i := 0
	for _, n := range nodes {
		for i < len(before) && before[i].name < name(n) {
			i++
		}
		var old *made[T]
		if i < len(before) && before[i].name == name(n) {
			old = &before[i]
		}
		k.add(b, n, name(n), old, build)
	}
	k.collect(before)
}

func (k *kept[T]) add(b *builder, n *T, name string, old *made[T], build func(*T, *made[T]) (*Resource, any)) {
	if at := len(k.made) - 1; at >= 0 && k.made[at].name == name {
		k.errs = append(k.errs, &ResourceError{Code: CodeInvalid, Type: typeOf(k.made[at].resource), Name: name, Err: errors.New("the name stands twice")})
		return
	}
	if old != nil && old.node == n {
		k.made = append(k.made, *old)
		return
	}
	k.made = append(k.made, one(b, n, name, old, build))
}

// one builds a node. What a proxy would refuse stays as it was.
func one[T any](b *builder, n *T, name string, old *made[T], build func(*T, *made[T]) (*Resource, any)) made[T] {
	b.errs = nil
	out := made[T]{name: name, node: n}
	out.resource, out.state = build(n, old)
	out.errs, b.errs = b.errs, nil
	if _, isGone := out.state.(gone); out.resource == nil && old != nil && old.resource != nil && !isGone {
		out.resource = old.resource
		for _, e := range out.errs {
			e.Kept = true
		}
	}
	return out
}

// replace brings the resources up to date with nodes of the same names: only those that differ cost anything.
func (k *kept[T]) replace(b *builder, nodes []*T, build func(*T, *made[T]) (*Resource, any)) {
	copied, wrong, all := false, false, len(k.list) == len(k.made)
	for i, n := range nodes {
		if k.made[i].node == n {
			continue
		}
		was := k.made[i]
		now := one(b, n, was.name, &was, build)
		k.made[i] = now
		k.renamed = k.renamed || (was.resource == nil) != (now.resource == nil)
		wrong = wrong || len(was.errs)+len(now.errs) > 0
		if was.resource == now.resource {
			continue
		}
		if all = all && now.resource != nil; !all {
			k.list = nil
			continue
		}
		if !copied {
			k.list, copied = slices.Clone(k.list), true
		}
		k.list[i] = *now.resource
	}
	if k.list == nil {
		k.list = k.served()
	}
	if wrong {
		k.errs = nil
		for _, m := range k.made {
			k.errs = append(k.errs, m.errs...)
		}
	}
}

func typeOf(r *Resource) string {
	if r == nil {
		return ""
	}
	return r.Any.GetTypeUrl()
}

// collect lists what is served, and what is wrong.
func (k *kept[T]) collect(before []made[T]) {
	changed := len(before) != len(k.made) || k.list == nil
	k.renamed = changed
	for i, m := range k.made {
		if i < len(before) && !changed {
			changed = before[i].resource != m.resource
		}
		k.renamed = k.renamed || before[i].name != m.name || (before[i].resource == nil) != (m.resource == nil)
		k.errs = append(k.errs, m.errs...)
	}
	if !changed {
		return
	}
	k.list = k.served()
}

// served are the resources that there are.
func (k *kept[T]) served() []Resource {
	out := make([]Resource, 0, len(k.made))
	for _, m := range k.made {
		if m.resource != nil {
			out = append(out, *m.resource)
		}
	}
	return out
}

// sameSlice reports whether two slices are one.
func sameSlice[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
