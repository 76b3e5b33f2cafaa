package istio

import (
	"fmt"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// cors reads which origins may read a rule's answers. A bad value allows nothing: it leaves out what it stands in.
func (t *translator) cors(r rule) *ir.Cors {
	in := r.spec.GetCorsPolicy()
	at := r.field + ".corsPolicy"
	switch {
	case in == nil:
		return nil
	case t.class.Kind == ir.KindGRPC:
		t.found.policy(r.from, at, "corsPolicy in a gRPC client")
		return nil
	case r.spec.GetRedirect() != nil || r.spec.GetDirectResponse() != nil: // Envoy's filter passes over what has no upstream
		t.found.policy(r.from, at, "corsPolicy beside redirect or directResponse")
		return nil
	}
	out := &ir.Cors{
		Origins: t.corsOrigins(r, at, in),
		Methods: t.corsNames(r, at+".allowMethods", in.GetAllowMethods()),
		Headers: t.corsNames(r, at+".allowHeaders", in.GetAllowHeaders()),
		Expose:  t.corsNames(r, at+".exposeHeaders", in.GetExposeHeaders()),
		// Unset and FORWARD both let the preflight go on.
		IgnoreUnmatched: in.GetUnmatchedPreflights() == networking.CorsPolicy_IGNORE,
	}
	if v := in.GetAllowCredentials(); v != nil {
		out.Credentials = &v.Value
	}
	if in.GetMaxAge() != nil {
		age := in.GetMaxAge().AsDuration()
		if age < 0 || age%time.Second != 0 {
			t.found.fail(r.from, "S002", at+".maxAge", fmt.Sprintf("%v is no number of whole seconds", age), "give a duration such as 24h; until then it is left out")
		} else {
			out.MaxAge = &age
		}
	}
	return out
}

func (t *translator) corsOrigins(r rule, at string, in *networking.CorsPolicy) []ir.OriginMatch {
	var out []ir.OriginMatch
	for i, m := range in.GetAllowOrigins() {
		field := fmt.Sprintf("%s.allowOrigins[%d]", at, i)
		one := ir.OriginMatch{}
		switch v := m.GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			one = ir.OriginMatch{Kind: ir.Exact, Value: v.Exact}
		case *networking.StringMatch_Prefix:
			one = ir.OriginMatch{Kind: ir.Prefix, Value: v.Prefix}
		case *networking.StringMatch_Regex:
			if !t.compiles(r.from, field, v.Regex, "no origin is allowed by it") {
				continue
			}
			one = ir.OriginMatch{Kind: ir.Regex, Value: v.Regex}
		}
		if one.Value == "" || len(one.Value) > maxMatchValue {
			t.found.fail(r.from, "S002", field, fmt.Sprintf("the origin is empty or longer than %d bytes", maxMatchValue),
				"give exact, prefix or regex; until then no origin is allowed by it")
			continue
		}
		out = append(out, one)
	}
	if len(in.GetAllowOrigins()) > 0 {
		return out
	}
	for _, exact := range in.GetAllowOrigin() { //nolint:staticcheck // deprecated by Istio, still in use
		out = append(out, ir.OriginMatch{Kind: ir.Exact, Value: exact})
	}
	return out
}

func (t *translator) corsNames(r rule, at string, names []string) []string {
	var out []string
	for i, name := range names {
		if !token(name) {
			t.found.fail(r.from, "S002", fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is no name of a method or header", name), "correct it; until then it is left out")
			continue
		}
		out = append(out, name)
	}
	return out
}
