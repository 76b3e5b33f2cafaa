package istio

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxBody is the longest body of a direct response in bytes.
const maxBody = 1 << 20

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
		out.Forward = t.forward(r, catchAll, &out)
		if authority != "" && out.Forward.Rewrite.Authority == "" {
			out.Forward.Rewrite.Authority = authority
		}
	}
	t.reportUnbuilt(r)
	return out, ok
}

// reportUnbuilt names the policies of a rule that are not translated.
func (t *translator) reportUnbuilt(r rule) {
	if t.class.Kind != ir.KindGRPC {
		return
	}
	for _, p := range []struct {
		set   bool
		field string
	}{
		{r.spec.GetRewrite() != nil, "rewrite"}, {r.spec.GetHeaders() != nil, "headers"},
		{r.spec.GetMirror() != nil || len(r.spec.GetMirrors()) > 0, "mirror"},
		{r.spec.GetRedirect() != nil, "redirect"}, {r.spec.GetDirectResponse() != nil, "directResponse"},
	} {
		if p.set {
			t.found.policy(r.from, r.field+"."+p.field, p.field+" in a gRPC client")
		}
	}
}

// forward sends on to clusters, with the splits laid over the destinations.
func (t *translator) forward(r rule, catchAll bool, route *ir.Route) *ir.Forward {
	written := t.destinations(r)
	f := &ir.Forward{
		Timeout: span(r.spec.GetTimeout()), Retry: t.retry(r), Rewrite: t.rewrite(r), Mirrors: t.mirrors(r), Fault: t.fault(r),
	}
	laid, split := t.overlay(ruleSite{name: r.spec.GetName(), catchAll: catchAll, table: r.place.table, at: r.from, field: r.field}, written)
	f.Weighted = split || len(written) > 1
	if !f.Weighted {
		only := laid[0]
		route.Headers = appendOps(route.Headers, only.headers)
		f.Destinations = []ir.Destination{{Cluster: only.cluster(), Weight: 1}}
		f.Rewrite.Authority = cmp.Or(f.Rewrite.Authority, only.authority)
		t.hashBy(f, true)
		return f
	}
	for _, d := range laid {
		if d.weight > 0 {
			f.Destinations = append(f.Destinations, ir.Destination{
				Cluster: d.cluster(), Weight: uint32(d.weight), Headers: d.headers, Rewrite: d.authority,
			})
		}
	}
	t.hashBy(f, len(written) == 1)
	return f
}

func appendOps(a, b ir.HeaderOps) ir.HeaderOps {
	join := func(a, b ir.HeaderEdit) ir.HeaderEdit {
		return ir.HeaderEdit{Set: slices.Concat(a.Set, b.Set), Add: slices.Concat(a.Add, b.Add), Remove: slices.Concat(a.Remove, b.Remove)}
	}
	return ir.HeaderOps{Request: join(a.Request, b.Request), Response: join(a.Response, b.Response)}
}

// defaultRetryOn holds what a retry cannot make worse; a plain 503 is not among it.
const defaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"

func defaultRetry() *ir.Retry { return &ir.Retry{Attempts: 2, On: defaultRetryOn, OtherHosts: true} }

func (t *translator) retry(r rule) *ir.Retry {
	in := r.spec.GetRetries()
	if in == nil {
		return defaultRetry()
	}
	if in.GetRetryRemoteLocalities() != nil {
		t.found.policy(r.from, r.field+".retries.retryRemoteLocalities", "retryRemoteLocalities")
	}
	if in.GetRetryIgnorePreviousHosts() != nil {
		t.found.policy(r.from, r.field+".retries.retryIgnorePreviousHosts", "retryIgnorePreviousHosts")
	}
	if in.GetAttempts() <= 0 {
		return nil
	}
	out := &ir.Retry{Attempts: uint32(in.GetAttempts()), On: defaultRetryOn, OtherHosts: true, PerTry: span(in.GetPerTryTimeout()), Backoff: span(in.GetBackoff())}
	if in.GetRetryOn() == "" {
		return out
	}
	var on []string
	for word := range strings.SplitSeq(in.GetRetryOn(), ",") {
		word = strings.TrimSpace(word)
		if code, err := strconv.Atoi(word); err == nil && code >= 100 && code <= 599 {
			out.Codes = append(out.Codes, uint32(code))
		} else if word != "" {
			on = append(on, word)
		}
	}
	if len(out.Codes) > 0 && !slices.Contains(on, "retriable-status-codes") {
		on = append(on, "retriable-status-codes")
	}
	out.On = strings.Join(on, ",")
	return out
}

func (t *translator) mirrors(r rule) []ir.Mirror {
	var out []ir.Mirror
	add := func(at string, d *networking.Destination, percent *networking.Percent) {
		share := 100.0
		if percent != nil {
			share = percent.GetValue()
		}
		if share < 0 || share > 100 {
			t.found.fail(r.from, "S002", at, fmt.Sprintf("%v is not a percentage", share), "give a number from 0 to 100; until then nothing is mirrored")
			return
		}
		if share > 0 {
			out = append(out, ir.Mirror{Cluster: t.resolve(r, at, d).cluster(), Millions: uint32(math.Round(share * 10000))})
		}
	}
	if m := r.spec.GetMirror(); m != nil {
		percent := r.spec.GetMirrorPercentage()
		if old := r.spec.GetMirrorPercent(); percent == nil && old != nil { //nolint:staticcheck // deprecated by Istio, still in use
			percent = &networking.Percent{Value: float64(old.GetValue())}
		}
		add(r.field+".mirror", m, percent)
	}
	for i, m := range r.spec.GetMirrors() {
		add(fmt.Sprintf("%s.mirrors[%d].destination", r.field, i), m.GetDestination(), m.GetPercentage())
	}
	return out
}

func (t *translator) redirect(r rule) (*ir.Redirect, bool) {
	in := r.spec.GetRedirect()
	out := &ir.Redirect{Scheme: in.GetScheme(), Authority: in.GetAuthority(), Path: in.GetUri(), Prefix: in.GetPrefixRewrite(), Status: 301}
	switch code := in.GetRedirectCode(); code {
	case 0, 301:
	case 302, 303, 307, 308:
		out.Status = int(code)
	default:
		t.found.fail(r.from, "S028", r.field+".redirect.redirectCode", fmt.Sprintf("%d is no redirect", code),
			"use 301, 302, 303, 307 or 308; until then the rule is left out")
		return nil, false
	}
	if in.GetPrefixRewrite() != "" && in.GetUri() != "" {
		t.found.fail(r.from, "S026", r.field+".redirect", "redirect has uri beside prefixRewrite", "keep one of them; until then the rule is left out")
		return nil, false
	}
	switch port := in.GetRedirectPort().(type) {
	case *networking.HTTPRedirect_Port:
		out.Port = port.Port
	case *networking.HTTPRedirect_DerivePort:
		if port.DerivePort == networking.HTTPRedirect_FROM_PROTOCOL_DEFAULT {
			t.found.info(r.from, "S080", r.field+".redirect.derivePort", "the port of a redirect follows its scheme anyway", "leave derivePort out")
		} else {
			out.Port = uint32(r.place.port)
		}
	}
	if (out.Scheme == "http" && out.Port == 80) || (out.Scheme == "https" && out.Port == 443) {
		out.Port = 0
	}
	return out, true
}

func (t *translator) direct(r rule) (*ir.Direct, bool) {
	in := r.spec.GetDirectResponse()
	if in.GetStatus() < 200 || in.GetStatus() > 599 {
		t.found.fail(r.from, "S002", r.field+".directResponse.status", fmt.Sprintf("%d is no status code", in.GetStatus()),
			"use a number from 200 to 599; until then the rule is left out")
		return nil, false
	}
	body := in.GetBody().GetString_()
	if b := in.GetBody().GetBytes(); len(b) > 0 {
		body = string(b)
	}
	if len(body) > maxBody {
		t.found.fail(r.from, "S002", r.field+".directResponse.body", "the body is longer than 1 MiB", "shorten it; until then the rule is left out")
		return nil, false
	}
	return &ir.Direct{Status: int(in.GetStatus()), Body: body}, true
}

// headerOps reads changes to headers, and the authority where Host is set.
func (t *translator) headerOps(m Meta, at string, in *networking.Headers) (ir.HeaderOps, string) {
	var out ir.HeaderOps
	request, authority := t.headerEdit(m, at+".request", in.GetRequest())
	response, host := t.headerEdit(m, at+".response", in.GetResponse())
	if host != "" {
		t.found.policy(m, at+".response.set", "setting the host of a response")
	}
	out.Request, out.Response = request, response
	return out, authority
}

func (t *translator) headerEdit(m Meta, at string, in *networking.Headers_HeaderOperations) (ir.HeaderEdit, string) {
	var out ir.HeaderEdit
	authority := ""
	for _, name := range sortedKeys(in.GetSet()) {
		switch lower := strings.ToLower(name); {
		case lower == "host" || lower == ":authority":
			authority = in.GetSet()[name]
		case t.settable(m, at+".set", name):
			out.Set = append(out.Set, ir.Header{Name: name, Value: in.GetSet()[name]})
		}
	}
	for _, name := range sortedKeys(in.GetAdd()) {
		if t.settable(m, at+".add", name) {
			out.Add = append(out.Add, ir.Header{Name: name, Value: in.GetAdd()[name]})
		}
	}
	for _, name := range slices.Sorted(slices.Values(in.GetRemove())) {
		if t.settable(m, at+".remove", name) {
			out.Remove = append(out.Remove, name)
		}
	}
	return out, authority
}

// settable reports whether a header may be changed at all: no pseudo header, and a legal name.
func (t *translator) settable(m Meta, at, name string) bool {
	if strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
		t.found.policy(m, at, "changing the header "+name)
		return false
	}
	if !token(name) {
		t.found.fail(m, "S002", at, fmt.Sprintf("%q is no header name", name), "correct it; until then this header is left as it is")
		return false
	}
	return true
}

// token reports whether text may be the name of a header or a method.
func token(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) })
}
