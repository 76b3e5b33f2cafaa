package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/xds/registry"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

func ptr[T any](v T) *T { return &v }

func service(change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "Reviews"}}
	s.Spec.ClusterIP = "10.0.0.1"
	s.Spec.Ports = []corev1.ServicePort{{Name: "http-web", Port: 80}}
	change(s)
	return s
}

func slice(name string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "Reviews"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints,
		Ports: []discoveryv1.EndpointPort{{Name: ptr("http-web"), Port: ptr(int32(8080))}},
	}
}

func TestSnapshot_joinsSlicesAndPodLabels(t *testing.T) {
	pod := func(name string) *corev1.ObjectReference { return &corev1.ObjectReference{Kind: "Pod", Name: name} }
	got := kube.Snapshot(kube.Input{
		Services: []*corev1.Service{service(func(*corev1.Service) {})},
		Slices: []*discoveryv1.EndpointSlice{
			slice("b", discoveryv1.Endpoint{Addresses: []string{"10.1.0.2"}, TargetRef: pod("two"), Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}},
				discoveryv1.Endpoint{Addresses: []string{"10.1.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(true), Terminating: ptr(true)}}),
			slice("a", discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, TargetRef: pod("one"), Zone: ptr("z1")},
				discoveryv1.Endpoint{Addresses: []string{"10.1.0.2"}, TargetRef: pod("two")}),
		},
		PodLabels: func(namespace, name string) map[string]string {
			return map[string]string{"pod": namespace + "/" + name}
		},
	})
	ports := map[string]int{"http-web": 8080}
	want := registry.Snapshot{Services: []registry.Service{{
		Host: "reviews.shop.svc.cluster.local", Namespace: "shop", VIPs: []string{"10.0.0.1"},
		Ports:  []registry.Port{{Name: "http-web", Number: 80, Protocol: registry.HTTP}},
		Origin: registry.Origin{Kind: "Service", Namespace: "shop", Name: "Reviews"},
		Endpoints: []registry.Endpoint{
			{Address: "10.1.0.1", Ports: ports, Labels: map[string]string{"pod": "shop/one"}, Locality: registry.Locality{Zone: "z1"}, Ready: true},
			{Address: "10.1.0.2", Ports: ports, Labels: map[string]string{"pod": "shop/two"}, Ready: true},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

func TestSnapshot_publishesWhatIsNotReadyWhereAsked(t *testing.T) {
	got := kube.Snapshot(kube.Input{
		Services: []*corev1.Service{service(func(s *corev1.Service) {
			s.Spec.PublishNotReadyAddresses = true
			s.Spec.ClusterIP = corev1.ClusterIPNone
		})},
		Slices: []*discoveryv1.EndpointSlice{slice("a", discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}})},
	}).Services[0]
	if len(got.Endpoints) != 1 || !got.Endpoints[0].Ready || len(got.VIPs) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestSnapshot_externalNameIsLookedUp(t *testing.T) {
	got := kube.Snapshot(kube.Input{Services: []*corev1.Service{service(func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalName, s.Spec.ClusterIP = corev1.ServiceTypeExternalName, "API.Example.com", ""
		s.Annotations = map[string]string{"networking.istio.io/exportTo": "., other"}
	})}}).Services[0]
	if got.Resolution != registry.DNS || !got.External || got.Endpoints[0].Address != "api.example.com" || !got.VisibleTo("other") || got.VisibleTo("third") {
		t.Errorf("got %+v", got)
	}
}

func TestSnapshot_readsProtocols(t *testing.T) {
	for _, c := range []struct {
		name, app string
		want      registry.Protocol
	}{
		{"http", "", registry.HTTP}, {"http-x", "", registry.HTTP}, {"grpc-x", "", registry.GRPC}, {"grpc-web-x", "", registry.HTTP}, {"http2", "", registry.HTTP2},
		{"https-x", "", registry.TLS}, {"mysql", "", registry.TCP}, {"web", "", registry.TCP}, {"web", "http", registry.HTTP}, {"web", "kubernetes.io/h2c", registry.HTTP2}, {"web", "kubernetes.io/ws", registry.HTTP}, {"web", "kubernetes.io/wss", registry.TLS},
		{"ws-x", "", registry.TCP}, {"HTTP-x", "", registry.HTTP}, {"httpx", "", registry.TCP}, {"http", "tcp", registry.TCP},
	} {
		got := kube.Snapshot(kube.Input{Services: []*corev1.Service{service(func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{{Name: c.name, Port: 80}}
			if c.app != "" {
				s.Spec.Ports[0].AppProtocol = &c.app
			}
		})}}).Services[0].Ports[0].Protocol
		if got != c.want {
			t.Errorf("port %q with appProtocol %q: %q, want %q", c.name, c.app, got, c.want)
		}
	}
}
