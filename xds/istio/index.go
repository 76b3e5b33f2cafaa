package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// typed is an object whose kind is known.
type typed[S proto.Message] struct {
	Meta
	Spec S
}

type (
	gateway         = typed[*networking.Gateway]
	destinationRule = typed[*networking.DestinationRule]
	serviceEntry    = typed[*networking.ServiceEntry]
	workloadEntry   = typed[*networking.WorkloadEntry]
)

// index is the input, sorted and joined; it does not depend on a class.
type index struct {
	hostIndex
	in       Input
	found    *findings
	gateways []gateway
	virtuals []*virtual
	named    map[string]*virtual // by namespace/name
	rules    []*destinationRule
	sidecars []*sidecar
	services []*service // by host and namespace
	backing  workloads
	splits   []*split
	moved    []move // facts that have changed since
}

// hostIndex finds what stands in the input for a host.
type hostIndex struct {
	divided map[string]*split // splits that render, by host
	// previews are those of which another host shows an arm, by that host.
	previews map[string]*split
	written  map[string][]*writtenRule // by the host they send to
	byHost   map[string]hostRules      // DestinationRules by the namespace they stand in
	// VirtualServices for clients inside the mesh, by exact host; those with a wildcard under "*".
	meshHosts map[string][]meshHost
	secrets   map[string]*Secret // by namespace/name
	assumed   map[string]bool    // cluster name of a bare host and port: TCP by name, but an http rule sends there
}

// newIndex reads an input. What is as in an index before is shared with it.
func newIndex(in Input, before *index) *index {
	x := &index{in: in, found: &findings{}, hostIndex: hostIndex{assumed: map[string]bool{}, secrets: map[string]*Secret{}}, named: map[string]*virtual{}}
	for _, o := range in.Objects {
		x.found.add(o.Problems...)
	}
	for _, s := range in.Secrets {
		x.secrets[s.Namespace+"/"+s.Name] = s
	}
	x.gateways = pick[*networking.Gateway](in.Objects)
	x.addVirtuals(x.readVirtuals(pick[*networking.VirtualService](in.Objects), before), before)
	for _, dr := range pick[*networking.DestinationRule](in.Objects) {
		x.rules = append(x.rules, &dr)
	}
	x.readSidecars(pick[*networking.Sidecar](in.Objects))
	x.backing = newWorkloads(pick[*networking.WorkloadEntry](in.Objects), in.Registry.Workloads)
	entries := x.readServiceEntries(pick[*networking.ServiceEntry](in.Objects), x.backing)
	x.reportIgnored()
	merged, conflicts := registry.Merge(x.withAllEntries(in.Registry), entries)
	for _, s := range merged.Services {
		x.services = append(x.services, newService(s))
	}
	for _, c := range conflicts {
		x.found.warn(Meta{Kind: c.Dropped.Kind, Namespace: c.Dropped.Namespace, Name: c.Dropped.Name}, "S050", "spec.hosts",
			fmt.Sprintf("host %s is already defined by %s/%s/%s", c.Host, c.Kept.Kind, c.Kept.Namespace, c.Kept.Name),
			"remove one of the two definitions")
	}
	x.share(before)
	x.readHosts()
	x.readWritten()
	x.checkGatewayRefs()
	x.assumeHTTP()
	x.checkConnectionRules()
	x.readSplits()
	x.shareSplits(before)
	x.checkSplits()
	return x
}

// virtual is a VirtualService with the names in it resolved.
type virtual struct {
	virtualService
	gateways []string // namespace/name, or mesh
	hosts    []string // as written in order, in their full form
	place    int      // among all VirtualServices
	written  []*writtenRule
}

func (x *index) addVirtuals(in []virtualService, before *index) {
	for i, vs := range in {
		v := before.virtual(vs.Meta)
		if v != nil && v.Spec == vs.Spec && sameSlice(v.rules, vs.rules) && v.Meta.equal(vs.Meta) {
			v.place = i
		} else {
			v = x.resolved(vs, i)
		}
		x.virtuals = append(x.virtuals, v)
		if name := vs.Namespace + "/" + vs.Name; x.named[name] == nil {
			x.named[name] = v
		}
	}
}

func (x *index) resolved(vs virtualService, place int) *virtual {
	v := &virtual{virtualService: vs, place: place, gateways: gatewayNames(vs.Spec.GetGateways(), vs.Namespace)}
	for _, h := range vs.Spec.GetHosts() {
		v.hosts = append(v.hosts, ResolveHost(h, vs.Namespace, x.in.suffix()))
	}
	return v
}

// virtual is the VirtualService of a name; nil: there is none, or no index.
func (x *index) virtual(m Meta) *virtual {
	if x == nil {
		return nil
	}
	return x.named[m.Namespace+"/"+m.Name]
}

// pick returns the objects of one kind in the order that counts: annotation, creation time, name, namespace.
func pick[S proto.Message](objects []Object) []typed[S] {
	type ranked struct {
		order int
		meta  *Meta
		spec  S
	}
	var in []ranked
	for i := range objects {
		if spec, ok := objects[i].Spec.(S); ok {
			in = append(in, ranked{order(objects[i].Meta), &objects[i].Meta, spec})
		}
	}
	slices.SortStableFunc(in, func(a, b ranked) int {
		if c := cmp.Compare(a.order, b.order); c != 0 {
			return c
		}
		if c := registry.CompareCreated(a.meta.Created, b.meta.Created); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.meta.Name, b.meta.Name), cmp.Compare(a.meta.Namespace, b.meta.Namespace))
	})
	out := make([]typed[S], 0, len(in))
	for _, r := range in {
		out = append(out, typed[S]{*r.meta, r.spec})
	}
	return out
}

func order(m Meta) int {
	text := m.Annotations[orderAnnotation]
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// byName reports that the order of a and b is only that of their names, where it makes a difference.
func (f *findings) byName(a, b Meta) {
	if !a.Created.IsZero() || !b.Created.IsZero() || order(a) != order(b) {
		return
	}
	for _, m := range []Meta{a, b} {
		f.info(m, "S029", "metadata", fmt.Sprintf("the order of %s and %s is by name, since neither has a creation time", a.Name, b.Name),
			"set the annotation sluice.dev/order to make the order plain")
	}
}

// assumeHTTP marks ports of which nobody says what is spoken there, where an http rule sends to them, and says so.
func (x *index) assumeHTTP() {
	for _, s := range x.services {
		if !slices.ContainsFunc(s.shape.Ports, func(p registry.Port) bool { return p.Protocol == registry.TCP }) {
			continue
		}
		for _, w := range x.written[s.shape.Host] {
			for j, r := range w.rule.spec.GetRoute() {
				if w.destinations[j].host == s.shape.Host {
					x.assumePort(w.rule.from, fmt.Sprintf("%s.route[%d].destination", w.rule.field, j), *s.shape, int(r.GetDestination().GetPort().GetNumber()))
				}
			}
		}
	}
}

func (x *index) assumePort(from Meta, field string, s registry.Service, number int) {
	if number == 0 && len(s.Ports) == 1 {
		number = s.Ports[0].Number
	}
	p, ok := s.Port(number)
	if !ok || p.Protocol != registry.TCP || p.Raw {
		return
	}
	x.assumed[ir.ClusterName(number, "", s.Host)] = true
	x.found.info(from, "S053", field, fmt.Sprintf("port %d of %s is taken as HTTP because an http rule sends to it", number, s.Host),
		"name the port http-"+strings.ToLower(p.Name)+" or set appProtocol")
}

// http reports whether requests to a port can be routed one by one.
func (x *index) http(s registry.Service, p registry.Port) bool {
	return p.Protocol.HTTP() || x.assumed[ir.ClusterName(p.Number, "", s.Host)]
}

// gatewayNames are the gateways a VirtualService is bound to, as namespace/name, and "mesh".
func gatewayNames(names []string, namespace string) []string {
	if len(names) == 0 {
		return []string{mesh}
	}
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, gatewayName(n, namespace))
	}
	return out
}

const mesh = "mesh"

func gatewayName(name, namespace string) string {
	switch {
	case name == mesh:
		return mesh
	case strings.HasPrefix(name, "./"):
		return namespace + "/" + name[2:]
	case strings.Contains(name, "/"):
		return name
	case strings.Contains(name, "."):
		parts := strings.SplitN(name, ".", 3)
		return parts[1] + "/" + parts[0]
	default:
		return namespace + "/" + name
	}
}

func (x *index) checkGatewayRefs() {
	known := map[string]bool{mesh: true}
	for _, g := range x.gateways {
		known[g.Namespace+"/"+g.Name] = true
	}
	for _, vs := range x.virtuals {
		for i, name := range vs.gateways {
			if !known[name] {
				x.found.fail(vs.Meta, "S012", fmt.Sprintf("spec.gateways[%d]", i), fmt.Sprintf("there is no Gateway %s", name),
					"create it, or correct the name (NAMESPACE/NAME)")
			}
		}
	}
}

// servicesOf are the services with a host, in the order of their namespaces.
func (x *index) servicesOf(host string) []*service {
	from, ok := slices.BinarySearchFunc(x.services, host, func(s *service, host string) int { return cmp.Compare(s.shape.Host, host) })
	if !ok {
		return nil
	}
	to := from
	for to < len(x.services) && x.services[to].shape.Host == host {
		to++
	}
	return x.services[from:to]
}

// hostRules are the DestinationRules of one namespace.
type hostRules struct {
	exact map[string][]*destinationRule
	wild  []string // hosts with a wildcard, most specific first
}

// meshHost is a host that a VirtualService decides for inside the mesh.
type meshHost struct {
	host string
	vs   *virtual
}

// readHosts resolves the hosts of DestinationRules and of VirtualServices for the mesh.
func (x *index) readHosts() {
	x.byHost = map[string]hostRules{}
	for _, dr := range x.rules {
		in, ok := x.byHost[dr.Namespace]
		if !ok {
			in.exact = map[string][]*destinationRule{}
		}
		h := ResolveHost(dr.Spec.GetHost(), dr.Namespace, x.in.suffix())
		if strings.HasPrefix(h, "*") && len(in.exact[h]) == 0 {
			in.wild = append(in.wild, h)
			slices.SortFunc(in.wild, compareSpecific)
		}
		in.exact[h] = append(in.exact[h], dr)
		x.byHost[dr.Namespace] = in
	}
	x.meshHosts = map[string][]meshHost{}
	for _, vs := range x.virtuals {
		if !slices.Contains(vs.gateways, mesh) || len(vs.rules) == 0 {
			continue
		}
		for _, h := range vs.hosts {
			key := h
			if strings.HasPrefix(h, "*") {
				key = "*"
			}
			if h != "*" {
				x.meshHosts[key] = append(x.meshHosts[key], meshHost{h, vs})
			}
		}
	}
}
