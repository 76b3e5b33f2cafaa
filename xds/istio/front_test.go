package istio_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry"
)

func front(namespace string, selector map[string]string, ports ...registry.Port) registry.Service {
	return registry.Service{Host: "edge." + namespace, Namespace: namespace, Selector: selector, Ports: ports, Origin: registry.Origin{Kind: "Service", Namespace: namespace, Name: "edge"}}
}

func TestOpened_followsTheServicesInFront(t *testing.T) {
	class := ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop", Labels: "app=edge,tier=front"}
	for _, c := range []struct {
		name     string
		services []registry.Service
		want     []int
	}{
		{"none", nil, []int{80}},
		{"one that leads elsewhere", []registry.Service{front("shop", map[string]string{"app": "edge"}, registry.Port{Number: 80, Target: 8080})}, []int{8080}},
		{"one without that port", []registry.Service{front("shop", map[string]string{"app": "edge"}, registry.Port{Number: 81, Target: 8080})}, []int{80}},
		{"one that leads to the same port", []registry.Service{front("shop", map[string]string{"app": "edge"}, registry.Port{Number: 80})}, []int{80}},
		{"two", []registry.Service{front("shop", map[string]string{"app": "edge"}, registry.Port{Number: 80, Target: 8081}), front("shop", map[string]string{"tier": "front"}, registry.Port{Number: 80, Target: 8080})}, []int{8080, 8081}},
		{"of another namespace", []registry.Service{front("other", map[string]string{"app": "edge"}, registry.Port{Number: 80, Target: 8080})}, []int{80}},
		{"for other proxies", []registry.Service{front("shop", map[string]string{"app": "edge", "tier": "back"}, registry.Port{Number: 80, Target: 8080})}, []int{80}},
		{"without a selector", []registry.Service{front("shop", nil, registry.Port{Number: 80, Target: 8080})}, []int{80}},
	} {
		in := istio.Input{Registry: registry.Snapshot{Services: c.services}}
		if got := istio.Opened(in, class, 80); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestClassKeys_tellServicesInFrontApart(t *testing.T) {
	gateway := istio.Object{Spec: &networking.Gateway{Selector: map[string]string{"app": "edge"}, Servers: []*networking.Server{{Port: &networking.Port{Number: 80}}}}}
	moved := registry.Port{Number: 80, Target: 8080}
	for _, c := range []struct {
		name    string
		service registry.Service
		want    []string
	}{
		{"in front", front("shop", map[string]string{"app": "edge", "tier": "front"}, moved), []string{"app", "tier"}},
		{"of other workloads", front("shop", map[string]string{"app": "reviews", "version": "v1"}, moved), []string{"app"}},
		{"with nothing in common", front("shop", map[string]string{"name": "reviews"}, moved), []string{"app"}},
		{"that leads to the same port", front("shop", map[string]string{"app": "edge", "tier": "front"}, registry.Port{Number: 80, Target: 80}), []string{"app"}},
	} {
		got := istio.ClassKeys(istio.Input{Objects: []istio.Object{gateway}, Registry: registry.Snapshot{Services: []registry.Service{c.service}}})
		if !slices.Equal(got.Labels, c.want) {
			t.Errorf("a Service %s: keys %v, want %v", c.name, got.Labels, c.want)
		}
	}
}

func TestSecretNames_areThoseThatTheClassMayNeed(t *testing.T) {
	tls := func(name string) *networking.ServerTLSSettings {
		return &networking.ServerTLSSettings{CredentialName: name}
	}
	gateway := func(selector map[string]string, t *networking.ServerTLSSettings) istio.Object {
		return istio.Object{Meta: istio.Meta{Kind: "Gateway", Namespace: "any"}, Spec: &networking.Gateway{Selector: selector, Servers: []*networking.Server{{Tls: t}}}}
	}
	rule := func(namespace, name string, exportTo ...string) istio.Object {
		return istio.Object{Meta: istio.Meta{Kind: "DestinationRule", Namespace: namespace}, Spec: &networking.DestinationRule{
			ExportTo: exportTo, Subsets: []*networking.Subset{{TrafficPolicy: &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{CredentialName: name}}}},
		}}
	}
	in := istio.Input{Objects: []istio.Object{
		gateway(nil, tls("kubernetes://one")), gateway(map[string]string{"app": "edge"}, &networking.ServerTLSSettings{CredentialNames: []string{"two"}, CaCertCredentialName: "ca-cacert"}),
		gateway(map[string]string{"app": "other"}, tls("nobodys")), rule("shop", "client", "."), rule("hidden", "not-seen", "."),
	}}
	var got []string
	for _, n := range istio.SecretNames(in, ir.ProxyClass{Kind: ir.KindGateway, Namespace: "shop", Labels: "app=edge"}) {
		got = append(got, n.Namespace+"/"+n.Name)
	}
	want := []string{"shop/ca-cacert", "shop/client", "shop/client-cacert", "shop/one", "shop/one-cacert", "shop/two", "shop/two-cacert"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := istio.SecretNames(in, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"}); got != nil {
		t.Errorf("a sidecar needs %v, want none", got)
	}
	meant := rule("shop", "web")
	meant.Spec.(*networking.DestinationRule).WorkloadSelector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "web"}}
	in.Objects = append(in.Objects, meant)
	for labels, want := range map[string]int{"app=web": 2, "app=other": 0} {
		if got := istio.SecretNames(in, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop", Labels: labels}); len(got) != want {
			t.Errorf("a sidecar with %s needs %v, want %d names", labels, got, want)
		}
	}
}

func TestSecret_isNotShownByPrinting(t *testing.T) {
	const hidden = "do not tell"
	for _, s := range []any{
		istio.Secret{Namespace: "shop", Name: "front", Data: map[string][]byte{"tls.key": []byte(hidden)}}, &istio.Secret{Data: map[string][]byte{"tls.key": []byte(hidden)}},
		ir.Secret{Name: "front", Key: []byte(hidden)}, []*ir.Secret{{Key: []byte(hidden)}},
	} {
		asJSON, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s, s), string(asJSON)} {
			if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%v", []byte(hidden))) || strings.Contains(text, "ZG8gbm90IHRlbGw") {
				t.Errorf("printing %T shows what it holds: %s", s, text)
			}
		}
	}
}
