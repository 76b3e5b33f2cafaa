package lint

import (
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// Proxy is what the proxies of one class are given.
type Proxy struct {
	Class     ir.ProxyClass
	Config    ir.Config
	Resources envoy.Resources
}

// Proxies compiles a mesh for every proxy that its objects speak of, as Run does.
func Proxies(m *manifest.Mesh, o Options) []Proxy {
	in := m.Input(o.DomainSuffix, o.RootNamespace)
	in.TrustSecrets = true
	in.Registry = deployed(in)
	if o.Partial {
		in = istio.Assume(in, 80)
	}
	var out []Proxy
	for _, class := range classes(in, o.GRPC) {
		cfg, _ := istio.Translate(in, class)
		resources, _ := envoy.NewBuilder().Build(&cfg)
		out = append(out, Proxy{class, cfg, resources})
	}
	return out
}
