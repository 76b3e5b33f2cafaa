package meshgen

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	networking "istio.io/api/networking/v1alpha3"
	"pgregory.net/rapid"
)

// deepest bounds how far messages are nested.
const deepest = 8

// schema draws specs of the kinds.
type schema struct {
	kinds map[string]protoreflect.MessageDescriptor
	texts map[string][]string // by the name of the field, with its message before it where that matters
	often map[string]bool     // fields that most messages have; all others are rare
	pair  map[string][]byte
}

func newSchema() schema {
	s := schema{kinds: map[string]protoreflect.MessageDescriptor{}, texts: texts(), often: map[string]bool{}, pair: pair()}
	for kind, m := range map[string]proto.Message{
		"Gateway": &networking.Gateway{}, "VirtualService": &networking.VirtualService{}, "DestinationRule": &networking.DestinationRule{},
		"ServiceEntry": &networking.ServiceEntry{}, "WorkloadEntry": &networking.WorkloadEntry{}, "Sidecar": &networking.Sidecar{},
	} {
		s.kinds[kind] = m.ProtoReflect().Descriptor()
	}
	for name := range strings.FieldsSeq(`Gateway.selector Gateway.servers Server.port Server.hosts Port.number Port.name Port.protocol
		VirtualService.hosts VirtualService.gateways VirtualService.http HTTPRoute.route HTTPRouteDestination.destination HTTPRouteDestination.weight
		RouteDestination.destination RouteDestination.weight TLSRoute.match TLSRoute.route TCPRoute.route TLSMatchAttributes.sniHosts
		HTTPRoute.match Destination.host Destination.subset HTTPMatchRequest.uri Delegate.name HTTPMirrorPolicy.destination
		DestinationRule.host DestinationRule.subsets Subset.name Subset.labels
		ServiceEntry.hosts ServiceEntry.ports ServiceEntry.resolution ServiceEntry.endpoints ServicePort.number ServicePort.name ServicePort.protocol
		WorkloadEntry.address WorkloadEntry.labels Sidecar.egress IstioEgressListener.hosts ServerTLSSettings.mode ServerTLSSettings.credentialName
		ClientTLSSettings.mode Percent.value HTTPCookie.name HTTPCookie.ttl`) {
		s.often[name] = true
	}
	return s
}

// texts are what fields of type string hold.
func texts() map[string][]string {
	hosts := []string{"a", "b", "c", "a.shop", "a.front.svc.cluster.local", "b.shop.svc.cluster.local", "x.example", "*.example", "*"}
	return map[string][]string{
		"host": hosts, "hosts": hosts, "sniHosts": {"x.example", "*.example", "a.shop.svc.cluster.local"},
		"Server.hosts": {"*", "x.example", "*.example", "shop/*", "./x.example", "a.shop.svc.cluster.local"}, "IstioEgressListener.hosts": {"*/*", "./*", "shop/*", "~/*", "front/a.front.svc.cluster.local", "*/x.example"},
		"ServiceEntry.hosts": {"x.example", "y.example", "*.example", "a.shop.svc.cluster.local"},
		"gateways":           {"front", "mesh", "shop/front", "./front", "nosuch"}, "subset": {"v1", "v2", "v9"}, "Subset.name": {"v1", "v2", "v9"}, "Delegate.name": names(), "Delegate.namespace": namespaces(),
		"HTTPRoute.name": {"r1", "r2"}, "exportTo": {".", "*", "shop", "~"}, "protocol": {"HTTP", "HTTP", "HTTPS", "GRPC", "TCP", "TLS"},
		"credentialName": {"cert", "nosuch"}, "credentialNames": {"cert", "nosuch"}, "caCertCredentialName": {"cert", "nosuch"}, "address": {"10.0.0.1", "10.0.0.2", "y.example"}, "addresses": {"10.1.0.1", "10.1.0.9"},
		"prefix": {"/", "/a", "/a/b", "v"}, "exact": {"/a", "v1", "yes", ""}, "regex": {".*", "*", "/a.*", "(", "v[12]"},
		"retryOn": {"5xx,connect-failure", "503", ""}, "locality": {"eu/a", "eu/b", "us"}, "from": {"eu", "eu/a/*", "us"}, "to": {"us", "eu/b/*"}, "failoverPriority": {"topology.kubernetes.io/region", "app"},
		"bind": {"0.0.0.0", "127.0.0.1", "no address"}, "sourceNamespace": {"shop", "front"}, "keys": {"app", "version"}, "map": {"gw", "v1", "v2"},
		"scheme": {"http", "https"}, "authority": {"x.example", "a"}, "uri": {"/", "/b"}, "Port.name": {"http", "https"}, "ServicePort.name": {"http", "tcp"},
		"destinationSubnets": {"10.1.0.0/24", "10.1.0.1", "no subnet"},
	}
}

func (s schema) spec(t *rapid.T, kind string) map[string]any { return s.message(t, s.kinds[kind], 0) }

func (s schema) message(t *rapid.T, md protoreflect.MessageDescriptor, depth int) map[string]any {
	out := map[string]any{}
	taken := map[protoreflect.OneofDescriptor]bool{}
	put := func(f protoreflect.FieldDescriptor) {
		if one := f.ContainingOneof(); one != nil {
			if taken[one] {
				return
			}
			taken[one] = true
		}
		out[f.JSONName()] = s.field(t, f, depth)
	}
	var rare []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		switch {
		case depth >= deepest && f.Message() != nil:
		case !s.often[string(md.Name())+"."+f.JSONName()]:
			rare = append(rare, f)
		case rapid.IntRange(0, 4).Draw(t, f.JSONName()) > 0:
			put(f)
		}
	}
	n := rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(t, "rare fields")
	if len(out) == 0 {
		n = max(n, 1)
	}
	for range min(n, len(rare)) {
		put(rare[rapid.IntRange(0, len(rare)-1).Draw(t, "field")])
	}
	return out
}

func (s schema) field(t *rapid.T, f protoreflect.FieldDescriptor, depth int) any {
	switch {
	case f.IsMap():
		return map[string]any{rapid.SampledFrom(s.texts["keys"]).Draw(t, "key"): s.value(t, f.MapValue(), f, depth)}
	case f.IsList():
		var out []any
		for range rapid.SampledFrom([]int{1, 1, 2}).Draw(t, f.JSONName()) {
			out = append(out, s.value(t, f, f, depth))
		}
		return out
	default:
		return s.value(t, f, f, depth)
	}
}

// value draws one value of the type of f, which stands in the field named.
func (s schema) value(t *rapid.T, f, named protoreflect.FieldDescriptor, depth int) any {
	name := named.JSONName()
	switch f.Kind() {
	case protoreflect.StringKind:
		return s.text(t, named)
	case protoreflect.BytesKind:
		return "Ym9keQ=="
	case protoreflect.BoolKind:
		return rapid.Bool().Draw(t, name)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return string(values.Get(rapid.IntRange(0, values.Len()-1).Draw(t, name)).Name())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.nested(t, f.Message(), depth)
	default:
		return number(t, name)
	}
}

func (s schema) nested(t *rapid.T, md protoreflect.MessageDescriptor, depth int) any {
	switch md.FullName() {
	case "google.protobuf.Duration":
		return rapid.SampledFrom([]string{"0s", "0.005s", "1s", "70s", "-1s"}).Draw(t, "duration")
	case "google.protobuf.BoolValue":
		return rapid.Bool().Draw(t, "bool")
	case "google.protobuf.UInt32Value", "google.protobuf.Int32Value", "google.protobuf.UInt64Value", "google.protobuf.DoubleValue":
		return rapid.SampledFrom([]int{0, 1, 7, 100}).Draw(t, "number")
	}
	return s.message(t, md, depth+1)
}

func (s schema) text(t *rapid.T, f protoreflect.FieldDescriptor) string {
	name := f.JSONName()
	from := s.texts[string(f.Parent().Name())+"."+name]
	switch {
	case from != nil:
	case f.IsMap():
		from = s.texts["map"]
	case s.texts[name] != nil:
		from = s.texts[name]
	default:
		from = []string{"a", "x", "/etc/pem"}
	}
	return rapid.SampledFrom(from).Draw(t, name)
}

func number(t *rapid.T, name string) int {
	switch name {
	case "number", "port", "targetPort":
		return rapid.SampledFrom([]int{80, 80, 81, 8080, 8443, 0}).Draw(t, name)
	case "weight":
		return rapid.SampledFrom([]int{0, 1, 50, 50, -1}).Draw(t, name)
	case "redirectCode", "status", "httpStatus":
		return rapid.SampledFrom([]int{301, 308, 200, 503, 7}).Draw(t, name)
	default:
		return rapid.SampledFrom([]int{0, 1, 3, 50, 101}).Draw(t, name)
	}
}
