package sim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/sim"
)

// largeGateway is what a gateway runs that serves n hosts, each with three rules and a service of its own.
func largeGateway(b *testing.B, n int) envoy.Resources {
	b.Helper()
	var text strings.Builder
	text.WriteString(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec: {selector: {app: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`)
	for i := range n {
		fmt.Fprintf(&text, `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s%[1]d, namespace: shop}
spec: {hosts: [s%[1]d.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s%[1]d, namespace: shop}
spec:
  hosts: [h%[1]d.example]
  gateways: [front]
  http:
  - {match: [{uri: {regex: "/items/[0-9]+"}, headers: {x-user: {prefix: a}}}], route: [{destination: {host: s%[1]d.test}}]}
  - {match: [{uri: {prefix: /cart}}], rewrite: {uri: /basket}, route: [{destination: {host: s%[1]d.test}, weight: 85}, {destination: {host: s0.test}, weight: 15}]}
  - {route: [{destination: {host: s%[1]d.test}}]}
`, i)
	}
	files := manifest.New()
	if err := files.Read("large.yaml", strings.NewReader(text.String())); err != nil {
		b.Fatal(err)
	}
	cfg, _ := istio.Translate(files.Input("", ""), ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop", Labels: "app=gw"})
	res, err := envoy.Build(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return res
}

func BenchmarkNew_thousandHosts(b *testing.B) {
	res := largeGateway(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		sim.New(res)
	}
}

func BenchmarkRoute_thousandHosts(b *testing.B) {
	p := sim.New(largeGateway(b, 1000))
	for name, req := range map[string]sim.Request{
		"regex": {Port: 80, Method: "GET", Host: "h500.example", Path: "/items/7", Headers: map[string][]string{"x-user": {"anna"}}},
		"split": {Port: 80, Method: "GET", Host: "h999.example", Path: "/cart/7?x=1"},
		"last":  {Port: 80, Method: "GET", Host: "h1.example:80", Path: "/"},
		"none":  {Port: 80, Method: "GET", Host: "nobody.example", Path: "/"},
	} {
		want := map[string]sim.Outcome{"none": sim.NoRoute}[name]
		if want == "" {
			want = sim.Routed
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := p.Route(req); got.Outcome != want {
					b.Fatalf("%+v: %s, want %s", req, got.Outcome, want)
				}
			}
		})
	}
}
