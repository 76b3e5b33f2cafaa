package istio

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// planner decides which units a class needs and what each is made from. That is cheap; what is dear is left to the units.
type planner struct {
	*index
	class    ir.ProxyClass
	labels   map[string]string
	found    *findings           // about what was planned; those about units are the units'
	visible  []*service          // one per host, sorted by host
	seen     map[string]*service // the same by host
	policies map[string]*policy  // by host
	clusters map[string]madeCluster
	owners   owners // empty for gateways
	units    map[key]*unit
	round    int
	cfg      ir.Config
}

func newPlanner(x *index, class ir.ProxyClass) *planner {
	return &planner{
		index: x, class: class, labels: parseLabels(class.Labels), found: &findings{}, seen: map[string]*service{},
		policies: map[string]*policy{}, clusters: map[string]madeCluster{}, units: map[key]*unit{}, cfg: ir.Config{Kind: class.Kind},
	}
}

// run plans, and makes what is not made yet.
func (p *planner) run() ir.Config {
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
	p.cfg.Splits = p.splitUses()
	p.cfg.Secrets = p.namedSecrets()
	p.sort()
	return p.cfg
}

// problems are all there are, sorted, each once.
func (p *planner) problems() *findings {
	all := &findings{}
	all.add(p.index.found.list...)
	all.add(p.found.list...)
	for _, u := range p.units {
		all.add(u.found...)
	}
	return all
}

func (p *planner) sort() {
	slices.SortFunc(p.cfg.Listeners, func(a, b *ir.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.cfg.Tables, func(a, b *ir.RouteTable) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.cfg.Clusters, func(a, b *ir.Cluster) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.cfg.Endpoints, func(a, b *ir.Endpoints) int { return cmp.Compare(a.Cluster, b.Cluster) })
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

func (p *planner) readPolicies() {
	for _, s := range p.visible {
		p.policies[s.shape.Host] = p.policyOf(p.found, client{p.class.Namespace, p.labels}, *s.shape)
	}
}
