package istio

import (
	"slices"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	typeapi "istio.io/api/type/v1beta1"
)

func TestClassKeys_areThoseOfAllSelectors(t *testing.T) {
	from := func(k string) map[string]string { return map[string]string{k: "x"} }
	in := Input{Objects: []Object{
		{Spec: &networking.Gateway{Selector: map[string]string{"istio": "x", "app": "y"}}},
		{Spec: &networking.Gateway{Selector: map[string]string{"app": "z"}}},
		{Spec: &networking.Sidecar{WorkloadSelector: &networking.WorkloadSelector{Labels: from("sidecar")}}},
		{Spec: &networking.DestinationRule{WorkloadSelector: &typeapi.WorkloadSelector{MatchLabels: from("rule")}}},
		{Spec: &networking.VirtualService{
			Http: []*networking.HTTPRoute{{Match: []*networking.HTTPMatchRequest{{SourceLabels: from("http")}}}},
			Tcp:  []*networking.TCPRoute{{Match: []*networking.L4MatchAttributes{{SourceLabels: from("tcp")}}}},
			Tls:  []*networking.TLSRoute{{Match: []*networking.TLSMatchAttributes{{SourceLabels: from("tls")}}}},
		}},
		{},
	}}
	if got, want := ClassKeys(in).Labels, []string{"app", "http", "istio", "rule", "sidecar", "tcp", "tls"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
