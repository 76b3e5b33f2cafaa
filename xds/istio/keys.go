package istio

import (
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// ClassKeys says what of proxies the input tells apart: the labels that selectors in force ask for, and the locality
// where some DestinationRule makes endpoints depend on it.
func ClassKeys(in Input) ir.ClassKeys {
	labels := map[string]bool{}
	out := ir.ClassKeys{}
	for _, o := range in.Objects {
		switch spec := o.Spec.(type) {
		case *networking.Gateway:
			selects(labels, spec.GetSelector())
		case *networking.VirtualService:
			sourceKeys(labels, spec)
		case *networking.Sidecar:
			selects(labels, spec.GetWorkloadSelector().GetLabels())
		case *networking.DestinationRule:
			selects(labels, spec.GetWorkloadSelector().GetMatchLabels())
			for _, tp := range policiesOf(spec) {
				out.Locality = out.Locality || byLocality(tp)
				selects(labels, comparedLabels(tp))
			}
		}
	}
	frontKeys(labels, in)
	out.Labels = slices.Sorted(maps.Keys(labels))
	return out
}

func selects(keys map[string]bool, selector map[string]string) {
	for k := range selector {
		keys[k] = true
	}
}

// trafficPolicy is a traffic policy, or the entry of a port in one.
type trafficPolicy interface {
	GetLoadBalancer() *networking.LoadBalancerSettings
	GetConnectionPool() *networking.ConnectionPoolSettings
	GetOutlierDetection() *networking.OutlierDetection
	GetTls() *networking.ClientTLSSettings
}

// policiesOf are all policies that stand in a rule.
func policiesOf(dr *networking.DestinationRule) []trafficPolicy {
	var out []trafficPolicy
	add := func(tp *networking.TrafficPolicy) {
		if tp == nil {
			return
		}
		out = append(out, tp)
		for _, p := range tp.GetPortLevelSettings() {
			out = append(out, p)
		}
	}
	add(dr.GetTrafficPolicy())
	for _, s := range dr.GetSubsets() {
		add(s.GetTrafficPolicy())
	}
	return out
}

// byLocality reports whether a policy may make endpoints depend on where a client is: it distributes by localities, or
// ejects endpoints, so that those further away take over.
func byLocality(tp trafficPolicy) bool {
	l := tp.GetLoadBalancer().GetLocalityLbSetting()
	return len(l.GetDistribute()) > 0 || len(l.GetFailover()) > 0 || len(l.GetFailoverPriority()) > 0 || tp.GetOutlierDetection() != nil
}

// comparedLabels are the labels of proxies that failoverPriority compares with those of endpoints.
func comparedLabels(tp trafficPolicy) map[string]string {
	out := map[string]string{}
	for _, key := range tp.GetLoadBalancer().GetLocalityLbSetting().GetFailoverPriority() {
		if !strings.Contains(key, "=") {
			out[key] = ""
		}
	}
	return out
}
