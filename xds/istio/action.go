package istio

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// action is what a rule does with the requests it matches, and with some of them otherwise; false: the rule is dropped.
func (t *translator) action(r rule, catchAll bool) (ir.Route, []variant, bool) {
	out := ir.Route{Origins: r.origins()}
	var authority string
	var variants []variant
	out.Cors = t.cors(r)
	out.Headers, authority = t.headerOps(r.from, r.field+".headers", r.spec.GetHeaders())
	ok := true
	switch {
	case r.spec.GetRedirect() != nil:
		out.Redirect, ok = t.redirect(r)
	case r.spec.GetDirectResponse() != nil:
		out.Direct, ok = t.direct(r)
	default:
		out.Forward, variants = t.forward(r, catchAll, &out, authority)
	}
	t.reportUnbuilt(r)
	return out, variants, ok
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
func (t *translator) forward(r rule, catchAll bool, route *ir.Route, authority string) (*ir.Forward, []variant) {
	written := t.destinations(r)
	f := &ir.Forward{
		Timeout: t.positive(r.from, r.field+".timeout", r.spec.GetTimeout()), Retry: t.retry(r), Rewrite: t.rewrite(r), Mirrors: t.mirrors(r), Fault: t.fault(r),
	}
	f.Rewrite.Authority = cmp.Or(f.Rewrite.Authority, authority) // either beats what a destination says
	if len(written) == 1 {                                       // what the only destination says comes after what the rule says, divided or not
		route.Headers = appendOps(route.Headers, written[0].headers)
		f.Rewrite.Authority = cmp.Or(f.Rewrite.Authority, written[0].authority)
		written[0].headers, written[0].authority = ir.HeaderOps{}, ""
	}
	site := ruleSite{name: r.spec.GetName(), catchAll: catchAll, table: r.place.table, at: r.from, field: r.field}
	written = t.shown(site, written)
	laid, taken := t.overlay(site, written)
	f.Weighted = len(taken) > 0 || len(written) > 1
	f.Destinations = sent(laid)
	t.hashBy(f, len(written) == 1 && r.spec.GetRetries().GetRetryIgnorePreviousHosts() == nil)
	return f, t.extend(site, f, taken, written)
}

// sent are the destinations that get something.
func sent(ds []destination) []ir.Destination {
	var out []ir.Destination
	for _, d := range ds {
		if d.weight > 0 {
			out = append(out, ir.Destination{Cluster: d.cluster(), Weight: uint32(d.weight), Headers: d.headers, Rewrite: d.authority})
		}
	}
	return out
}

func appendOps(a, b ir.HeaderOps) ir.HeaderOps {
	join := func(a, b ir.HeaderEdit) ir.HeaderEdit {
		return ir.HeaderEdit{Set: slices.Concat(a.Set, b.Set), Add: slices.Concat(a.Add, b.Add), Remove: slices.Concat(a.Remove, b.Remove)}
	}
	return ir.HeaderOps{Request: join(a.Request, b.Request), Response: join(a.Response, b.Response)}
}
