package envoy

import (
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-dev/sluice/xds/ir"
)

const faultFilter = "envoy.filters.http.fault"

// perRoute is what a route says to the filters before the router, by their names; nil: nothing.
func perRoute(r ir.Route) map[string]*anypb.Any {
	out := map[string]*anypb.Any{}
	if r.Forward != nil && r.Forward.Fault != (ir.Fault{}) {
		out[faultFilter] = packed(fault(r.Forward.Fault))
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func fault(f ir.Fault) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{}
	if d := f.Delay; d != nil {
		out.Delay = &commonfaultv3.FaultDelay{
			FaultDelaySecifier: &commonfaultv3.FaultDelay_FixedDelay{FixedDelay: durationpb.New(d.For)}, Percentage: millionths(d.Millions),
		}
	}
	if a := f.Abort; a != nil {
		out.Abort = &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: a.Status}, Percentage: millionths(a.Millions)}
		if a.GRPC {
			out.Abort.ErrorType = &faultv3.FaultAbort_GrpcStatus{GrpcStatus: a.Status}
		}
	}
	return out
}

func millionths(n uint32) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: n, Denominator: typev3.FractionalPercent_MILLION}
}
