package istio

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Survey answers Facts about many splits of one input. What Facts reads whole for each split, a Survey reads once: a
// question costs as much as the split's own neighbourhood is large. It is never changed, so anybody may ask.
type Survey struct {
	in        Input
	gateways  []gateway
	virtuals  []surveyed
	senders   map[string][]int    // of virtuals, by the hosts they own or send to
	routed    map[string][]int    // of virtuals that decide inside the mesh, by their hosts
	wild      []int               // of virtuals that decide inside the mesh for a wildcard
	rules     map[string][]Object // by host; those with a wildcard under "*"
	entries   map[string][]int    // of in.Objects, by domain
	workloads map[string][]Object
	services  map[string][]int // of in.Registry.Services, by domain
	splits    map[string][]ir.Split
	sidecars  []Object
}

// surveyed is a VirtualService with the names in it resolved.
type surveyed struct {
	object   Object
	gateways []string
	hosts    []string // that it decides for
	sends    []string // hosts that it, or a delegate of it, sends or mirrors to
	follows  []Object // its delegates
}

// NewSurvey reads in, which must not be changed any more.
func NewSurvey(in Input) *Survey {
	v := &Survey{
		in: in, senders: map[string][]int{}, routed: map[string][]int{}, rules: map[string][]Object{}, entries: map[string][]int{},
		workloads: map[string][]Object{}, services: map[string][]int{}, splits: map[string][]ir.Split{},
	}
	delegates := delegatesOf(in.Objects)
	for i, o := range in.Objects {
		switch spec := o.Spec.(type) {
		case *networking.Gateway:
			v.gateways = append(v.gateways, gateway{o.Meta, spec})
		case *networking.VirtualService:
			v.addVirtual(o, spec, delegates)
		case *networking.DestinationRule:
			v.addRule(o, spec)
		case *networking.ServiceEntry:
			v.addEntry(i, spec)
		case *networking.Sidecar:
			v.sidecars = append(v.sidecars, o)
		case *networking.WorkloadEntry:
			v.workloads[o.Namespace] = append(v.workloads[o.Namespace], o)
		}
	}
	for i, s := range in.Registry.Services {
		for _, d := range domains(s.Host, s.VIPs, in.suffix()) {
			v.services[d] = append(v.services[d], i)
		}
	}
	for _, s := range in.Splits {
		host := v.hostOf(s)
		v.splits[host] = append(v.splits[host], s)
	}
	return v
}

// domains are the names that stand for a host whoever asks, its addresses among them.
func domains(host string, vips []string, suffix string) []string {
	out := append([]string{host}, vips...)
	if name, ok := strings.CutSuffix(host, ".svc."+suffix); ok {
		out = append(out, name, name+".svc")
	}
	return out
}

func (v *Survey) hostOf(s ir.Split) string {
	namespace, _, _ := strings.Cut(s.Key, "/")
	return ResolveHost(s.Host, namespace, v.in.suffix())
}

// delegatesOf are the VirtualServices without hosts, by namespace/name.
func delegatesOf(objects []Object) map[string]Object {
	out := map[string]Object{}
	for _, o := range objects {
		if spec, ok := o.Spec.(*networking.VirtualService); ok && len(spec.GetHosts()) == 0 {
			out[o.Namespace+"/"+o.Name] = o
		}
	}
	return out
}

func (v *Survey) addVirtual(o Object, spec *networking.VirtualService, delegates map[string]Object) {
	at := len(v.virtuals)
	vs := surveyed{object: o, gateways: gatewayNames(spec.GetGateways(), o.Namespace)}
	for _, h := range spec.GetHosts() {
		vs.hosts = append(vs.hosts, ResolveHost(h, o.Namespace, v.in.suffix()))
	}
	vs.addSends(o, spec, v.in.suffix())
	for _, r := range spec.GetHttp() {
		to := r.GetDelegate()
		delegate, known := delegates[cmp.Or(to.GetNamespace(), o.Namespace)+"/"+to.GetName()]
		if spec, ok := delegate.Spec.(*networking.VirtualService); ok && known {
			vs.follows = append(vs.follows, delegate)
			vs.addSends(delegate, spec, v.in.suffix())
		}
	}
	slices.Sort(vs.sends)
	vs.sends = slices.Compact(vs.sends)
	v.virtuals = append(v.virtuals, vs)
	for _, h := range slices.Concat(vs.hosts, vs.sends) {
		v.senders[h] = append(v.senders[h], at)
	}
	if !slices.Contains(vs.gateways, mesh) {
		return
	}
	for _, h := range vs.hosts {
		v.routed[h] = append(v.routed[h], at)
		if strings.HasPrefix(h, "*") {
			v.wild = append(v.wild, at)
		}
	}
}

func (vs *surveyed) addSends(o Object, spec *networking.VirtualService, suffix string) {
	for _, r := range spec.GetHttp() {
		for _, d := range targets(r) {
			vs.sends = append(vs.sends, ResolveHost(d.GetHost(), o.Namespace, suffix))
		}
	}
	for _, d := range connected(spec) {
		vs.sends = append(vs.sends, ResolveHost(d.GetHost(), o.Namespace, suffix))
	}
}

func (v *Survey) addRule(o Object, spec *networking.DestinationRule) {
	host := ResolveHost(spec.GetHost(), o.Namespace, v.in.suffix())
	if strings.HasPrefix(host, "*") {
		host = "*"
	}
	v.rules[host] = append(v.rules[host], o)
}

func (v *Survey) addEntry(at int, spec *networking.ServiceEntry) {
	for _, h := range v.entryHosts(at) {
		for _, d := range domains(h, spec.GetAddresses(), v.in.suffix()) {
			v.entries[d] = append(v.entries[d], at)
		}
	}
}

// Facts is Facts of the input.
func (v *Survey) Facts(s ir.Split) ir.SplitFacts {
	facts, _ := v.Rehearse(s)
	return facts
}

// Rehearse gives Facts, counting Problems of the classes given, too, and what would be rendered if the split were half way.
func (v *Survey) Rehearse(s ir.Split, classes ...ir.ProxyClass) (ir.SplitFacts, []Rehearsal) {
	return rehearse(v.around(s, classes), s, classes)
}

// around is the part of the input that the facts about a split depend on: the objects it is made from, what they name,
// and what could take a name away from them.
func (v *Survey) around(s ir.Split, classes []ir.ProxyClass) Input {
	host := v.hostOf(s)
	near := &neighbourhood{survey: v, virtuals: map[int]bool{}, hosts: map[string]bool{host: true}, services: map[int]bool{}, entries: map[int]bool{}}
	near.makers(host)
	near.meet()
	near.rivals()
	near.addVirtuals()
	near.addHosts()
	namespace, _, _ := strings.Cut(s.Key, "/")
	for _, o := range v.sidecars {
		if o.Namespace == namespace || o.Namespace == v.in.rootNamespace() ||
			slices.ContainsFunc(classes, func(c ir.ProxyClass) bool { return c.Namespace == o.Namespace }) {
			near.out.Objects = append(near.out.Objects, o)
		}
	}
	return near.out
}

// neighbourhood is a part of an input as it is gathered.
type neighbourhood struct {
	survey   *Survey
	virtuals map[int]bool
	hosts    map[string]bool // that matter
	selects  []map[string]string
	services map[int]bool
	entries  map[int]bool
	out      Input
}

// makers are the VirtualServices that own or send to the host, and all that they name.
func (n *neighbourhood) makers(host string) {
	v := n.survey
	for _, i := range v.senders[host] {
		if n.virtuals[i] {
			continue
		}
		n.virtuals[i] = true
		for _, h := range slices.Concat(v.virtuals[i].hosts, v.virtuals[i].sends) {
			n.hosts[h] = true
			n.covered(h)
		}
	}
	for i := range n.virtuals {
		for _, g := range v.gateways {
			if slices.Contains(v.virtuals[i].gateways, g.Namespace+"/"+g.Name) {
				n.selects = append(n.selects, g.Spec.GetSelector())
			}
		}
	}
}

// covered adds the hosts of services that a wildcard stands for.
func (n *neighbourhood) covered(wildcard string) {
	if !strings.HasPrefix(wildcard, "*") || wildcard == "*" {
		return
	}
	for _, byDomain := range []map[string][]int{n.survey.services, n.survey.entries} {
		for host := range byDomain {
			if covers(wildcard, host) {
				n.hosts[host] = true
			}
		}
	}
}

// rivals are VirtualServices that could decide for the same names, or by which a port is taken as HTTP.
func (n *neighbourhood) rivals() {
	v := n.survey
	found := slices.Clone(v.wild)
	for h := range n.hosts {
		for _, d := range n.domainsOf(h) {
			found = append(found, v.routed[d]...)
		}
		if n.tcp(h) {
			found = append(found, v.senders[h]...)
		}
	}
	for _, i := range found {
		n.virtuals[i] = true
	}
}

// tcp reports whether a port of the host is TCP by its name.
func (n *neighbourhood) tcp(host string) bool {
	v := n.survey
	for _, i := range v.services[host] {
		if slices.ContainsFunc(v.in.Registry.Services[i].Ports, func(p registry.Port) bool { return p.Protocol == registry.TCP }) {
			return true
		}
	}
	for _, i := range v.entries[host] {
		se, ok := v.in.Objects[i].Spec.(*networking.ServiceEntry)
		if ok && slices.ContainsFunc(se.GetPorts(), func(p *networking.ServicePort) bool { return registry.ParseProtocol(p.GetProtocol()) == registry.TCP }) {
			return true
		}
	}
	return false
}

// domainsOf are the names of a host, with the addresses of its services.
func (n *neighbourhood) domainsOf(host string) []string {
	v := n.survey
	var vips []string
	for _, i := range v.services[host] {
		vips = append(vips, v.in.Registry.Services[i].VIPs...)
	}
	for _, i := range v.entries[host] {
		if se, ok := v.in.Objects[i].Spec.(*networking.ServiceEntry); ok {
			vips = append(vips, se.GetAddresses()...)
		}
	}
	return domains(host, vips, v.in.suffix())
}

// addVirtuals puts in what was found of VirtualServices, with all Gateways that the same proxies may serve.
func (n *neighbourhood) addVirtuals() {
	v := n.survey
	n.out = Input{DomainSuffix: v.in.DomainSuffix, RootNamespace: v.in.RootNamespace, Objects: slices.Clone(v.rules["*"])}
	delegates := map[string]Object{}
	for i := range n.virtuals {
		n.out.Objects = append(n.out.Objects, v.virtuals[i].object)
		for _, o := range v.virtuals[i].follows {
			delegates[o.ref()] = o
		}
	}
	n.out.Objects = slices.AppendSeq(n.out.Objects, maps.Values(delegates))
	for _, g := range v.gateways {
		if slices.ContainsFunc(n.selects, func(labels map[string]string) bool { return contains(labels, g.Spec.GetSelector()) }) {
			n.out.Objects = append(n.out.Objects, Object{Meta: g.Meta, Spec: g.Spec})
		}
	}
}

// meet adds the services that share a name with those that matter, and those that share one with them.
func (n *neighbourhood) meet() {
	v := n.survey
	queue := slices.Collect(maps.Keys(n.hosts))
	add := func(host string) {
		if !n.hosts[host] {
			n.hosts[host] = true
			queue = append(queue, host)
		}
	}
	for len(queue) > 0 {
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, d := range n.domainsOf(h) {
			for _, i := range v.services[d] {
				n.services[i] = true
				add(v.in.Registry.Services[i].Host)
			}
			for _, i := range v.entries[d] {
				n.entries[i] = true
				for _, host := range v.entryHosts(i) {
					add(host)
				}
			}
		}
	}
}

// entryHosts are the hosts of the ServiceEntry in.Objects[i].
func (v *Survey) entryHosts(i int) []string {
	var out []string
	if se, ok := v.in.Objects[i].Spec.(*networking.ServiceEntry); ok {
		for _, h := range se.GetHosts() {
			out = append(out, ResolveHost(h, v.in.Objects[i].Namespace, v.in.suffix()))
		}
	}
	return out
}

// addHosts puts in the hosts that matter: their services, rules and splits.
func (n *neighbourhood) addHosts() {
	v := n.survey
	for h := range n.hosts {
		if h != "*" { // those are all there already
			n.out.Objects = append(n.out.Objects, v.rules[h]...)
		}
		n.out.Splits = append(n.out.Splits, v.splits[h]...)
	}
	for i := range n.services {
		n.out.Registry.Services = append(n.out.Registry.Services, v.in.Registry.Services[i])
	}
	namespaces := map[string]bool{}
	for i := range n.entries {
		n.out.Objects = append(n.out.Objects, v.in.Objects[i])
		namespaces[v.in.Objects[i].Namespace] = true
	}
	for i := range n.services {
		namespaces[v.in.Registry.Services[i].Namespace] = len(v.in.Registry.Services[i].Selector) > 0 || namespaces[v.in.Registry.Services[i].Namespace]
	}
	n.addWorkloads(namespaces)
}

// addWorkloads puts in what the services of some namespaces may select.
func (n *neighbourhood) addWorkloads(namespaces map[string]bool) {
	for namespace, selects := range namespaces {
		if selects {
			n.out.Objects = append(n.out.Objects, n.survey.workloads[namespace]...)
		}
	}
	for _, w := range n.survey.in.Registry.Workloads {
		if namespaces[w.Namespace] {
			n.out.Registry.Workloads = append(n.out.Registry.Workloads, w)
		}
	}
}
