package istio

import (
	"fmt"
	"math"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// fault reads the delay and the abort of a rule. A bad value leaves out the one it stands in.
func (t *translator) fault(r rule) ir.Fault {
	in := r.spec.GetFault()
	var out ir.Fault
	if d := in.GetDelay(); d != nil {
		out.Delay = t.delay(r, d)
	}
	if a := in.GetAbort(); a != nil {
		out.Abort = t.abort(r, a)
	}
	return out
}

func (t *translator) delay(r rule, in *networking.HTTPFaultInjection_Delay) *ir.Delay {
	at := r.field + ".fault.delay"
	percent := in.GetPercentage()
	if old := in.GetPercent(); percent == nil && old != 0 { //nolint:staticcheck // deprecated by Istio, still in use
		percent = &networking.Percent{Value: float64(old)}
	}
	share, ok := t.share(r, at, percent)
	fixed := in.GetFixedDelay().AsDuration()
	switch {
	case in.GetExponentialDelay() != nil:
		t.found.policy(r.from, at+".exponentialDelay", "exponentialDelay")
		return nil
	case fixed < time.Millisecond:
		t.found.fail(r.from, "S002", at+".fixedDelay", fmt.Sprintf("%v is no delay", fixed),
			"give a duration of at least 1ms; until then nothing is delayed")
		return nil
	case !ok || share == 0:
		return nil
	}
	return &ir.Delay{Millions: share, For: fixed}
}

func (t *translator) abort(r rule, in *networking.HTTPFaultInjection_Abort) *ir.Abort {
	at := r.field + ".fault.abort"
	share, ok := t.share(r, at, in.GetPercentage())
	out := &ir.Abort{Millions: share}
	switch e := in.GetErrorType().(type) {
	case *networking.HTTPFaultInjection_Abort_HttpStatus:
		if e.HttpStatus < 200 || e.HttpStatus > 599 {
			t.found.fail(r.from, "S002", at+".httpStatus", fmt.Sprintf("%d is no status code", e.HttpStatus),
				"use a number from 200 to 599; until then nothing is aborted")
			return nil
		}
		out.Status = uint32(e.HttpStatus)
	case *networking.HTTPFaultInjection_Abort_GrpcStatus:
		code, known := ir.ParseGRPCStatus(e.GrpcStatus)
		if !known {
			t.found.fail(r.from, "S002", at+".grpcStatus", fmt.Sprintf("%q is no gRPC status", e.GrpcStatus),
				"use a name such as UNAVAILABLE; until then nothing is aborted")
			return nil
		}
		out.GRPC, out.Status = true, code
	case *networking.HTTPFaultInjection_Abort_Http2Error:
		t.found.policy(r.from, at+".http2Error", "http2Error")
		return nil
	default:
		t.found.fail(r.from, "S002", at, "the abort has no status", "give httpStatus or grpcStatus; until then nothing is aborted")
		return nil
	}
	if !ok || share == 0 {
		return nil
	}
	return out
}

// share is a percentage in millionths; unset is 0. False: it is none.
func (t *translator) share(r rule, at string, percent *networking.Percent) (uint32, bool) {
	value := percent.GetValue()
	if !(value >= 0 && value <= 100) { // the negation also holds for what is no number
		t.found.fail(r.from, "S002", at+".percentage", fmt.Sprintf("%v is not a percentage", value), "give a number from 0 to 100; until then no request is touched")
		return 0, false
	}
	return uint32(math.Round(value * 10000)), true
}
