package istio

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// drawMesh is a small mesh in which names collide, subsets are missing and rules contradict each other.
func drawMesh(t *rapid.T) Input {
	namespaces := rapid.SampledFrom([]string{"shop", "front"})
	names := rapid.SampledFrom([]string{"a", "b", "c"})
	hosts := rapid.SampledFrom([]string{"a", "b", "c", "a.shop", "b.front.svc.cluster.local", "x.example", "*.example", "*"})
	subsets := rapid.SampledFrom([]string{"", "v1", "v2", "v9"})
	in := Input{}
	for i, ns := range []string{"shop", "front"} {
		in.Objects = append(in.Objects, objectIn(ns, "Gateway", "front", map[string]any{"selector": map[string]any{"app": []string{"gw", "other"}[i]}, "servers": []any{
			map[string]any{"port": map[string]any{"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": []any{"*"}}}}))
		for j, name := range []string{"a", "b", "c"} {
			in.Registry.Services = append(in.Registry.Services, registry.Service{
				Host: name + "." + ns + ".svc.cluster.local", Namespace: ns, Origin: registry.Origin{Kind: "Service", Namespace: ns, Name: name},
				Ports: []registry.Port{{Name: "p", Number: 80 + j, Protocol: rapid.SampledFrom([]registry.Protocol{registry.HTTP, registry.TCP, registry.TLS}).Draw(t, "protocol")}},
				VIPs:  []string{rapid.SampledFrom([]string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}).Draw(t, "vip")},
				Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Labels: map[string]string{"version": "v1"}, Ready: true},
					{Address: "10.0.0.2", Labels: map[string]string{"version": "v2"}, Ready: rapid.Bool().Draw(t, "ready")}},
			})
		}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		spec := map[string]any{"host": hosts.Draw(t, "host"), "subsets": []any{
			map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}}, map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}}}}
		in.Objects = append(in.Objects, objectIn(namespaces.Draw(t, "namespace"), "DestinationRule", fmt.Sprintf("dr%d", i), spec))
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "virtuals") {
		var routes []any
		for range rapid.IntRange(1, 2).Draw(t, "routes") {
			d := map[string]any{"host": hosts.Draw(t, "destination")}
			if s := subsets.Draw(t, "subset"); s != "" {
				d["subset"] = s
			}
			routes = append(routes, map[string]any{"destination": d, "weight": rapid.SampledFrom([]int{-1, 0, 1, 50}).Draw(t, "weight")})
		}
		spec := map[string]any{"hosts": []any{hosts.Draw(t, "host"), hosts.Draw(t, "host")}}
		switch kind := rapid.SampledFrom([]string{"http", "http", "tcp", "tls"}).Draw(t, "kind"); kind {
		case "tls":
			spec[kind] = []any{map[string]any{"route": routes, "match": []any{map[string]any{"sniHosts": []any{hosts.Draw(t, "name")}}}}}
		default:
			spec[kind] = []any{map[string]any{"route": routes}}
		}
		if g := rapid.SampledFrom([][]any{nil, {"front"}, {"mesh", "shop/front"}, {"nosuch"}}).Draw(t, "gateways"); g != nil {
			spec["gateways"] = g
		}
		in.Objects = append(in.Objects, objectIn(namespaces.Draw(t, "namespace"), "VirtualService", fmt.Sprintf("vs%d", i), spec))
	}
	drawScopes(t, &in)
	for i := range rapid.IntRange(0, 2).Draw(t, "entries") {
		in.Objects = append(in.Objects, objectIn(namespaces.Draw(t, "namespace"), "ServiceEntry", fmt.Sprintf("se%d", i), map[string]any{"hosts": []any{hosts.Draw(t, "host")}, "resolution": "STATIC",
			"addresses": []any{"10.1.0.1"}, "ports": []any{map[string]any{"number": 80, "name": "p", "protocol": rapid.SampledFrom([]string{"HTTP", "TCP", "TLS"}).Draw(t, "protocol")}}}))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "splits") {
		in.Splits = append(in.Splits, ir.Split{Key: fmt.Sprintf("%s/r%d", namespaces.Draw(t, "namespace"), i), Host: names.Draw(t, "host"),
			Stable: "v1", Canary: subsets.Draw(t, "canary"), Weight: 15})
	}
	return in
}

// drawScopes adds what changes which rules and services a client sees: a delegate, what delegates to it, and Sidecars.
func drawScopes(t *rapid.T, in *Input) {
	hosts := rapid.SampledFrom([]string{"a", "b", "x.example"})
	if rapid.Bool().Draw(t, "delegates") {
		in.Objects = append(in.Objects,
			objectIn("front", "VirtualService", "delegate", map[string]any{"http": []any{
				map[string]any{"name": "d", "route": []any{map[string]any{"destination": map[string]any{"host": hosts.Draw(t, "host")}}}}}}),
			objectIn("shop", "VirtualService", "root", map[string]any{"hosts": []any{hosts.Draw(t, "host")}, "http": []any{
				map[string]any{"name": "r", "delegate": map[string]any{"name": "delegate", "namespace": rapid.SampledFrom([]string{"front", "shop"}).Draw(t, "namespace")}}}}))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "sidecars") {
		imports := rapid.SampledFrom([]string{"./*", "*/*", "~/*", "front/*", "shop/a.shop.svc.cluster.local"}).Draw(t, "imports")
		in.Objects = append(in.Objects, objectIn(rapid.SampledFrom([]string{"shop", "istio-system"}).Draw(t, "namespace"), "Sidecar", fmt.Sprintf("s%d", i),
			map[string]any{"egress": []any{map[string]any{"hosts": []any{imports}}}}))
	}
}

func objectIn(namespace, kind, name string, spec map[string]any) Object {
	return Decode(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": namespace}, "spec": spec,
	})
}

func TestSurvey_saysWhatFactsSay(t *testing.T) {
	blocked := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawMesh(t)
		v := NewSurvey(in)
		for _, ns := range []string{"shop", "front"} {
			for _, host := range []string{"a", "b", "nosuch"} {
				s := ir.Split{Key: ns + "/r0", Host: host, Stable: "v1", Canary: "v2", Weight: 15}
				want := Facts(in, s)
				if diff := cmp.Diff(want, v.Facts(s)); diff != "" {
					t.Fatalf("facts of %s/%s (-of the whole mesh +of the survey):\n%s", ns, host, diff)
				}
				if len(want.BlockingCodes) > 0 {
					blocked++
				}
			}
		}
	})
	if blocked == 0 {
		t.Error("nothing was ever blocked: the meshes are too tame")
	}
}

func BenchmarkSurvey_thousandServices(b *testing.B) {
	in := largeMesh(1000)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			NewSurvey(in)
		}
	})
	v := NewSurvey(in)
	b.Run("ask", func(b *testing.B) {
		for b.Loop() {
			v.Facts(in.Splits[0])
		}
	})
}
