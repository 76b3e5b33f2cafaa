package istio

import (
	"cmp"
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// maxBody is the longest body of a direct response in bytes.
const maxBody = 1 << 20

const maxPort = 65535

// redirect reads where a client is sent; false: the rule is dropped.
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
	for _, one := range []struct{ field, text string }{{"scheme", in.GetScheme()}, {"authority", in.GetAuthority()}, {"uri", in.GetUri()}, {"prefixRewrite", in.GetPrefixRewrite()}} {
		if !printable(one.text) {
			t.found.fail(r.from, "S002", r.field+".redirect."+one.field, "it holds a control character, or is longer than 4096 bytes", "correct it; until then the rule is left out")
			return nil, false
		}
	}
	switch port := in.GetRedirectPort().(type) {
	case *networking.HTTPRedirect_Port:
		if port.Port > maxPort {
			t.found.fail(r.from, "S002", r.field+".redirect.port", fmt.Sprintf("%d is no port", port.Port), "give a number up to 65535; until then the rule is left out")
			return nil, false
		}
		out.Port = port.Port
	case *networking.HTTPRedirect_DerivePort:
		if port.DerivePort == networking.HTTPRedirect_FROM_REQUEST_PORT {
			out.Port = uint32(r.place.port)
		}
	}
	scheme := cmp.Or(out.Scheme, r.place.scheme())
	if (scheme == "http" && out.Port == 80) || (scheme == "https" && out.Port == 443) {
		out.Port = 0
	}
	return out, true
}

// direct reads an answer without any upstream; false: the rule is dropped.
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
