package istio

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

// readServiceEntries makes services of ServiceEntries and the workloads they select. An entry of several hosts is several
// services.
func (x *index) readServiceEntries(entries []serviceEntry, backing workloads) registry.Snapshot {
	var out registry.Snapshot
	for _, se := range entries {
		resolution, ok := x.resolution(se)
		if !ok {
			continue
		}
		endpoints := x.entryEndpoints(se, backing, resolution)
		vips, ports := x.entryAddresses(se), x.entryPorts(se)
		for i, host := range se.Spec.GetHosts() {
			s := registry.Service{
				Host: ResolveHost(host, se.Namespace, x.in.suffix()), Namespace: se.Namespace, Resolution: resolution,
				External: se.Spec.GetLocation() == networking.ServiceEntry_MESH_EXTERNAL, ExportTo: se.Spec.GetExportTo(),
				VIPs: vips, Ports: ports, Endpoints: endpoints, Names: se.Spec.GetSubjectAltNames(),
				Origin: registry.Origin{Kind: se.Kind, Namespace: se.Namespace, Name: se.Name, UID: se.UID, Created: se.Created},
			}
			at := fmt.Sprintf("spec.hosts[%d]", i)
			if !pattern(s.Host) {
				x.found.fail(se.Meta, "S002", at, fmt.Sprintf("%q is no host", host), "give a name, or a name after *.; until then this host is left out")
				continue
			}
			if (resolution == registry.DNS || resolution == registry.DNSFirst) && len(endpoints) == 0 {
				if strings.Contains(s.Host, "*") {
					x.found.fail(se.Meta, "S002", at, fmt.Sprintf("%s cannot be looked up in DNS", s.Host), "give endpoints, or a host without a wildcard")
					continue
				}
				s.Endpoints = []registry.Endpoint{{Address: s.Host, Ready: true}}
			}
			out.Services = append(out.Services, s)
		}
	}
	return out
}

// pattern reports whether text is the name of a host, or "*." and one. The star alone is none: it would take over everything.
func pattern(text string) bool {
	name := strings.TrimPrefix(text, "*.")
	return name != "" && len(text) <= 253 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
	})
}

func (x *index) resolution(se serviceEntry) (registry.Resolution, bool) {
	switch r := se.Spec.GetResolution(); r {
	case networking.ServiceEntry_STATIC:
		return registry.Static, true
	case networking.ServiceEntry_DNS:
		return registry.DNS, true
	case networking.ServiceEntry_DNS_ROUND_ROBIN:
		return registry.DNSFirst, true
	case networking.ServiceEntry_NONE:
		if len(se.Spec.GetEndpoints()) > 0 || len(se.Spec.GetWorkloadSelector().GetLabels()) > 0 {
			x.found.fail(se.Meta, "S002", "spec.endpoints", "with resolution NONE connections go where the client meant them to go, to no endpoint", "remove the endpoints, or use resolution STATIC")
		}
		return registry.Original, true
	default:
		x.found.selection(se.Meta, "spec.resolution", "resolution "+r.String())
		return 0, false
	}
}

// entryAddresses are the addresses and CIDR blocks by which clients know the hosts.
func (x *index) entryAddresses(se serviceEntry) []string {
	var out []string
	for i, text := range se.Spec.GetAddresses() {
		_, err := netip.ParseAddr(text)
		block, blockErr := netip.ParsePrefix(text)
		at := fmt.Sprintf("spec.addresses[%d]", i)
		switch {
		case slices.Contains(out, text):
			x.found.fail(se.Meta, "S002", at, fmt.Sprintf("%q stands twice", text), "remove one of the two; until then the first counts")
		case err == nil:
			out = append(out, text)
		case blockErr != nil:
			x.found.fail(se.Meta, "S002", at, fmt.Sprintf("%q is neither an address nor a CIDR block", text), "correct it; until then it is left out")
		case block.Bits() < block.Addr().BitLen() && (se.Spec.GetResolution() == networking.ServiceEntry_DNS || se.Spec.GetResolution() == networking.ServiceEntry_DNS_ROUND_ROBIN):
			x.found.fail(se.Meta, "S002", at, fmt.Sprintf("a block of addresses does not go with resolution %s", se.Spec.GetResolution()),
				"use single addresses, or resolution STATIC or NONE; until then it is left out")
		default:
			out = append(out, text)
		}
	}
	return out
}

func (x *index) entryPorts(se serviceEntry) []registry.Port {
	var out []registry.Port
	for i, p := range se.Spec.GetPorts() {
		at := fmt.Sprintf("spec.ports[%d]", i)
		twice := slices.ContainsFunc(out, func(have registry.Port) bool { return have.Number == int(p.GetNumber()) || have.Name == p.GetName() })
		if p.GetNumber() == 0 || p.GetNumber() > maxPort || p.GetTargetPort() > maxPort || twice {
			x.found.fail(se.Meta, "S002", at, fmt.Sprintf("port %q with number %d and targetPort %d is no port, or stands twice", p.GetName(), p.GetNumber(), p.GetTargetPort()),
				"give each port a name and a number of its own, from 1 to 65535; until then it is left out")
			continue
		}
		if !known(p.GetProtocol()) {
			x.found.fail(se.Meta, "S002", at+".protocol", fmt.Sprintf("%q is no protocol", p.GetProtocol()), "use HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP or MONGO; until then it is TCP")
		}
		out = append(out, registry.Port{
			Name: p.GetName(), Number: int(p.GetNumber()), Protocol: registry.ParseProtocol(p.GetProtocol()), Raw: registry.Raw(p.GetProtocol()), Target: int(p.GetTargetPort()),
		})
	}
	slices.SortFunc(out, func(a, b registry.Port) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// known reports whether a protocol has a name that ports may have; without one it is TCP.
func known(protocol string) bool {
	names := []string{"", "http", "http2", "grpc", "grpc-web", "https", "tls", "tcp", "mongo", "redis", "mysql"}
	return slices.Contains(names, strings.ToLower(protocol))
}

// reportIgnored says which fields of Services have no effect.
func (x *index) reportIgnored() {
	for _, s := range x.in.Registry.Services {
		for _, f := range s.Ignored {
			x.found.policy(Meta{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name}, f.Field, f.What)
		}
	}
}
