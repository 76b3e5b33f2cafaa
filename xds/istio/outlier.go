package istio

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

func (t *translator) outlier(b block[*networking.OutlierDetection]) *ir.Outlier {
	od := b.value
	out := &ir.Outlier{
		SplitLocal:   od.GetSplitExternalLocalOriginErrors(),
		Interval:     period(t, b, "interval", od.GetInterval(), leastPeriod),
		BaseEjection: period(t, b, "baseEjectionTime", od.GetBaseEjectionTime(), leastPeriod),
	}
	if v := od.GetConsecutive_5XxErrors(); v != nil {
		out.Consecutive5xx = &v.Value
	}
	if v := od.GetConsecutiveGatewayErrors(); v != nil {
		out.ConsecutiveGateway = &v.Value
	}
	switch v := od.GetConsecutiveLocalOriginFailures(); {
	case v == nil:
	case out.SplitLocal:
		out.ConsecutiveLocal = &v.Value
	default:
		t.found.policy(b.at, b.field+".consecutiveLocalOriginFailures", "consecutiveLocalOriginFailures without splitExternalLocalOriginErrors")
	}
	out.MaxEjectionPercent = t.percent(b, "maxEjectionPercent", od.GetMaxEjectionPercent())
	out.PanicThreshold = t.percent(b, "minHealthPercent", od.GetMinHealthPercent())
	if od.GetConsecutiveErrors() != 0 { //nolint:staticcheck // deprecated by Istio, still in use
		t.found.policy(b.at, b.field+".consecutiveErrors", "consecutiveErrors")
	}
	if len(od.GetOutlierDetectionHttpErrorCodes()) > 0 {
		t.found.policy(b.at, b.field+".outlierDetectionHttpErrorCodes", "a list of error codes")
	}
	if t.class.Kind == ir.KindGRPC {
		t.found.policy(b.at, b.field, "ejection after consecutive errors in a gRPC client")
	}
	return out
}

func (t *translator) percent(b block[*networking.OutlierDetection], field string, n int32) uint32 {
	if n < 0 || n > 100 {
		t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%d is not a percentage", n), "give a number from 0 to 100; until then it is left out")
		return 0
	}
	return uint32(n)
}
