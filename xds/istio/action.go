package istio

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// action is what a rule does with the requests it matches; false: the rule is dropped.
func (t *translator) action(r rule, catchAll bool) (ir.Route, bool) {
	out := ir.Route{Origins: r.origins()}
	var authority string
	out.Cors = t.cors(r)
	out.Headers, authority = t.headerOps(r.from, r.field+".headers", r.spec.GetHeaders())
	ok := true
	switch {
	case r.spec.GetRedirect() != nil:
		out.Redirect, ok = t.redirect(r)
	case r.spec.GetDirectResponse() != nil:
		out.Direct, ok = t.direct(r)
	default:
		out.Forward = t.forward(r, catchAll, &out, authority)
	}
	t.reportUnbuilt(r)
	return out, ok
}

// reportUnbuilt names the policies of a rule that are not translated.
func (t *translator) reportUnbuilt(r rule) {
	type policy struct {
		set   bool
		field string
	}
	mirrors := policy{r.spec.GetMirror() != nil || len(r.spec.GetMirrors()) > 0, "mirror"}
	if r.spec.GetRedirect() != nil || r.spec.GetDirectResponse() != nil {
		for _, p := range []policy{{r.spec.GetTimeout() != nil, "timeout"}, {r.spec.GetRetries() != nil, "retries"}, mirrors} {
			if p.set {
				t.found.policy(r.from, r.field+"."+p.field, p.field+" beside redirect or directResponse")
			}
		}
	}
	if t.class.Kind != ir.KindGRPC {
		return
	}
	for _, p := range []policy{
		{r.spec.GetRewrite() != nil, "rewrite"}, {r.spec.GetHeaders() != nil, "headers"},
		mirrors,
		{r.spec.GetRedirect() != nil, "redirect"}, {r.spec.GetDirectResponse() != nil, "directResponse"},
	} {
		if p.set {
			t.found.policy(r.from, r.field+"."+p.field, p.field+" in a gRPC client")
		}
	}
}

// forward sends on to clusters, with the splits laid over the destinations.
func (t *translator) forward(r rule, catchAll bool, route *ir.Route, authority string) *ir.Forward {
	written := t.destinations(r)
	f := &ir.Forward{
		Timeout: t.positive(r.from, r.field+".timeout", r.spec.GetTimeout()), Retry: t.retry(r), Rewrite: t.rewrite(r), Mirrors: t.mirrors(r), Fault: t.fault(r),
	}
	f.Rewrite.Authority = cmp.Or(f.Rewrite.Authority, authority) // either beats what a destination says
	laid, split := t.overlay(ruleSite{name: r.spec.GetName(), catchAll: catchAll, table: r.place.table, at: r.from, field: r.field}, written)
	f.Weighted = split || len(written) > 1
	single := len(written) == 1 && r.spec.GetRetries().GetRetryIgnorePreviousHosts() == nil
	if len(written) == 1 { // what the only destination says comes after what the rule says, divided or not
		route.Headers = appendOps(route.Headers, written[0].headers)
		f.Rewrite.Authority = cmp.Or(f.Rewrite.Authority, written[0].authority)
		for i := range laid {
			laid[i].headers, laid[i].authority = ir.HeaderOps{}, ""
		}
	}
	for _, d := range laid {
		if d.weight > 0 {
			f.Destinations = append(f.Destinations, ir.Destination{
				Cluster: d.cluster(), Weight: uint32(d.weight), Headers: d.headers, Rewrite: d.authority,
			})
		}
	}
	t.hashBy(f, single)
	return f
}

func appendOps(a, b ir.HeaderOps) ir.HeaderOps {
	join := func(a, b ir.HeaderEdit) ir.HeaderEdit {
		return ir.HeaderEdit{Set: slices.Concat(a.Set, b.Set), Add: slices.Concat(a.Add, b.Add), Remove: slices.Concat(a.Remove, b.Remove)}
	}
	return ir.HeaderOps{Request: join(a.Request, b.Request), Response: join(a.Response, b.Response)}
}
