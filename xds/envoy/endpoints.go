package envoy

import (
	"cmp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

func (b *builder) assignment(e *ir.Endpoints) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: e.Cluster}
	for _, l := range e.Localities {
		group := &endpointv3.LocalityLbEndpoints{Priority: l.Priority, Locality: &corev3.Locality{Region: l.Region, Zone: l.Zone, SubZone: l.SubZone}}
		total := uint32(0)
		for _, ep := range l.Endpoints {
			total += ep.Weight
			group.LbEndpoints = append(group.LbEndpoints, &endpointv3.LbEndpoint{
				HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: target(ep)}},
				LoadBalancingWeight: wrapperspb.UInt32(ep.Weight),
			})
		}
		group.LoadBalancingWeight = wrapperspb.UInt32(cmp.Or(l.Weight, total))
		out.Endpoints = append(out.Endpoints, group)
	}
	return out
}

// target is where an endpoint is reached. No IP address and no name begins with a slash or an at sign.
func target(e ir.Endpoint) *corev3.Address {
	if strings.HasPrefix(e.Address, "/") || strings.HasPrefix(e.Address, "@") {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: e.Address}}}
	}
	return address(e.Address, e.Port)
}
