package istio

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// sidecar is a Sidecar as read: what the proxies it holds for may see, and where they listen.
type sidecar struct {
	typed[*networking.Sidecar]
	egress []*egress // none: everything is seen
}

// egress is what may be reached through one listener, or through those of all ports that no other names.
type egress struct {
	port     int               // 0: every port that no other egress of the Sidecar names
	protocol registry.Protocol // on the port
	bind     string            // empty: as the capture says
	loopback bool              // it is bound whatever the capture
	hosts    []imported
}

// imported are the hosts of a namespace that may be seen.
type imported struct {
	namespace string // "*": any
	host      string // a pattern
}

// readSidecars reads what each Sidecar says, and reports what has no effect.
func (x *index) readSidecars(all []typed[*networking.Sidecar]) {
	for _, s := range all {
		one := &sidecar{typed: s}
		for i, e := range s.Spec.GetEgress() {
			if read := x.readEgress(one, fmt.Sprintf("spec.egress[%d]", i), e); read != nil {
				one.egress = append(one.egress, read)
			}
		}
		if len(s.Spec.GetIngress()) > 0 {
			x.found.selection(s.Meta, "spec.ingress", "ingress (only outbound traffic is routed)")
		}
		if s.Spec.GetInboundConnectionPool() != nil {
			x.found.policy(s.Meta, "spec.inboundConnectionPool", "inboundConnectionPool (only outbound traffic is routed)")
		}
		if s.Spec.GetOutboundTrafficPolicy().GetEgressProxy() != nil {
			x.found.policy(s.Meta, "spec.outboundTrafficPolicy.egressProxy", "egressProxy")
		}
		x.sidecars = append(x.sidecars, one)
	}
}

// readEgress reads one listener; nil: it is left out.
func (x *index) readEgress(s *sidecar, at string, in *networking.IstioEgressListener) *egress {
	out := &egress{port: int(in.GetPort().GetNumber()), protocol: registry.ParseProtocol(in.GetPort().GetProtocol()), bind: in.GetBind(), loopback: in.GetCaptureMode() == networking.CaptureMode_NONE}
	if !x.checkEgress(s, at, in, out) {
		return nil
	}
	for i, h := range in.GetHosts() {
		namespace, host, ok := strings.Cut(strings.ToLower(h), "/")
		if !ok || namespace == "" || !validHost(host) {
			x.found.fail(s.Meta, "S002", fmt.Sprintf("%s.hosts[%d]", at, i), fmt.Sprintf("%q is not NAMESPACE/HOST", h),
				"write ./HOST, */HOST or NAMESPACE/HOST, the host a full name or a wildcard; until then it is left out")
			continue
		}
		switch namespace {
		case "~":
			continue
		case ".":
			namespace = s.Namespace
		}
		out.hosts = append(out.hosts, imported{namespace, host})
	}
	return out
}

// checkEgress reports what is not built, or contradicts itself; false: the listener is left out.
func (x *index) checkEgress(s *sidecar, at string, in *networking.IstioEgressListener, out *egress) bool {
	const until = "until then this listener is left out"
	switch {
	case strings.HasPrefix(out.bind, "unix:"):
		x.found.selection(s.Meta, at+".bind", "a listener on a Unix socket")
	case strings.EqualFold(in.GetPort().GetProtocol(), "HTTP_PROXY"):
		x.found.selection(s.Meta, at+".port.protocol", "a listener of protocol HTTP_PROXY")
	case out.port > maxPort || (in.GetPort() != nil && out.port == 0):
		x.found.fail(s.Meta, "S002", at+".port.number", fmt.Sprintf("%d is no port", out.port), "give a number from 1 to 65535; "+until)
	case out.port == 0 && (out.bind != "" || in.GetCaptureMode() != networking.CaptureMode_DEFAULT):
		x.found.fail(s.Meta, "S026", at, "bind or captureMode stands without a port", "give the port, or leave them out; "+until)
	case out.bind != "" && !address(out.bind):
		x.found.fail(s.Meta, "S002", at+".bind", fmt.Sprintf("%q is no address", out.bind), "give an IP address; "+until)
	case slices.ContainsFunc(s.egress, func(e *egress) bool { return e.port == out.port }):
		x.found.fail(s.Meta, "S030", at+".port", "another egress of this Sidecar has the same port, or both have none", "put their hosts into one; "+until)
	default:
		return true
	}
	return false
}

func address(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// sidecarOf is the Sidecar in force for a class; nil: none is, and everything is seen. Of several that could be the first in
// order counts.
func (x *index) sidecarOf(found *findings, class ir.ProxyClass, labels map[string]string) *sidecar {
	if class.Kind == ir.KindGateway {
		return nil
	}
	steps := []func(*sidecar) bool{
		func(s *sidecar) bool {
			selector := s.Spec.GetWorkloadSelector()
			return s.Namespace == class.Namespace && selector != nil && contains(labels, selector.GetLabels())
		},
		func(s *sidecar) bool { return s.Namespace == class.Namespace && s.Spec.GetWorkloadSelector() == nil },
		func(s *sidecar) bool {
			return s.Namespace == x.in.rootNamespace() && s.Spec.GetWorkloadSelector() == nil
		},
	}
	for _, holds := range steps {
		var first *sidecar
		for _, s := range x.sidecars {
			switch {
			case !holds(s):
			case first == nil:
				first = s
			default:
				found.warn(s.Meta, "S045", "spec", fmt.Sprintf("%s already holds for the same proxies", first.ref()), "join them, or let them select different proxies")
				found.byName(first.Meta, s.Meta)
			}
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// sees reports whether a service is imported by any egress.
func (s *sidecar) sees(svc *registry.Service) bool {
	return s.all() || slices.ContainsFunc(s.egress, func(e *egress) bool { return e.sees(svc) })
}

// all reports whether nothing is out of sight.
func (s *sidecar) all() bool { return s == nil || len(s.Spec.GetEgress()) == 0 }

// sees reports whether a service is imported, and has the egress's port where that names one.
func (e *egress) sees(svc *registry.Service) bool {
	return (e.port == 0 || hasPort(*svc, e.port)) && slices.ContainsFunc(e.hosts, func(h imported) bool {
		return (h.namespace == "*" || h.namespace == svc.Namespace) && covers(h.host, svc.Host)
	})
}

// follows reports whether the rules of a VirtualService are imported: those for some host that an egress names.
func (s *sidecar) follows(vs *virtual) bool {
	return s.all() || slices.ContainsFunc(s.egress, func(e *egress) bool { return e.follows(vs) })
}

func (e *egress) follows(vs *virtual) bool {
	return slices.ContainsFunc(e.hosts, func(h imported) bool {
		return (h.namespace == "*" || h.namespace == vs.Namespace) && slices.ContainsFunc(vs.hosts, func(host string) bool {
			_, overlap := narrower(h.host, host)
			return overlap
		})
	})
}

// listenerOf is the egress through which a port is reached; nil: the port is not listened on, or everything is seen.
func (s *sidecar) listenerOf(port int) *egress {
	if s.all() {
		return nil
	}
	var rest *egress
	for _, e := range s.egress {
		switch e.port {
		case port:
			return e
		case 0:
			rest = e
		}
	}
	return rest
}

// listens reports whether requests to a port of a service have a virtual host.
func (s *sidecar) listens(svc *registry.Service, port int) bool {
	if s.all() {
		return true
	}
	e := s.listenerOf(port)
	return e != nil && e.sees(svc)
}

// routes reports whether hosts of a VirtualService that no service has, on a port, have a virtual host.
func (s *sidecar) routes(vs *virtual, port int) bool {
	if s.all() {
		return true
	}
	e := s.listenerOf(port)
	return e != nil && e.follows(vs)
}

// routedBy reports whether a VirtualService decides for hosts inside the mesh as the class sees it.
func (p *planner) routedBy(vs *virtual) bool {
	return slices.Contains(vs.gateways, mesh) && registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, p.class.Namespace) && p.sidecar.follows(vs)
}

// sentTo are the hosts that rules in sight send to: their clusters are needed, whether a Sidecar imports them or not. nil: all.
func (p *planner) sentTo() map[string]bool {
	if p.sidecar.all() {
		return nil
	}
	out := map[string]bool{}
	for _, vs := range p.virtuals {
		if !p.routedBy(vs) {
			continue
		}
		add := func(namespace, host string) { out[ResolveHost(host, namespace, p.in.suffix())] = true }
		for _, r := range vs.rules {
			for _, d := range targets(r.spec) {
				add(r.from.Namespace, d.GetHost())
			}
		}
		for _, d := range connected(vs.Spec) {
			add(vs.Namespace, d.GetHost())
		}
	}
	return out
}

// connected are the destinations of tcp and tls rules.
func connected(vs *networking.VirtualService) []*networking.Destination {
	var out []*networking.Destination
	for _, r := range vs.GetTcp() {
		for _, d := range r.GetRoute() {
			out = append(out, d.GetDestination())
		}
	}
	for _, r := range vs.GetTls() {
		for _, d := range r.GetRoute() {
			out = append(out, d.GetDestination())
		}
	}
	return out
}

// inSight keeps the services of a host that a Sidecar imports; where there is none but rules send to the host, all.
func (p *planner) inSight(services []*service, sent map[string]bool) []*service {
	if p.sidecar.all() || len(services) == 0 {
		return services
	}
	out := slices.DeleteFunc(slices.Clone(services), func(s *service) bool { return !p.sidecar.sees(s.shape) })
	if len(out) == 0 && sent[services[0].shape.Host] {
		return services
	}
	return out
}

// bindOf is the address that a listener of a port binds, and the listener's name.
func (p *planner) bindOf(port int) (bind, name string) {
	bind, at := "127.0.0.1", "0.0.0.0"
	if e := p.sidecar.listenerOf(port); e != nil && e.bind != "" {
		bind, at = e.bind, e.bind
	}
	return bind, at + "_" + strconv.Itoa(port)
}

// passes reports whether requests to hosts that nothing names go where they were sent; else they are refused.
func (p *planner) passes() bool {
	wanted := p.class.Capture == ir.CaptureRedirect
	if p.sidecar == nil || p.sidecar.Spec.GetOutboundTrafficPolicy() == nil {
		return wanted
	}
	if p.sidecar.Spec.GetOutboundTrafficPolicy().GetMode() != networking.OutboundTrafficPolicy_ALLOW_ANY {
		return false
	}
	if !wanted { // where clients dial the proxy itself, where else a request was meant to go is not known
		p.found.policy(p.sidecar.Meta, "spec.outboundTrafficPolicy.mode", "ALLOW_ANY without capture of connections")
	}
	return wanted
}
