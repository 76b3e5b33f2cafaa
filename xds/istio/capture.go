package istio

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// The names that stand for what no service is known of.
const (
	blackHole   = "BlackHoleCluster"
	passthrough = "PassthroughCluster"
	allowAny    = "allow_any"
	blockAll    = "block_all"
	capturePort = 15001
	anyAddress  = "0.0.0.0"
)

// captures reports whether connections are redirected to the proxy, which then knows where they were meant to go.
func (p *planner) captures() bool { return p.class.Capture == ir.CaptureRedirect }

// unknownHost answers requests for hosts that no service has.
func (p *planner) unknownHost() *ir.VirtualHost {
	all := ir.Match{Path: ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}}
	if !p.passes() {
		return &ir.VirtualHost{Name: blockAll, Domains: []string{"*"}, Routes: []ir.Route{{Name: blockAll, Match: all, Direct: &ir.Direct{Status: 502}}}}
	}
	forward := &ir.Forward{Destinations: []ir.Destination{{Cluster: passthrough, Weight: 1}}}
	return &ir.VirtualHost{Name: allowAny, Domains: []string{"*"}, Routes: []ir.Route{{Name: allowAny, Match: all, Forward: forward}}}
}

// unknownConnection is the chain for captured connections that no service is known for.
func (p *planner) unknownConnection() *ir.Chain {
	to, name := passthrough, allowAny
	if !p.passes() {
		to, name = blackHole, blockAll
	}
	return &ir.Chain{Name: name, Proxy: &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: to, Weight: 1}}}}
}

// sidecarListener is the listener for connections to an address and port.
func (p *planner) sidecarListener(address string, port int) *ir.Listener {
	if !p.captures() || p.bound(port) {
		bind, name := p.bindOf(port)
		return &ir.Listener{Name: name, Address: bind, Port: port}
	}
	return &ir.Listener{Name: address + "_" + strconv.Itoa(port), Address: address, Port: port, Capture: ir.HandedOnly}
}

// bound reports whether a Sidecar asks for a listener that clients dial, whatever the capture.
func (p *planner) bound(port int) bool {
	e := p.sidecar.listenerOf(port)
	return e != nil && (e.bind != "" || e.loopback)
}

// captureAll adds the listener that gets every connection, and what it needs.
func (p *planner) captureAll() {
	if !p.captures() {
		return
	}
	l := &ir.Listener{Name: "virtualOutbound", Address: anyAddress, Port: capturePort, Capture: ir.HandsOver, Default: p.unknownConnection()}
	// Whoever dials the proxy's own port must not be sent there again and again.
	l.Chains = []ir.Chain{{
		Name: "blackhole", Match: ir.ChainMatch{Port: capturePort}, Proxy: &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: blackHole, Weight: 1}}},
	}}
	p.out.Listeners = append(p.out.Listeners, l)
	p.out.Clusters = append(p.out.Clusters,
		&ir.Cluster{Name: blackHole, Discovery: ir.DiscoveryNothing},
		&ir.Cluster{Name: passthrough, Discovery: ir.DiscoveryOriginal, Pool: ir.Pool{ClientProtocol: true}})
}

// forwards reports whether the class can forward connections to a service at all; what nobody looks up has no address
// but the one that the client meant.
func (p *planner) forwards(s registry.Service) bool {
	if s.Resolution != registry.Original || p.captures() {
		return true
	}
	p.found.selection(Meta{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name}, "spec.resolution", "resolution NONE without redirection of connections")
	return false
}

// reach is one way on which connections get to a port of a service.
type reach struct {
	address  string
	prefixes []string // sorted; none: the listener gets only what is meant for the service
	shared   bool     // other services get theirs by the same listener
}

// reaches are the ways to a service: its addresses, else those of its instances where clients look them up, else the port.
func (p *planner) reaches(s *service, port int) []reach {
	if !p.captures() || p.bound(port) {
		return []reach{{address: anyAddress, shared: true}}
	}
	var out []reach
	block := reach{address: anyAddress, shared: true}
	for _, vip := range s.shape.VIPs {
		if a, err := netip.ParseAddr(vip); err == nil {
			out = append(out, reach{address: a.String()})
		} else if prefix, ok := addressBlock(vip); ok {
			block.prefixes = append(block.prefixes, prefix)
		}
	}
	if headless(*s.shape) {
		for _, address := range p.instances(s.shape.Host) {
			out = append(out, reach{address: address})
		}
		return out
	}
	slices.Sort(block.prefixes)
	if len(out) == 0 || len(block.prefixes) > 0 {
		out = append(out, block)
	}
	return out
}

// podsDialled reports whether clients have chosen a pod themselves when their connection arrives.
func (p *planner) podsDialled(s registry.Service, port registry.Port) bool {
	return p.class.Kind == ir.KindSidecar && p.captures() && headless(s) && !p.http(s, port)
}

// original reports whether connections go where the client meant them to go: because nobody looks the service up, or
// because its load balancer is told to keep out.
func (t *translator) original(s registry.Service, layers []layer) bool {
	if t.class.Kind == ir.KindGRPC {
		return false
	}
	for _, l := range layers {
		if lb := l.policy.GetLoadBalancer(); lb != nil {
			if lb.GetSimple() == networking.LoadBalancerSettings_PASSTHROUGH {
				return true
			}
			break
		}
	}
	return s.Resolution == registry.Original
}

// instances are the addresses of a service's ready endpoints.
func (p *planner) instances(host string) []string {
	return made(p, key{kind: instancesUnit, name: host}, []any{host}, func(t *translator) []string {
		var out []string
		for _, e := range t.endpoints(host) {
			if a, err := netip.ParseAddr(e.Address); err == nil && e.Ready {
				out = append(out, a.String())
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	})
}

// headless reports whether clients of a Kubernetes service look up the addresses of its pods.
func headless(s registry.Service) bool {
	return s.Origin.Kind == "Service" && len(s.VIPs) == 0 && s.Resolution == registry.Static
}

// connectionListeners adds what forwards connections to the ports on which no requests are told apart. Listeners that
// route requests hold their ports.
func (p *planner) connectionListeners() {
	set := &forwarders{planner: p, by: map[string]*forwarder{}}
	for _, l := range p.out.Listeners {
		set.by[l.Name] = &forwarder{listener: l, requests: true}
	}
	for _, s := range p.inOrder() {
		for _, port := range s.shape.Ports {
			if p.http(*s.shape, port) || !p.sidecar.listens(s.shape, port.Number) || !p.forwards(*s.shape) {
				continue
			}
			for _, r := range p.reaches(s, port.Number) {
				set.add(s, port, r)
			}
		}
	}
	for _, name := range sortedKeys(set.by) {
		if f := set.by[name]; len(f.chains.chains) > 0 {
			p.out.Listeners = append(p.out.Listeners, f.finished())
		}
	}
}

// inOrder are the services in the order in which they hold ports: by creation, then by host.
func (p *planner) inOrder() []*service {
	out := slices.Clone(p.visible)
	slices.SortStableFunc(out, func(a, b *service) int {
		return cmp.Or(registry.CompareCreated(a.shape.Origin.Created, b.shape.Origin.Created), cmp.Compare(a.shape.Host, b.shape.Host))
	})
	return out
}

// forwarders are the listeners of a class as they come together.
type forwarders struct {
	*planner
	by map[string]*forwarder // by the listener's name
}

type forwarder struct {
	listener *ir.Listener
	requests bool // it routes requests, and forwards nothing
	chains   chainSet
	unknown  *ir.Chain
}

func (f *forwarder) finished() *ir.Listener {
	l := f.listener
	l.Chains = f.chains.chains
	if !slices.ContainsFunc(l.Chains, func(c ir.Chain) bool { return len(conditions(c)) == 1 && conditions(c)[0] == condition{} }) {
		l.Default = f.unknown
	}
	return l
}

// add adds the chains of a service's port to the listener of an address. Who comes too late is not served, but told
// what is wrong with its rules all the same.
func (fs *forwarders) add(s *service, port registry.Port, r reach) {
	l := fs.sidecarListener(r.address, port.Number)
	f := fs.by[l.Name]
	if f == nil {
		f = &forwarder{listener: l}
		if l.Capture == ir.HandedOnly {
			f.unknown = fs.unknownConnection()
		}
		fs.by[l.Name] = f
	}
	owner := Meta{Kind: s.shape.Origin.Kind, Namespace: s.shape.Origin.Namespace, Name: s.shape.Origin.Name}
	at := site{place: place{port: port.Number, gateways: map[string]bool{mesh: true}}, listener: l.Name, prefixes: r.prefixes}
	if r.shared {
		at.names = []string{s.shape.Host}
	}
	others, taken := f.holder(at, port)
	if fs.captures() && r.address == anyAddress && port.Number == capturePort {
		others, taken = "the proxy's own", true
	}
	if taken {
		fs.portTaken(owner, s.shape.Host, port.Number, others)
		at.listener = ""
	}
	for _, c := range fs.serviceChains(s, port, at) {
		if !taken {
			fs.join(f, c, owner, s.shape.Host)
			f.listener.Origins = append(f.listener.Origins, c.Origins...)
		}
	}
}

// holder says who already gets all connections that a port could have; false: nobody does.
func (f *forwarder) holder(at site, port registry.Port) (string, bool) {
	if f.requests {
		return "HTTP requests", true
	}
	others, taken := "", port.Protocol != registry.TLS
	for _, prefix := range orAny(at.prefixes) {
		first, held := f.chains.by[condition{prefix: prefix}]
		others, taken = "those of "+first.selects+", which came first", taken && held
	}
	return others, taken
}

// join adds a chain to a listener and reports what it loses to the services before it. A rule for hosts of several
// services loses nothing to itself.
func (fs *forwarders) join(f *forwarder, c ir.Chain, owner Meta, host string) {
	o := c.Origins[0]
	by := claim{at: Meta{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, field: o.Field, selects: host}
	for _, at := range f.chains.add(c, by) {
		first := f.chains.by[at]
		if first.selects == host || (o.Kind == kindVirtualService && first.at.ref() == by.at.ref() && first.field == by.field) {
			continue
		}
		fs.portTaken(owner, host, f.listener.Port, "those of "+first.selects+", which came first")
	}
}

func (p *planner) portTaken(owner Meta, host string, port int, others string) {
	p.found.warn(owner, "S030", "spec.ports", fmt.Sprintf("connections to port %d of %s cannot be told from %s", port, host, others),
		"give the services addresses and redirect connections to the proxy, or use another port")
}

// serviceChains are the chains for connections to a port of a service.
func (p *planner) serviceChains(s *service, port registry.Port, at site) []ir.Chain {
	host, rules := s.shape.Host, p.connectionRules(s.shape.Host, port)
	inputs := []any{port, strings.Join(at.prefixes, " "), len(at.names) > 0}
	for _, vs := range rules {
		inputs = append(inputs, vs)
	}
	k := key{kind: chainsUnit, table: at.listener, name: host}
	if k.table == "" {
		k.name += " " + strconv.Itoa(port.Number)
	}
	return made(p, k, inputs, func(t *translator) []ir.Chain {
		return t.serviceChains(host, port, at, rules)
	})
}

// connectionRules are the VirtualServices whose tcp or tls rules decide for a port, those for the very host first.
func (p *planner) connectionRules(host string, port registry.Port) []*virtual {
	var out []*virtual
	best := map[*virtual]string{}
	for _, vs := range p.virtuals {
		rules := len(vs.Spec.GetTcp())
		if port.Protocol == registry.TLS {
			rules = len(vs.Spec.GetTls())
		}
		if rules == 0 || !p.routedBy(vs) {
			continue
		}
		for _, h := range vs.hosts {
			if h != "*" && covers(h, host) && (best[vs] == "" || compareSpecific(h, best[vs]) < 0) {
				best[vs] = h
			}
		}
		if best[vs] != "" {
			out = append(out, vs)
		}
	}
	slices.SortStableFunc(out, func(a, b *virtual) int { return compareSpecific(best[a], best[b]) })
	return out
}

func (t *translator) serviceChains(host string, port registry.Port, at site, rules []*virtual) []ir.Chain {
	s, _ := t.service(host)
	bare := t.shown(ruleSite{listener: at.listener}, []destination{{host: host, port: port.Number, weight: 1}})
	own := ir.Chain{
		Name: defaultRoute, Match: ir.ChainMatch{Prefixes: at.prefixes}, Proxy: t.proxyTo(bare, false),
		Origins: []ir.Origin{{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name, Field: "spec", UID: s.Origin.UID}},
	}
	if port.Protocol != registry.TLS {
		chains, complete := t.tcpChains(rules, at)
		if !complete {
			chains = append(chains, own)
		}
		return chains
	}
	if chains := t.tlsChains(rules, at); len(chains) > 0 {
		return chains
	}
	if len(at.names) > 0 {
		own.Match.ServerNames, own.Match.Transport = t.domainsOf(host, nil), ir.TLSTransport
		slices.Sort(own.Match.ServerNames)
	}
	return []ir.Chain{own}
}
