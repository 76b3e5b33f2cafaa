package istio

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
)

// The bounds of how much one object may hold.
const (
	maxRules   = 1000 // http rules of a VirtualService
	maxMatches = 1000 // match entries of a rule
)

// virtualService is a VirtualService that decides for hosts. Read its http rules from rules, not from Spec.
type virtualService struct {
	typed[*networking.VirtualService]
	rules []httpRule
	found []problem.Problem // while it was read
}

// httpRule is one http rule of a VirtualService, with what it delegates put in its place.
type httpRule struct {
	spec  *networking.HTTPRoute
	field string // where it is written in from: spec.http[0]
	from  Meta   // the VirtualService, or its delegate: short names of hosts and gateways are of its namespace
}

// readVirtuals keeps what can have an effect: VirtualServices with hosts, with all rules of their delegates.
func (x *index) readVirtuals(all []typed[*networking.VirtualService], before *index) []virtualService {
	d := delegation{x: x, known: map[string]typed[*networking.VirtualService]{}, used: map[string]bool{}}
	for _, vs := range all {
		d.known[vs.Namespace+"/"+vs.Name] = vs
	}
	var out []virtualService
	for _, vs := range all {
		switch old := before.virtual(vs.Meta); {
		case len(vs.Spec.GetHosts()) == 0:
		case old != nil && old.Spec == vs.Spec && old.Meta.equal(vs.Meta) && alone(vs.Spec):
			x.found.add(old.found...)
			out = append(out, virtualService{vs, old.rules, old.found})
		default:
			out = append(out, x.readVirtual(d, vs))
		}
	}
	d.reportUnused(all)
	return out
}

// alone reports whether the reading of a spec depends on nothing else.
func alone(spec *networking.VirtualService) bool {
	return len(spec.GetHttp()) > 0 && len(spec.GetHttp()) <= maxRules && len(spec.GetTcp()) == 0 && len(spec.GetTls()) == 0 &&
		!slices.ContainsFunc(spec.GetHttp(), func(r *networking.HTTPRoute) bool { return r.GetDelegate() != nil })
}

func (x *index) readVirtual(d delegation, vs typed[*networking.VirtualService]) virtualService {
	spec, said := vs.Spec, len(x.found.list)
	if len(spec.GetHttp())+len(spec.GetTcp())+len(spec.GetTls()) == 0 {
		x.found.fail(vs.Meta, "S026", "spec", "it has none of http, tcp and tls", "give it rules, or remove it")
	}
	hosts := make([]string, 0, len(spec.GetHosts()))
	for i, h := range spec.GetHosts() {
		if !validHost(h) {
			x.found.fail(vs.Meta, "S002", fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("%q is no host", h),
				"write a DNS name or an address, a wildcard only in front; until then this host is left out")
			continue
		}
		hosts = append(hosts, h)
	}
	out := virtualService{typed: vs}
	if len(hosts) < len(spec.GetHosts()) || len(spec.GetTcp()) > maxRules || len(spec.GetTls()) > maxRules {
		out.Spec = &networking.VirtualService{
			Hosts: hosts, Gateways: spec.GetGateways(), Http: spec.GetHttp(), ExportTo: spec.GetExportTo(),
			Tls: bounded(x, vs.Meta, "spec.tls", spec.GetTls()), Tcp: bounded(x, vs.Meta, "spec.tcp", spec.GetTcp()),
		}
	}
	for _, r := range x.ownRules(vs) {
		x.checkMatchedGateways(vs, r)
		rules := []httpRule{r}
		if r.spec.GetDelegate() != nil {
			rules = d.expand(vs, r, maxRules-len(out.rules))
		}
		if out.rules = append(out.rules, rules...); len(out.rules) > maxRules {
			x.found.fail(vs.Meta, "S002", r.field, fmt.Sprintf("with those of delegates there are more than %d rules; those after that are left out", maxRules),
				"divide them among several VirtualServices")
			out.rules = out.rules[:maxRules]
			break
		}
	}
	out.found = slices.Clone(x.found.list[said:])
	return out
}

// ownRules are the rules as written, within the bounds.
func (x *index) ownRules(vs typed[*networking.VirtualService]) []httpRule {
	var out []httpRule
	for i, r := range bounded(x, vs.Meta, "spec.http", vs.Spec.GetHttp()) {
		out = append(out, httpRule{spec: r, field: fmt.Sprintf("spec.http[%d]", i), from: vs.Meta})
	}
	return out
}

// bounded are the rules that count.
func bounded[R any](x *index, m Meta, field string, rules []R) []R {
	if len(rules) <= maxRules {
		return rules
	}
	x.found.fail(m, "S002", field, fmt.Sprintf("there are %d rules; those after the first %d are left out", len(rules), maxRules), "divide it among several VirtualServices")
	return rules[:maxRules]
}

// validHost reports whether a proxy could tell requests by a host: a name, an address, or a leading wildcard.
func validHost(host string) bool {
	rest := strings.TrimPrefix(host, "*")
	if host == "*" {
		return true
	}
	return rest != "" && len(rest) <= 255 && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:[]", r)
	})
}

// checkMatchedGateways reports gateways in matches by which no request can come.
func (x *index) checkMatchedGateways(vs typed[*networking.VirtualService], r httpRule) {
	bound := gatewayNames(vs.Spec.GetGateways(), vs.Namespace)
	for j, m := range r.spec.GetMatch() {
		for k, name := range m.GetGateways() {
			if !slices.Contains(bound, gatewayName(name, vs.Namespace)) {
				x.found.warn(vs.Meta, "S020", fmt.Sprintf("%s.match[%d].gateways[%d]", r.field, j, k), fmt.Sprintf("no request comes by %s, since spec.gateways does not name it", name),
					"name it there, or remove it here")
			}
		}
	}
}
