package istio_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry"
)

// scale says how large a mesh is. VirtualServices are spread over the gateways, one host each, and over the services.
type scale struct{ virtuals, services, gateways int }

// mesh is one of the scale: each service has two subsets on two endpoints and one Rollout.
func (s scale) mesh() istio.Input {
	var in istio.Input
	for i := range s.gateways {
		in.Objects = append(in.Objects, bench("Gateway", fmt.Sprintf("gw%d", i), map[string]any{
			"selector": map[string]any{"app": fmt.Sprintf("gw%d", i)}, "servers": []any{map[string]any{
				"port": map[string]any{"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": []any{"*"}}}}))
	}
	for i := range s.services {
		name := fmt.Sprintf("s%d", i)
		in.Registry.Services = append(in.Registry.Services, s.service(i, fmt.Sprintf("10.0.%d.%d", i/250, i%250)))
		in.Objects = append(in.Objects, bench("DestinationRule", name, map[string]any{"host": name, "subsets": []any{
			map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}}, map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}}}}))
		in.Splits = append(in.Splits, s.split(i, 15))
	}
	for i := range s.virtuals {
		in.Objects = append(in.Objects, s.virtual(i, "10s"))
	}
	return in
}

func (s scale) service(i int, address string) registry.Service {
	name := fmt.Sprintf("s%d", i)
	return registry.Service{
		Host: name + ".shop.svc.cluster.local", Namespace: "shop", Ports: []registry.Port{{Name: "http", Number: 80, Protocol: registry.HTTP}},
		Endpoints: []registry.Endpoint{{Address: address, Labels: map[string]string{"version": "v1"}, Ready: true}, {Address: "10.9.9.9", Labels: map[string]string{"version": "v2"}, Ready: true}},
		Origin:    registry.Origin{Kind: "Service", Namespace: "shop", Name: name},
	}
}

func (s scale) split(i, weight int) ir.Split {
	name := fmt.Sprintf("s%d", i)
	return ir.Split{Key: "shop/" + name, UID: name, Host: name, Stable: "v1", Canary: "v2", Weight: weight, Seq: uint64(weight)}
}

func (s scale) virtual(i int, timeout string) istio.Object {
	to := []any{map[string]any{"destination": map[string]any{"host": fmt.Sprintf("s%d", i%s.services)}}}
	return bench("VirtualService", fmt.Sprintf("v%d", i), map[string]any{
		"hosts": []any{fmt.Sprintf("v%d.example", i)}, "gateways": []any{fmt.Sprintf("gw%d", i%s.gateways)}, "http": []any{
			map[string]any{"match": []any{map[string]any{"uri": map[string]any{"prefix": "/api"}}}, "route": to, "timeout": timeout},
			map[string]any{"route": to},
		}})
}

func bench(kind, name string, spec map[string]any) istio.Object {
	return istio.Decode(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec,
	})
}

func benchClass(i int) ir.ProxyClass {
	return ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop", Labels: fmt.Sprintf("app=gw%d", i)}
}

// tell makes a Compiler of an input.
func tell(in istio.Input) *istio.Compiler {
	c := istio.NewCompiler("", "")
	for _, o := range in.Objects {
		c.SetObject(o)
	}
	for _, s := range in.Registry.Services {
		c.SetService(s)
	}
	for _, s := range in.Splits {
		c.SetSplit(s)
	}
	return c
}

// cpu is the time that the process has computed, on all cores.
func cpu(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// heap is what is reachable, in bytes.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkCompileFull compiles everything from nothing, to bytes.
func BenchmarkCompileFull(b *testing.B) {
	for _, s := range []scale{{1000, 200, 1}, {5000, 1000, 1}, {10000, 2000, 1}, {10000, 2000, 20}} {
		b.Run(fmt.Sprintf("routes=%d/services=%d/gateways=%d", s.virtuals, s.services, s.gateways), func(b *testing.B) {
			in := s.mesh()
			b.ReportAllocs()
			kept, spent := 0.0, time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				before, began := heap(), cpu(b)
				b.StartTimer()
				c := tell(in)
				builders := make([]*envoy.Builder, s.gateways)
				for i := range s.gateways {
					cfg, _ := c.Compile(benchClass(i))
					builders[i] = envoy.NewBuilder()
					if _, bad := builders[i].Build(cfg); len(bad) > 0 && bad[0].Code != envoy.CodeLarge {
						b.Fatal(bad)
					}
				}
				b.StopTimer()
				spent += cpu(b) - began
				kept = heap() - before
				runtime.KeepAlive(c)
				runtime.KeepAlive(builders)
				b.StartTimer()
			}
			b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(kept/(1<<20), "MiB-kept")
			b.ReportMetric(kept/float64(s.virtuals), "B-kept/route")
		})
	}
}

// benchmarkChange compiles and builds for the first gateway after each change. Tell says a change by its number.
func benchmarkChange(b *testing.B, s scale, class ir.ProxyClass, change func(c *istio.Compiler, n int)) {
	c := tell(s.mesh())
	builder := envoy.NewBuilder()
	step := func() (envoy.Resources, []*envoy.ResourceError) {
		cfg, _ := c.Compile(class)
		return builder.Build(cfg)
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
		if _, bad := step(); len(bad) > 0 && bad[0].Code != envoy.CodeLarge {
			b.Fatal(bad)
		}
	}
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkCompileWeight changes the weight of one Rollout of a table of so many hosts, to the bytes of the table.
func BenchmarkCompileWeight(b *testing.B) {
	weigh := func(s scale) func(c *istio.Compiler, n int) {
		return func(c *istio.Compiler, n int) { c.SetSplit(s.split(0, n%101)) }
	}
	for _, hosts := range []int{1, 100, 1000, 10000} {
		s := scale{hosts, max(1, hosts/5), 1}
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkChange(b, s, benchClass(0), weigh(s)) })
	}
	s := scale{10000, 2000, 20}
	b.Run("mesh=10000/hosts=500", func(b *testing.B) { benchmarkChange(b, s, benchClass(0), weigh(s)) })
	b.Run("mesh=10000/sidecar", func(b *testing.B) {
		benchmarkChange(b, s, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"}, weigh(s))
	})
	b.Run("mesh=10000/grpc", func(b *testing.B) {
		benchmarkChange(b, s, ir.ProxyClass{Kind: ir.KindGRPC, Namespace: "shop"}, weigh(s))
	})
}

// BenchmarkCompileEndpoints moves one endpoint of one service.
func BenchmarkCompileEndpoints(b *testing.B) {
	s := scale{10000, 2000, 20}
	benchmarkChange(b, s, benchClass(0), func(c *istio.Compiler, n int) { c.SetService(s.service(0, fmt.Sprintf("10.8.0.%d", n%200))) })
}

// BenchmarkCompileVirtualService changes one rule.
func BenchmarkCompileVirtualService(b *testing.B) {
	for _, s := range []scale{{10000, 2000, 20}, {10000, 2000, 1}} {
		b.Run(fmt.Sprintf("gateways=%d", s.gateways), func(b *testing.B) {
			benchmarkChange(b, s, benchClass(0), func(c *istio.Compiler, n int) { c.SetObject(s.virtual(0, fmt.Sprintf("%ds", 1+n%50))) })
		})
	}
}
