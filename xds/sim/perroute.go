package sim

import (
	"strconv"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/ir"
)

// perRoute reads what the route says to a filter; false: nothing.
func perRoute(r *routev3.Route, filter string, into proto.Message) bool {
	config, ok := r.GetTypedPerFilterConfig()[filter]
	return ok && config.UnmarshalTo(into) == nil
}

func fault(r *routev3.Route) *Fault {
	var f faultv3.HTTPFault
	if !perRoute(r, "envoy.filters.http.fault", &f) {
		return nil
	}
	out := &Fault{}
	if d := f.GetDelay(); d != nil {
		out.Delay.V = &Delay{percent(d.GetPercentage()), text(d.GetFixedDelay())}
	}
	if a := f.GetAbort(); a != nil {
		out.Abort.V = &Abort{Percent: percent(a.GetPercentage()), HTTPStatus: int(a.GetHttpStatus())}
		if e, ok := a.GetErrorType().(*faultv3.FaultAbort_GrpcStatus); ok {
			out.Abort.V.GRPCStatus = ir.GRPCStatusName(e.GrpcStatus)
		}
	}
	return out
}

func percent(p *typev3.FractionalPercent) float64 {
	per := map[typev3.FractionalPercent_DenominatorType]float64{
		typev3.FractionalPercent_HUNDRED: 1, typev3.FractionalPercent_TEN_THOUSAND: 100, typev3.FractionalPercent_MILLION: 10000,
	}
	return float64(p.GetNumerator()) / per[p.GetDenominator()]
}

func cors(r *routev3.Route) *Cors {
	var c corsv3.CorsPolicy
	if !perRoute(r, "envoy.filters.http.cors", &c) {
		return nil
	}
	out := &Cors{
		AllowOrigins: []OriginMatch{}, AllowMethods: list(c.GetAllowMethods()), AllowHeaders: list(c.GetAllowHeaders()),
		ExposeHeaders: list(c.GetExposeHeaders()), AllowCredentials: c.GetAllowCredentials().GetValue(), UnmatchedPreflights: "FORWARD",
	}
	for _, m := range c.GetAllowOriginStringMatch() {
		out.AllowOrigins = append(out.AllowOrigins, OriginMatch{Exact: m.GetExact(), Prefix: m.GetPrefix(), Regex: m.GetSafeRegex().GetRegex()})
	}
	if seconds, err := strconv.Atoi(c.GetMaxAge()); err == nil {
		out.MaxAge = (time.Duration(seconds) * time.Second).String()
	}
	if forward := c.GetForwardNotMatchingPreflights(); forward != nil && !forward.GetValue() {
		out.UnmatchedPreflights = "IGNORE"
	}
	return out
}

// list splits at commas; of nothing it is empty, not nil.
func list(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}
