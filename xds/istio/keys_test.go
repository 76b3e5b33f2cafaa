package istio_test

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

func TestClassKeys_areWhatSelectorsAndPoliciesAskFor(t *testing.T) {
	prioritized := &networking.LocalityLoadBalancerSetting{FailoverPriority: []string{"rack", "tier=gold"}}
	gateway := istio.Object{Spec: &networking.Gateway{Selector: map[string]string{"istio": "x", "app": "y"}}}
	rule := func(dr *networking.DestinationRule) istio.Object { return istio.Object{Spec: dr} }
	for _, c := range []struct {
		name string
		in   []istio.Object
		want ir.ClassKeys
	}{
		{"gateways", []istio.Object{gateway, {Spec: &networking.VirtualService{}}, {}}, ir.ClassKeys{Labels: []string{"app", "istio"}}},
		{"a rule for some workloads", []istio.Object{rule(&networking.DestinationRule{
			WorkloadSelector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "a"}},
		})}, ir.ClassKeys{Labels: []string{"app"}}},
		{"outlier detection of a port of a subset", []istio.Object{rule(&networking.DestinationRule{Subsets: []*networking.Subset{{
			TrafficPolicy: &networking.TrafficPolicy{PortLevelSettings: []*networking.TrafficPolicy_PortTrafficPolicy{{OutlierDetection: &networking.OutlierDetection{}}}},
		}}})}, ir.ClassKeys{Locality: true}},
		{"priorities by labels", []istio.Object{rule(&networking.DestinationRule{
			TrafficPolicy: &networking.TrafficPolicy{LoadBalancer: &networking.LoadBalancerSettings{LocalityLbSetting: prioritized}},
		})}, ir.ClassKeys{Labels: []string{"rack"}, Locality: true}},
		{"a plain policy", []istio.Object{rule(&networking.DestinationRule{TrafficPolicy: &networking.TrafficPolicy{}})}, ir.ClassKeys{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := istio.ClassKeys(istio.Input{Objects: c.in}); !got.Equal(c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
