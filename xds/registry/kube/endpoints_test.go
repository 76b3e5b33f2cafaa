package kube_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/xds/registry"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

func TestSnapshot_countsEndpointsByTheirConditions(t *testing.T) {
	yes, no := ptr(true), ptr(false)
	for _, c := range []struct {
		name        string
		conditions  discoveryv1.EndpointConditions
		ready       bool // otherwise
		readyAsked  bool // with publishNotReadyAddresses
		listed      bool // at all, otherwise
		listedAsked bool
	}{
		{"nothing said", discoveryv1.EndpointConditions{}, true, true, true, true},
		{"ready", discoveryv1.EndpointConditions{Ready: yes, Serving: yes, Terminating: no}, true, true, true, true},
		{"not ready", discoveryv1.EndpointConditions{Ready: no, Serving: no}, false, true, true, true},
		{"serving and not ready", discoveryv1.EndpointConditions{Ready: no, Serving: yes}, false, true, true, true},
		{"terminating and serving", discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes}, false, true, false, true},
		{"terminating, said to be ready", discoveryv1.EndpointConditions{Ready: yes, Terminating: yes}, false, true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, asked := range []bool{false, true} {
				got := kube.Snapshot(kube.Input{
					Services: []*corev1.Service{service(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = asked })},
					Slices:   []*discoveryv1.EndpointSlice{slice("a", discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, Conditions: c.conditions})},
				}).Services[0].Endpoints
				ready, listed := c.ready, c.listed
				if asked {
					ready, listed = c.readyAsked, c.listedAsked
				}
				if (len(got) == 1) != listed || (listed && got[0].Ready != ready) {
					t.Errorf("publishNotReadyAddresses %v: got %+v, want listed %v, ready %v", asked, got, listed, ready)
				}
			}
		})
	}
}

func TestSnapshot_oneFamilyOfAddresses(t *testing.T) {
	four := slice("four", discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}})
	six := slice("six", discoveryv1.Endpoint{Addresses: []string{"fd00::1"}})
	six.AddressType = discoveryv1.AddressTypeIPv6
	named := slice("named", discoveryv1.Endpoint{Addresses: []string{"a.example"}})
	named.AddressType = discoveryv1.AddressTypeFQDN
	for _, c := range []struct {
		name     string
		families []corev1.IPFamily
		ip       string
		from     []*discoveryv1.EndpointSlice
		want     []string
	}{
		{"both, the first counts", []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, "fd00::9", []*discoveryv1.EndpointSlice{four, six}, []string{"fd00::1"}},
		{"both, by the service's address", nil, "10.0.0.1", []*discoveryv1.EndpointSlice{four, six}, []string{"10.1.0.1"}},
		{"the other one has all there are", []corev1.IPFamily{corev1.IPv4Protocol}, "10.0.0.1", []*discoveryv1.EndpointSlice{six}, []string{"fd00::1"}},
		{"names are left out", nil, "10.0.0.1", []*discoveryv1.EndpointSlice{four, named}, []string{"10.1.0.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc := kube.Snapshot(kube.Input{Services: []*corev1.Service{service(func(s *corev1.Service) {
				s.Spec.IPFamilies, s.Spec.ClusterIP = c.families, c.ip
			})}, Slices: c.from}).Services[0]
			var got []string
			for _, e := range svc.Endpoints {
				got = append(got, e.Address)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("endpoints %v, want %v", got, c.want)
			}
			if told := slices.ContainsFunc(svc.Ignored, func(i registry.Ignored) bool { return i.Field == "spec" }); told != slices.Contains(c.from, named) {
				t.Errorf("ignored %v", svc.Ignored)
			}
		})
	}
}

func TestSnapshot_saysWhatProxiesIgnore(t *testing.T) {
	got := kube.Snapshot(kube.Input{Services: []*corev1.Service{service(func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy, s.Spec.SessionAffinity = ptr(corev1.ServiceInternalTrafficPolicyLocal), corev1.ServiceAffinityClientIP
		s.Spec.TrafficDistribution = ptr("PreferClose")
	})}}).Services[0].Ignored
	var fields []string
	for _, i := range got {
		fields = append(fields, i.Field)
	}
	if want := []string{"spec.internalTrafficPolicy", "spec.sessionAffinity", "spec.trafficDistribution"}; !slices.Equal(fields, want) {
		t.Errorf("ignored %v, want %v", fields, want)
	}
}

func TestSnapshot_portsOfTCPWithTheirTargets(t *testing.T) {
	got := kube.Snapshot(kube.Input{Services: []*corev1.Service{service(func(s *corev1.Service) {
		s.Spec.Ports = []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
			{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}, {Name: "grpc", Port: 90, TargetPort: intstr.FromString("rpc")},
		}
	})}}).Services[0].Ports
	want := []registry.Port{
		{Name: "dns-tcp", Number: 53}, {Name: "http", Number: 80, Protocol: registry.HTTP, Target: 8080},
		{Name: "grpc", Number: 90, Protocol: registry.GRPC, TargetName: "rpc"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestSnapshot_localityFromPodSliceAndNode(t *testing.T) {
	nodes := map[string]map[string]string{"n1": {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-a", "topology.istio.io/subzone": "r1"}}
	in := kube.Input{
		Services:   []*corev1.Service{service(func(*corev1.Service) {})},
		NodeLabels: func(name string) map[string]string { return nodes[name] },
		PodLabels: func(_, name string) map[string]string {
			if name == "own" {
				return map[string]string{"istio-locality": "us.us-b"}
			}
			return nil
		},
		Slices: []*discoveryv1.EndpointSlice{slice("a",
			discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, NodeName: ptr("n1")},
			discoveryv1.Endpoint{Addresses: []string{"10.1.0.2"}, NodeName: ptr("n1"), Zone: ptr("z")},
			discoveryv1.Endpoint{Addresses: []string{"10.1.0.3"}, NodeName: ptr("unknown"), Zone: ptr("z")},
			discoveryv1.Endpoint{Addresses: []string{"10.1.0.4"}, NodeName: ptr("n1"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "own"}})},
	}
	want := []registry.Locality{{Region: "eu", Zone: "eu-a", SubZone: "r1"}, {Region: "eu", Zone: "z", SubZone: "r1"}, {Zone: "z"}, {Region: "us", Zone: "us-b"}}
	for i, e := range kube.Snapshot(in).Services[0].Endpoints {
		if e.Locality != want[i] {
			t.Errorf("%s is in %+v, want %+v", e.Address, e.Locality, want[i])
		}
	}
}

func TestSnapshot_podsThatRunAreWorkloads(t *testing.T) {
	pod := func(name string, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "vm"}}}
		p.Status.PodIP, p.Status.Phase = "10.1.0.1", corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}}
		change(p)
		return p
	}
	got := kube.Snapshot(kube.Input{Pods: []*corev1.Pod{
		pod("unready", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }),
		pod("ready", func(*corev1.Pod) {}),
		pod("ended", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("ending", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }),
		pod("waiting", func(p *corev1.Pod) { p.Status.PodIP = "" }),
	}}).Workloads
	endpoint := func(ready bool) registry.Endpoint {
		return registry.Endpoint{Address: "10.1.0.1", Ports: map[string]int{"web": 8080}, Labels: map[string]string{"app": "vm"}, Ready: ready}
	}
	want := []registry.Workload{{Namespace: "shop", Name: "ready", Endpoint: endpoint(true)}, {Namespace: "shop", Name: "unready", Endpoint: endpoint(false)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
}

func TestSnapshot_readsTheNumberBehindTheNameOfAPort(t *testing.T) {
	named := service(func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("web") })
	for _, c := range []struct {
		slices []*discoveryv1.EndpointSlice
		want   int
	}{
		{nil, 0},
		{[]*discoveryv1.EndpointSlice{slice("a", discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}})}, 8080},
	} {
		got := kube.Snapshot(kube.Input{Services: []*corev1.Service{named}, Slices: c.slices})
		if n := got.Services[0].Ports[0].Target; n != c.want {
			t.Errorf("with %d slices: target %d, want %d", len(c.slices), n, c.want)
		}
	}
}
