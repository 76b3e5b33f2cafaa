package istio

import (
	"fmt"
	"slices"
	"strings"

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

func (x *index) checkSplit(s split) {
	takes := false
	named := map[string]bool{}
	x.eachRule(func(site ruleSite, ds []destination) {
		if !slices.ContainsFunc(ds, func(d destination) bool { return d.host == s.host }) {
			return
		}
		switch s.part(site, ds) {
		case partTakes:
			takes, named[site.name] = true, true
		case partSwept:
			takes = true
			x.found.warn(site.at, "S065", site.field, fmt.Sprintf("every request is sent to %q, which Rollout %s is still rolling out; the Rollout's weight holds", s.Canary, s.Key),
				"send to the host without a subset, and let the Rollout choose")
		case partPinned:
			x.found.warn(site.at, "S067", site.field, fmt.Sprintf("requests pinned to %q count in the statistics of Rollout %s's canary", s.Canary, s.Key),
				"send them to a subset of their own while the Rollout is open")
		case partNone:
			if len(s.Routes) > 0 && slices.ContainsFunc(ds, func(d destination) bool { return d.host == s.host && d.subset == "" && d.weight > 0 }) {
				x.found.warn(site.at, "S066", site.field, fmt.Sprintf("requests to %s without a subset also reach the canary of Rollout %s, outside its weights", s.host, s.Key),
					"name the rule in the Rollout's routes, or send to a subset")
			}
		}
	})
	x.checkMirrors(s)
	if takesDefault := x.defaultTakes(s); takesDefault {
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

// eachRule visits the http rules of all VirtualServices with their destinations, names resolved, ports as written.
func (x *index) eachRule(visit func(ruleSite, []destination)) {
	for _, vs := range x.virtuals {
		for i, r := range vs.Spec.GetHttp() {
			var ds []destination
			for _, d := range r.GetRoute() {
				to := destination{host: ResolveHost(d.GetDestination().GetHost(), vs.Namespace, x.in.suffix()), subset: d.GetDestination().GetSubset(), weight: max(0, int64(d.GetWeight()))}
				if len(r.GetRoute()) == 1 {
					to.weight = 1
				}
				ds = append(ds, to)
			}
			visit(ruleSite{name: r.GetName(), catchAll: writtenCatchAll(r), at: vs.Meta, field: fmt.Sprintf("spec.http[%d]", i)}, ds)
		}
	}
}

// writtenCatchAll reports whether some match entry, where it applies, lets every request through.
func writtenCatchAll(r *networking.HTTPRoute) bool {
	if len(r.GetMatch()) == 0 {
		return true
	}
	return slices.ContainsFunc(r.GetMatch(), func(m *networking.HTTPMatchRequest) bool {
		if len(m.GetHeaders())+len(m.GetWithoutHeaders())+len(m.GetQueryParams()) > 0 || m.GetMethod() != nil || m.GetAuthority() != nil || m.GetScheme() != nil {
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

func (x *index) checkMirrors(s split) {
	report := func(vs virtualService, field string, d *networking.Destination) {
		if s.Canary != "" && d.GetSubset() == s.Canary && ResolveHost(d.GetHost(), vs.Namespace, x.in.suffix()) == s.host {
			x.found.warn(vs.Meta, "S067", field, fmt.Sprintf("mirrored requests count in the statistics of Rollout %s's canary", s.Key),
				"mirror to a subset of its own while the Rollout is open")
		}
	}
	for _, vs := range x.virtuals {
		for i, r := range vs.Spec.GetHttp() {
			if r.GetMirror() != nil {
				report(vs, fmt.Sprintf("spec.http[%d].mirror", i), r.GetMirror())
			}
			for j, m := range r.GetMirrors() {
				report(vs, fmt.Sprintf("spec.http[%d].mirrors[%d].destination", i, j), m.GetDestination())
			}
		}
	}
}

// defaultTakes reports whether sidecars of the host's own namespace use its default route, and the split covers it.
func (x *index) defaultTakes(s split) bool {
	if len(s.Routes) > 0 && !slices.Contains(s.Routes, defaultRoute) {
		return false
	}
	for _, vs := range x.virtuals {
		if slices.Contains(gatewayNames(vs.Spec.GetGateways(), vs.Namespace), mesh) && registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, s.meta.Namespace) &&
			slices.ContainsFunc(vs.Spec.GetHosts(), func(h string) bool { return h != "*" && covers(ResolveHost(h, vs.Namespace, x.in.suffix()), s.host) }) {
			return false
		}
	}
	svc, ok := x.ownService(s)
	return ok && slices.ContainsFunc(svc.Ports, func(p registry.Port) bool { return x.http(svc, p) })
}

func (x *index) ownService(s split) (registry.Service, bool) {
	i := slices.IndexFunc(x.services, func(svc registry.Service) bool { return svc.Host == s.host && svc.Namespace == s.meta.Namespace })
	if i < 0 {
		return registry.Service{}, false
	}
	return x.services[i], true
}

// Facts says what the mesh holds for a split before it is rendered: its endpoints, its clusters, and what forbids to
// start or raise it. in.Splits need not hold the split.
func Facts(in Input, s ir.Split) ir.SplitFacts {
	in.Splits = append(slices.DeleteFunc(slices.Clone(in.Splits), func(o ir.Split) bool { return o.Key == s.Key }), s)
	x := newIndex(in)
	i := slices.IndexFunc(x.splits, func(o split) bool { return o.Key == s.Key })
	one := x.splits[i]
	facts := ir.SplitFacts{Known: true}
	if svc, ok := x.ownService(one); ok {
		x.countArms(&facts, one, svc)
	} else {
		x.found.fail(one.meta, "S011", "spec.host", fmt.Sprintf("no service has the host %s", one.host), "create it, or correct spec.host")
	}
	for _, class := range x.classesOf(one) {
		newTranslator(x, class).run()
	}
	for _, p := range x.found.sorted() {
		if x.blocks(one, p) {
			if facts.BlockingMessage == "" {
				facts.BlockingMessage = p.String()
			}
			if !slices.Contains(facts.BlockingCodes, p.Code) {
				facts.BlockingCodes = append(facts.BlockingCodes, p.Code)
			}
		}
	}
	slices.Sort(facts.BlockingCodes)
	return facts
}

func (x *index) countArms(f *ir.SplitFacts, s split, svc registry.Service) {
	p := x.policyOf(s.meta.Namespace, svc)
	count := func(name string) (int, bool) {
		sub, ok := p.subset(name)
		if !ok || name == "" {
			return 0, false
		}
		n := 0
		for _, e := range svc.Endpoints {
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

func wanted(s split) string {
	if s.Canary != "" {
		return s.Canary
	}
	return s.Stable
}

// classesOf are the classes in which the split can be rendered: clients in its namespace, and the gateways whose
// VirtualServices send to its host.
func (x *index) classesOf(s split) []ir.ProxyClass {
	out := []ir.ProxyClass{{Kind: ir.KindSidecar, Namespace: s.meta.Namespace}}
	used := map[string]bool{}
	x.eachSender(s, func(vs virtualService) {
		for _, g := range gatewayNames(vs.Spec.GetGateways(), vs.Namespace) {
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
	return out
}

// eachSender visits the VirtualServices that own or send to the split's host.
func (x *index) eachSender(s split, visit func(virtualService)) {
	for _, vs := range x.virtuals {
		sends := slices.ContainsFunc(vs.Spec.GetHosts(), func(h string) bool { return ResolveHost(h, vs.Namespace, x.in.suffix()) == s.host })
		for _, r := range vs.Spec.GetHttp() {
			sends = sends || slices.ContainsFunc(r.GetRoute(), func(d *networking.HTTPRouteDestination) bool {
				return ResolveHost(d.GetDestination().GetHost(), vs.Namespace, x.in.suffix()) == s.host
			})
		}
		if sends {
			visit(vs)
		}
	}
}

// blocks reports whether a Problem forbids to start or raise the split: an error on an object that the split is made from.
func (x *index) blocks(s split, p problem.Problem) bool {
	if p.Severity != problem.Error {
		return false
	}
	if p.Object == s.meta.ref() {
		return true
	}
	origin := false
	x.eachSender(s, func(vs virtualService) { origin = origin || p.Object == vs.ref() })
	for _, dr := range x.rules {
		origin = origin || (p.Object == dr.ref() && ResolveHost(dr.Spec.GetHost(), dr.Namespace, x.in.suffix()) == s.host)
	}
	if svc, ok := x.ownService(s); ok {
		origin = origin || p.Object == strings.Join([]string{svc.Origin.Kind, svc.Origin.Namespace, svc.Origin.Name}, "/")
	}
	return origin
}
