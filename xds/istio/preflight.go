package istio

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// checkSplits reports, once for all classes, how the rules of the mesh stand to each split.
func (x *index) checkSplits() {
	for _, s := range x.splits {
		if !s.blocked {
			x.checkSplit(s)
		}
	}
}

func (x *index) checkSplit(s *split) {
	takes := false
	named := map[string]bool{}
	for _, r := range x.written[s.host] {
		part := s.part(r.site, r.destinations)
		if r.connections && (part == partTakes || part == partSwept) {
			x.found.warn(r.site.at, "S068", r.site.field, fmt.Sprintf("a change of Rollout %s's weight holds for new connections; open ones stay on their version until the proxy has drained them", s.Key),
				"let clients open connections anew now and then, or give the steps the time that this takes")
		}
		switch part {
		case partTakes:
			takes, named[r.site.name] = true, true
		case partSwept:
			takes = true
			x.found.warn(r.site.at, "S065", r.site.field, fmt.Sprintf("every request is sent to %q, which Rollout %s is still rolling out; the Rollout's weight holds", s.Canary, s.Key),
				"send to the host without a subset, and let the Rollout choose")
		case partPinned:
			x.found.warn(r.site.at, "S067", r.site.field, fmt.Sprintf("requests pinned to %q count in the statistics of Rollout %s's canary", s.Canary, s.Key),
				"send them to a subset of their own while the Rollout is open")
		case partNone:
			if len(s.Routes) > 0 && slices.ContainsFunc(r.destinations, func(d destination) bool { return d.host == s.host && d.subset == "" && d.weight > 0 }) {
				x.found.warn(r.site.at, "S066", r.site.field, fmt.Sprintf("requests to %s without a subset also reach the canary of Rollout %s, outside its weights", s.host, s.Key),
					"name the rule in the Rollout's routes, or send to a subset")
			}
		}
		if s.Canary != "" && slices.ContainsFunc(r.mirrors, func(d destination) bool { return d.host == s.host && d.subset == s.Canary }) {
			x.found.warn(r.site.at, "S067", r.site.field, fmt.Sprintf("mirrored requests count in the statistics of Rollout %s's canary", s.Key),
				"mirror to a subset of its own while the Rollout is open")
		}
	}
	if x.defaultTakes(s) {
		takes, named[defaultRoute] = true, true
	}
	for i, name := range s.Routes {
		if !named[name] {
			x.found.fail(s.meta, "S063", fmt.Sprintf("spec.routes[%d]", i), fmt.Sprintf("no http rule named %q sends to stable, canary or the bare host of %s", name, s.host),
				"name a rule of a VirtualService that sends to the host")
		}
	}
	if !takes {
		x.found.fail(s.meta, "S064", "spec.host", fmt.Sprintf("no route sends to %s or its stable subset, so there is nothing to divide", s.host),
			"send to the host without a subset in some VirtualService")
	}
}

// writtenRule is a rule with the names of its destinations resolved, and ports as written.
type writtenRule struct {
	site         ruleSite
	rule         httpRule // zero: it is a tcp or tls rule
	connections  bool     // likewise
	vs           *virtual
	destinations []destination
	mirrors      []destination
}

// readWritten lists the rules that send or mirror to each host.
func (x *index) readWritten() {
	x.written = map[string][]*writtenRule{}
	for _, vs := range x.virtuals {
		if vs.written == nil {
			vs.written = x.writtenRules(vs)
		}
		for _, w := range vs.written {
			x.addWritten(w)
		}
	}
}

func (x *index) writtenRules(vs *virtual) []*writtenRule {
	out := []*writtenRule{}
	for _, one := range vs.rules {
		r := one.spec
		w := &writtenRule{site: ruleSite{name: r.GetName(), catchAll: writtenCatchAll(r), at: one.from, field: one.field}, rule: one, vs: vs}
		for _, d := range r.GetRoute() {
			to := x.writtenDestination(one.from, d.GetDestination())
			to.weight = max(0, int64(d.GetWeight()))
			if len(r.GetRoute()) == 1 {
				to.weight = 1
			}
			w.destinations = append(w.destinations, to)
		}
		for _, d := range targets(r)[len(r.GetRoute()):] {
			w.mirrors = append(w.mirrors, x.writtenDestination(one.from, d))
		}
		out = append(out, w)
	}
	for _, r := range slices.Concat(tcpRules(vs), tlsRules(vs)) {
		w := &writtenRule{site: ruleSite{catchAll: r.catchAll(), at: vs.Meta, field: r.field}, connections: true, vs: vs}
		for _, d := range r.route {
			one := x.writtenDestination(vs.Meta, d.GetDestination())
			one.weight = max(0, int64(d.GetWeight()))
			if len(r.route) == 1 {
				one.weight = 1
			}
			w.destinations = append(w.destinations, one)
		}
		out = append(out, w)
	}
	return out
}

// addWritten lists a rule for each host that it sends to, once.
func (x *index) addWritten(w *writtenRule) {
	before := func(list []destination, host string) bool {
		return slices.ContainsFunc(list, func(d destination) bool { return d.host == host })
	}
	for i, d := range w.destinations {
		if !before(w.destinations[:i], d.host) {
			x.written[d.host] = append(x.written[d.host], w)
		}
	}
	for i, d := range w.mirrors {
		if !before(w.destinations, d.host) && !before(w.mirrors[:i], d.host) {
			x.written[d.host] = append(x.written[d.host], w)
		}
	}
}

func (x *index) writtenDestination(from Meta, d *networking.Destination) destination {
	return destination{host: ResolveHost(d.GetHost(), from.Namespace, x.in.suffix()), subset: d.GetSubset()}
}

// writtenCatchAll reports whether some match entry, where it applies, lets every request of every client through.
func writtenCatchAll(r *networking.HTTPRoute) bool {
	if len(r.GetMatch()) == 0 {
		return true
	}
	return slices.ContainsFunc(r.GetMatch(), func(m *networking.HTTPMatchRequest) bool {
		if choosesClients(m.GetGateways(), m.GetSourceNamespace(), m.GetSourceLabels()) || len(m.GetHeaders())+len(m.GetWithoutHeaders())+len(m.GetQueryParams()) > 0 || m.GetMethod() != nil || m.GetAuthority() != nil || m.GetScheme() != nil {
			return false
		}
		switch uri := m.GetUri().GetMatchType().(type) {
		case *networking.StringMatch_Prefix:
			return uri.Prefix == "/" || uri.Prefix == ""
		case *networking.StringMatch_Regex:
			return uri.Regex == ".*" || uri.Regex == "*"
		case *networking.StringMatch_Exact:
			return false
		default:
			return true
		}
	})
}

// defaultTakes reports whether sidecars of the host's own namespace use its default route, and the split covers it.
func (x *index) defaultTakes(s *split) bool {
	if len(s.Routes) > 0 && !slices.Contains(s.Routes, defaultRoute) {
		return false
	}
	for _, o := range slices.Concat(x.meshHosts[s.host], x.meshHosts["*"]) {
		if covers(o.host, s.host) && registry.Exported(o.vs.Spec.GetExportTo(), o.vs.Namespace, s.meta.Namespace) {
			return false
		}
	}
	svc, ok := x.ownService(s)
	return ok && slices.ContainsFunc(svc.Ports, func(p registry.Port) bool { return x.http(svc, p) })
}

func (x *index) ownService(s *split) (registry.Service, bool) {
	for _, svc := range x.servicesOf(s.host) {
		if svc.shape.Namespace == s.meta.Namespace {
			return *svc.shape, true
		}
	}
	return registry.Service{}, false
}

// endpointsOf are those of the split's own service.
func (x *index) endpointsOf(s *split) []registry.Endpoint {
	for _, svc := range x.servicesOf(s.host) {
		if svc.shape.Namespace == s.meta.Namespace {
			return svc.endpoints.list
		}
	}
	return nil
}

// Facts says what the mesh holds for a split before it is rendered: its endpoints, its clusters, and what forbids to
// start or raise it. in.Splits need not hold the split.
func Facts(in Input, s ir.Split) ir.SplitFacts {
	facts, _ := rehearse(in, s, nil)
	return facts
}

// Rehearsal is what proxies of a class would be given if a split were half way.
type Rehearsal struct {
	Class  ir.ProxyClass
	Config *ir.Config
}

// rehearse finds facts, and what would be rendered in the classes that the split can be rendered in and in those given.
func rehearse(in Input, s ir.Split, classes []ir.ProxyClass) (ir.SplitFacts, []Rehearsal) {
	const half = 50 // both arms get something; nothing else depends on the weight
	s.Weight = half
	in.Splits = append(slices.DeleteFunc(slices.Clone(in.Splits), func(o ir.Split) bool { return o.Key == s.Key }), s)
	x := newIndex(in, nil)
	i := slices.IndexFunc(x.splits, func(o *split) bool { return o.Key == s.Key })
	one := x.splits[i]
	facts := ir.SplitFacts{Known: true}
	facts.CanaryBesides, facts.StableBesides = x.besides(one)
	if s.Canary == "" { // it is at rest
		facts.Returning = x.returning(one)
	}
	if svc, ok := x.ownService(one); ok {
		x.countArms(&facts, one, svc)
	} else {
		x.found.fail(one.meta, "S011", "spec.host", fmt.Sprintf("no service has the host %s", one.host), "create it, or correct spec.host")
	}
	var out []Rehearsal
	for _, class := range x.classesOf(one, classes) {
		p := newPlanner(class)
		p.follow(x)
		x.found.add(p.all...)
		if slices.ContainsFunc(p.cfg.Splits, func(u *ir.SplitUse) bool { return u.Key == s.Key }) {
			out = append(out, Rehearsal{class, p.cfg})
		}
	}
	origins := x.originsOf(one)
	for _, p := range x.found.sorted() {
		if p.Severity == problem.Error && origins[p.Object] {
			if facts.BlockingMessage == "" {
				facts.BlockingMessage = p.String()
			}
			if !slices.Contains(facts.BlockingCodes, p.Code) {
				facts.BlockingCodes = append(facts.BlockingCodes, p.Code)
			}
		}
	}
	slices.Sort(facts.BlockingCodes)
	return facts, out
}

func (x *index) countArms(f *ir.SplitFacts, s *split, svc registry.Service) {
	p := x.policyOf(x.found, client{namespace: s.meta.Namespace}, svc)
	count := func(name string) (int, bool) {
		sub, ok := p.subset(name)
		if !ok || name == "" {
			return 0, false
		}
		n := 0
		for _, e := range x.endpointsOf(s) {
			if e.Ready && contains(e.Labels, sub.labels) {
				n++
			}
		}
		return n, true
	}
	var stableDefined, canaryDefined bool
	f.StableReady, stableDefined = count(s.Stable)
	f.CanaryReady, canaryDefined = count(s.Canary)
	f.SubsetDefined = canaryDefined || (s.Canary == "" && stableDefined)
	if !f.SubsetDefined {
		x.found.fail(s.meta, "S010", "spec.subset", fmt.Sprintf("no DestinationRule defines subset %q of %s", wanted(s), s.host),
			"define the subset in a DestinationRule of this namespace")
	}
	for _, port := range svc.Ports {
		f.StableClusters = append(f.StableClusters, ir.ClusterName(port.Number, s.Stable, s.host))
		if s.Canary != "" {
			f.CanaryClusters = append(f.CanaryClusters, ir.ClusterName(port.Number, s.Canary, s.host))
		}
	}
}

func wanted(s *split) string {
	if s.Canary != "" {
		return s.Canary
	}
	return s.Stable
}

// classesOf are the classes in which the split can be rendered: clients in its namespace, the gateways whose
// VirtualServices send to its host, and those that are known to be.
func (x *index) classesOf(s *split, known []ir.ProxyClass) []ir.ProxyClass {
	out := []ir.ProxyClass{{Kind: ir.KindSidecar, Namespace: s.meta.Namespace}}
	used := map[string]bool{}
	x.eachSender(s, func(vs *virtual) {
		for _, g := range vs.gateways {
			used[g] = true
		}
	})
	for _, g := range x.gateways {
		if used[g.Namespace+"/"+g.Name] {
			class := ir.ProxyClass{Kind: ir.KindGateway, Namespace: g.Namespace, Labels: FormatLabels(g.Spec.GetSelector())}
			if !slices.Contains(out, class) {
				out = append(out, class)
			}
		}
	}
	for _, class := range known {
		if !slices.Contains(out, class) {
			out = append(out, class)
		}
	}
	return out
}

// eachSender visits the VirtualServices that own or send to the split's host.
func (x *index) eachSender(s *split, visit func(*virtual)) {
	for _, r := range x.written[s.host] {
		visit(r.vs)
	}
	for _, vs := range x.virtuals {
		if slices.Contains(vs.hosts, s.host) {
			visit(vs)
		}
	}
}

// originsOf names the objects that a split is made from: an error on one of them forbids to start or raise it.
func (x *index) originsOf(s *split) map[string]bool {
	out := map[string]bool{s.meta.ref(): true}
	x.eachSender(s, func(vs *virtual) { out[vs.ref()] = true })
	for _, r := range x.written[s.host] {
		out[r.site.at.ref()] = true
	}
	for _, dr := range x.rules {
		if ResolveHost(dr.Spec.GetHost(), dr.Namespace, x.in.suffix()) == s.host {
			out[dr.ref()] = true
		}
	}
	if svc, ok := x.ownService(s); ok {
		for _, o := range x.policyOf(&findings{}, client{namespace: s.meta.Namespace}, svc).origins { // for a wildcard, perhaps
			out[o.Kind+"/"+o.Namespace+"/"+o.Name] = true
		}
		out[svc.Origin.Kind+"/"+svc.Origin.Namespace+"/"+svc.Origin.Name] = true
	}
	return out
}
