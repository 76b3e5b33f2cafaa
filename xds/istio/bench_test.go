package istio

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// largeMesh has n services with two subsets, a VirtualService and a Rollout each, all behind one gateway.
func largeMesh(n int) Input {
	in := Input{Objects: testMesh().Objects[:1]}
	for i := range n {
		host := fmt.Sprintf("s%d.shop.svc.cluster.local", i)
		in.Registry.Services = append(in.Registry.Services, registry.Service{
			Host: host, Namespace: "shop", Ports: []registry.Port{{Name: "http", Number: 80, Protocol: registry.HTTP}},
			Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Labels: map[string]string{"version": "v1"}, Ready: true}, {Address: "10.0.0.2", Labels: map[string]string{"version": "v2"}, Ready: true}},
			Origin:    registry.Origin{Kind: "Service", Namespace: "shop", Name: fmt.Sprintf("s%d", i)},
		})
		name := fmt.Sprintf("s%d", i)
		in.Objects = append(in.Objects,
			object("DestinationRule", name, map[string]any{"host": name, "subsets": []any{
				map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}}, map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}}}}),
			object("VirtualService", name, map[string]any{"hosts": []any{name, name + ".example"}, "gateways": []any{"front", "mesh"}, "http": []any{
				map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": name}}}}}}))
		in.Splits = append(in.Splits, ir.Split{Key: "shop/" + name, Host: name, Stable: "v1", Canary: "v2", Weight: 15})
	}
	return in
}

func BenchmarkTranslate_thousandServices(b *testing.B) {
	for _, class := range []ir.ProxyClass{gatewayClass, {Kind: ir.KindSidecar, Namespace: "shop"}, {Kind: ir.KindGRPC, Namespace: "shop"}} {
		in := largeMesh(1000)
		b.Run(string(class.Kind), func(b *testing.B) {
			for b.Loop() {
				Translate(in, class)
			}
		})
	}
}

func BenchmarkFacts_thousandServices(b *testing.B) {
	in := largeMesh(1000)
	for b.Loop() {
		Facts(in, in.Splits[0])
	}
}
