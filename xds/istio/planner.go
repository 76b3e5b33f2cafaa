package istio

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// planner decides which units a class needs and what each is made from. That is cheap; what is dear is left to the units,
// which are kept from plan to plan.
type planner struct {
	*index   // that the newest plan was made of
	scope    // of the newest plan
	class    ir.ProxyClass
	labels   map[string]string
	found    *findings // about what was planned; those about units are the units'
	units    map[key]*unit
	round    int
	readers  map[move][]*unit // by the facts that may move within an index; nil: not made yet
	heard    int              // how many of the index's moves are followed
	cfg      *ir.Config
	all      []problem.Problem // those of the index, the plan and the units
	policies map[string]*policy
}

// scope is what of the mesh a class sees.
type scope struct {
	sidecar  *sidecar               // nil: none is in force
	visible  []*service             // one per host, sorted by host
	seen     map[string]*service    // the same by host
	clusters map[string]madeCluster // by name
	owners   owners                 // empty for gateways
	out      *ir.Config             // what is planned so far
}

func newPlanner(class ir.ProxyClass) *planner {
	return &planner{class: class, labels: parseLabels(class.Labels), units: map[key]*unit{}}
}

// plan decides anew what the class needs, and makes what is not made yet.
func (p *planner) plan(x *index) {
	p.index, p.found = x, &findings{}
	p.scope = scope{seen: map[string]*service{}, clusters: map[string]madeCluster{}, out: &ir.Config{Kind: p.class.Kind}}
	p.sidecar = x.sidecarOf(p.found, p.class, p.labels)
	p.round++
	p.see()
	p.readPolicies()
	p.makeClusters()
	switch p.class.Kind {
	case ir.KindGateway:
		p.gatewayListeners()
	case ir.KindSidecar:
		p.readOwners()
		p.sidecarListeners()
	case ir.KindGRPC:
		p.readOwners()
		p.grpcListeners()
	}
	maps.DeleteFunc(p.units, func(_ key, u *unit) bool { return u.round != p.round })
	p.readers, p.heard = nil, len(x.moved)
	p.out.Splits = p.splitUses()
	p.out.Secrets = p.namedSecrets()
	p.finish()
	p.gather()
}

// finish sorts what was planned, and shares with what was planned before.
func (p *planner) finish() {
	out, before := p.out, p.cfg
	if before == nil {
		before = &ir.Config{}
	}
	listener := func(l *ir.Listener) string { return l.Name }
	cluster := func(c *ir.Cluster) string { return c.Name }
	endpoints := func(e *ir.Endpoints) string { return e.Cluster }
	secret := func(s *ir.Secret) string { return s.Name }
	slices.SortFunc(out.Tables, func(a, b *ir.RouteTable) int { return cmp.Compare(a.Name, b.Name) })
	out.Listeners = sharedList(before.Listeners, byName(out.Listeners, listener), listener, deepEqual)
	out.Tables = sharedTables(before.Tables, out.Tables)
	out.Clusters = sharedList(before.Clusters, byName(out.Clusters, cluster), cluster, deepEqual)
	out.Endpoints = sharedList(before.Endpoints, byName(out.Endpoints, endpoints), endpoints, deepEqual)
	out.Secrets = sharedList(before.Secrets, byName(out.Secrets, secret), secret, deepEqual)
	out.Splits = sharedList(before.Splits, out.Splits, func(use *ir.SplitUse) string { return use.Key }, equalUses)
	if p.cfg == nil || !equalConfigs(p.cfg, out) {
		p.cfg = out
	}
	p.out = nil
}

func byName[T any](list []*T, name func(*T) string) []*T {
	slices.SortFunc(list, func(a, b *T) int { return cmp.Compare(name(a), name(b)) })
	return list
}

// equalConfigs compares configurations that share all equal lists.
func equalConfigs(a, b *ir.Config) bool {
	return sameSlice(a.Listeners, b.Listeners) && sameSlice(a.Tables, b.Tables) && sameSlice(a.Clusters, b.Clusters) &&
		sameSlice(a.Endpoints, b.Endpoints) && sameSlice(a.Secrets, b.Secrets) && slices.EqualFunc(a.Splits, b.Splits, equalUses)
}

func equalUses(a, b *ir.SplitUse) bool { return a == b || a.Equal(*b) }

// gather collects all Problems, sorted, each once.
func (p *planner) gather() {
	all := &findings{}
	all.add(p.index.found.list...)
	all.add(p.found.list...)
	for _, u := range p.units {
		all.add(u.found...)
	}
	p.all = all.sorted()
}

// service is a service of the index. Its shape changes seldom, its endpoints often: units ask for one or for both.
type service struct {
	shape     *registry.Service // without endpoints
	endpoints *endpointSet
}

type endpointSet struct{ list []registry.Endpoint }

func newService(s registry.Service) *service {
	out := &service{endpoints: &endpointSet{s.Endpoints}}
	s.Endpoints = nil
	out.shape = &s
	return out
}

// see reads which services the class sees.
func (p *planner) see() {
	p.visible = p.visibleServices()
	for _, s := range p.visible {
		p.seen[s.shape.Host] = s
	}
}

// readPolicies finds what DestinationRules say about each visible service. What is made of the same rules as before is
// the same.
func (p *planner) readPolicies() {
	before := p.policies
	p.policies = make(map[string]*policy, len(p.visible))
	for _, s := range p.visible {
		found := &findings{}
		now := p.policyOf(found, client{p.class.Namespace, p.labels}, *s.shape)
		p.found.add(found.list...)
		if old := before[s.shape.Host]; old != nil && old.equal(now) {
			now = old
		}
		p.policies[s.shape.Host] = now
	}
}
