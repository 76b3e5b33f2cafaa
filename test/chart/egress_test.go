package chart_test

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/test/helm"
)

// Where the controller is told to go by URL, the policy lets it go, once.
func TestChart_letsTheControllerReachWhatItIsTold(t *testing.T) {
	always := []int32{443, 6443, 80, 22, 9090}
	for _, c := range []struct {
		set  []string
		want []int32
	}{
		{nil, always},
		{[]string{"traces.endpoint=http://collector.monitoring:4318/v1/traces"}, append(slices.Clone(always), 4318)},
		{[]string{"traces.endpoint=https://collector.example"}, always},
		{[]string{"traces.endpoint=http://[fd00::1]:4318", "prometheus.url=http://prometheus:8428"}, append(slices.Clone(always), 8428, 4318)},
		{[]string{"networkPolicy.egressPorts={443}", "traces.endpoint=http://collector"}, []int32{443, 80}},
		{[]string{"networkPolicy.egressPorts={443,3000}"}, []int32{443, 3000}},
	} {
		var flags []string
		for _, one := range c.set {
			flags = append(flags, "--set", one)
		}
		var got []int32
		for _, o := range helm.Objects(t, render(t, flags)) {
			if o.GetKind() != "NetworkPolicy" || o.GetName() != "sluice" {
				continue
			}
			policy := &networkingv1.NetworkPolicy{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, policy); err != nil {
				t.Fatal(err)
			}
			for _, rule := range policy.Spec.Egress {
				if len(rule.To) == 0 {
					continue
				}
				for _, port := range rule.Ports {
					got = append(got, port.Port.IntVal)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: the controller may reach %v, want %v", c.set, got, c.want)
		}
	}
}
