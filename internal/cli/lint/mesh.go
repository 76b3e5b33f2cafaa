package lint

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/registry"
)

// compiled is what the compiler says of all proxies that the mesh implies. Secrets that the files do not hold are taken
// on trust: they belong into the cluster.
func compiled(m *manifest.Mesh, o Options) []problem.Problem {
	in := m.Input(o.DomainSuffix, o.RootNamespace)
	in.TrustSecrets = true
	in.Registry = deployed(in)
	in.TrustSecrets = true // they are in the cluster, and rightly not among these files
	if o.Partial {
		in = istio.Assume(in, 80)
	}
	var found []problem.Problem
	built := map[ir.Kind]bool{}
	for _, class := range classes(in, o.GRPC) {
		cfg, problems := istio.Translate(in, class)
		found = append(found, problems...)
		if class.Kind == ir.KindGateway || !built[class.Kind] { // what clients get differs in what they see, not in its form
			built[class.Kind] = true
			_, bad := envoy.NewBuilder().Build(&cfg)
			found = append(found, Refused(bad)...)
		}
	}
	return found
}

// classes are the proxies that the objects speak of: a gateway for each selector, and the clients of the mesh.
func classes(in istio.Input, grpc bool) []ir.ProxyClass {
	var out []ir.ProxyClass
	seen := map[string]bool{}
	for _, obj := range in.Objects {
		spec, ok := obj.Spec.(*networking.Gateway)
		labels := istio.FormatLabels(spec.GetSelector())
		if ok && !seen[labels] {
			seen[labels] = true
			out = append(out, ir.ProxyClass{Kind: ir.KindGateway, Namespace: obj.Namespace, Labels: labels})
		}
	}
	for _, class := range clients(in) {
		out = append(out, class)
		if grpc {
			class.Kind = ir.KindGRPC
			out = append(out, class)
		}
	}
	return out
}

// deployed gives each Kubernetes service without endpoints one in each of its subsets: pods are in the cluster, and files
// that deploy them do not hold their addresses.
func deployed(in istio.Input) registry.Snapshot {
	labels := map[string][]map[string]string{} // of subsets, by host
	for _, obj := range in.Objects {
		if rule, ok := obj.Spec.(*networking.DestinationRule); ok {
			host := istio.ResolveHost(rule.GetHost(), obj.Namespace, suffixOf(in))
			for _, s := range rule.GetSubsets() {
				labels[host] = append(labels[host], s.GetLabels())
			}
		}
	}
	out := registry.Snapshot{Services: slices.Clone(in.Registry.Services)}
	for i := range out.Services {
		s := &out.Services[i]
		if s.Origin.Kind != "Service" || len(s.Endpoints) > 0 || s.Resolution != registry.Static {
			continue
		}
		for n, l := range append(slices.Clone(labels[s.Host]), nil) {
			s.Endpoints = append(s.Endpoints, registry.Endpoint{Address: fmt.Sprintf("192.0.2.%d", n%254+1), Labels: l, Ready: true})
		}
	}
	return out
}

// Refused says in words which resources no proxy would take, and which are large.
func Refused(bad []*envoy.ResourceError) []problem.Problem {
	var out []problem.Problem
	for _, e := range bad {
		p := problem.Problem{Code: e.Code, Severity: problem.Error, Message: problem.Clean(e.Error(), problem.MaxMessage), Hint: "correct the objects it is made from"}
		switch e.Code {
		case envoy.CodeTooLarge:
			p.Hint = "divide the objects it is made from over several ports or gateways"
		case envoy.CodeLarge:
			p.Severity, p.Hint = problem.Warning, "divide the objects it is made from over several ports or gateways"
		}
		if len(e.Origins) > 0 {
			o := e.Origins[0]
			p.Object, p.Field = o.Kind+"/"+o.Namespace+"/"+o.Name, o.Field
		}
		out = append(out, p)
	}
	return out
}

// relevant leaves out that kinds have no effect which do not speak about traffic at all, such as a Deployment, and what
// is said better elsewhere.
func relevant(m *manifest.Mesh, found []problem.Problem) []problem.Problem {
	groups := map[string]string{}
	unserved := map[string]bool{}
	for _, it := range m.Items() {
		version, _ := it.Content["apiVersion"].(string)
		groups[it.Ref], _, _ = strings.Cut(version, "/")
	}
	for _, p := range found {
		unserved[p.Object] = unserved[p.Object] || p.Code == codeUnserved
	}
	return slices.DeleteFunc(found, func(p problem.Problem) bool {
		return p.Code == "S003" && (unserved[p.Object] || !aboutTraffic(groups[p.Object], p.Object))
	})
}

func aboutTraffic(group, ref string) bool {
	return group == "istio.io" || strings.HasSuffix(group, ".istio.io") || group == "gateway.networking.k8s.io" ||
		group == "networking.k8s.io" && strings.HasPrefix(ref, "Ingress")
}
