package istio_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/server"
)

// benchmarkPublish takes each change all the way: compiled, built, and published to a server without streams.
func benchmarkPublish(b *testing.B, s scale, class ir.ProxyClass, change func(c *istio.Compiler, n int)) {
	c, builder := tell(s.mesh()), envoy.NewBuilder()
	proxies, err := server.New(server.Config{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	step := func() {
		cfg, _ := c.Compile(class)
		resources, bad := builder.Build(cfg)
		if len(bad) > 0 && bad[0].Code != envoy.CodeLarge {
			b.Fatal(bad)
		}
		if err := proxies.Publish(b.Context(), class, resources); err != nil {
			b.Fatal(err)
		}
	}
	step()
	n := 0
	change(c, n)
	step()
	b.ReportAllocs()
	began := cpu(b)
	for b.Loop() {
		n++
		change(c, n)
		step()
	}
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkPublishWeight changes the weight of one Rollout in a mesh of 10,000 VirtualServices and 2,000 services.
func BenchmarkPublishWeight(b *testing.B) {
	weigh := func(s scale) func(c *istio.Compiler, n int) {
		return func(c *istio.Compiler, n int) { c.SetSplit(s.split(0, n%101)) }
	}
	s := scale{10000, 2000, 20}
	for _, class := range []ir.ProxyClass{benchClass(0), {Kind: ir.KindSidecar, Namespace: "shop"}, {Kind: ir.KindGRPC, Namespace: "shop"}} {
		b.Run(fmt.Sprintf("mesh=10000/%s", class.Kind), func(b *testing.B) { benchmarkPublish(b, s, class, weigh(s)) })
	}
	one := scale{1000, 200, 1}
	b.Run("hosts=1000", func(b *testing.B) { benchmarkPublish(b, one, benchClass(0), weigh(one)) })
}

// BenchmarkPublishEndpoints moves one endpoint of one service of 2,000.
func BenchmarkPublishEndpoints(b *testing.B) {
	s := scale{10000, 2000, 20}
	benchmarkPublish(b, s, benchClass(0), func(c *istio.Compiler, n int) { c.SetService(s.service(0, fmt.Sprintf("10.8.0.%d", n%200))) })
}
