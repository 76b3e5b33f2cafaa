package istio

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/re2"
	"github.com/sluice-dev/sluice/xds/ir"
)

// The bounds of what a match may hold, in bytes.
const (
	maxMatchValue = 4096
	maxRegex      = 1024
)

// place is where in the mesh rules are put: a table, and what selects rules for it.
type place struct {
	table    string
	port     int             // the listener's or server's
	gateways map[string]bool // namespace/name, or mesh
	tls      bool            // clients speak TLS
}

func (p place) scheme() string {
	if p.tls {
		return "https"
	}
	return "http"
}

// match translates a match entry; false: it is dropped, so that no rule matches more than is written.
func (t *translator) match(from Meta, at string, m *networking.HTTPMatchRequest) (ir.Match, bool) {
	c := matchReader{t: t, from: from, ok: true}
	var out ir.Match
	out.Path = c.path(at, m)
	for _, pseudo := range []struct {
		name, field string
		match       *networking.StringMatch
	}{{":authority", "authority", m.GetAuthority()}, {":method", "method", m.GetMethod()}, {":scheme", "scheme", m.GetScheme()}} {
		if pseudo.match != nil {
			out.Headers = append(out.Headers, c.text(at+"."+pseudo.field, pseudo.name, pseudo.match))
		}
	}
	out.Headers = append(out.Headers, c.headers(at, m)...)
	for _, name := range sortedKeys(m.GetQueryParams()) {
		out.Query = append(out.Query, c.parameter(fmt.Sprintf("%s.queryParams[%q]", at, name), name, m.GetQueryParams()[name]))
	}
	if t.class.Kind == ir.KindGRPC {
		c.grpc(at, m)
	}
	return out, c.ok
}

// matchReader reads the parts of one match entry; ok turns false when the entry must be dropped.
type matchReader struct {
	t    *translator
	from Meta
	ok   bool
}

func (c *matchReader) path(at string, m *networking.HTTPMatchRequest) ir.PathMatch {
	uri := m.GetUri()
	if uri == nil {
		return ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}
	}
	h := c.text(at+".uri", "uri", uri)
	out := ir.PathMatch{Value: h.Value, IgnoreCase: m.GetIgnoreUriCase()}
	switch h.Kind {
	case ir.Exact:
		out.Kind = ir.PathExact
	case ir.Regex:
		out.Kind, out.IgnoreCase = ir.PathRegex, false
		if m.GetIgnoreUriCase() {
			c.t.found.policy(c.from, at+".ignoreUriCase", "ignoreUriCase beside a regular expression")
		}
	case ir.Prefix:
		out.Kind = ir.PathPrefix
	case ir.Present:
		return ir.PathMatch{Kind: ir.PathPrefix, Value: "/"}
	}
	return out
}

func (c *matchReader) headers(at string, m *networking.HTTPMatchRequest) []ir.HeaderMatch {
	var out []ir.HeaderMatch
	for _, name := range sortedKeys(m.GetHeaders()) {
		field := fmt.Sprintf("%s.headers[%q]", at, name)
		if strings.HasPrefix(name, "@") {
			c.drop(field, "a match on claims of a token")
			continue
		}
		out = append(out, c.text(field, name, m.GetHeaders()[name]))
	}
	for _, name := range sortedKeys(m.GetWithoutHeaders()) {
		field := fmt.Sprintf("%s.withoutHeaders[%q]", at, name)
		if strings.HasPrefix(name, "@") {
			c.drop(field, "a match on claims of a token")
			continue
		}
		h := c.text(field, name, m.GetWithoutHeaders()[name])
		h.Invert, h.MissingAsEmpty = true, h.Kind != ir.Present
		out = append(out, h)
	}
	slices.SortStableFunc(out, func(a, b ir.HeaderMatch) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		default:
			return 0
		}
	})
	return out
}

// parameter reads the match of a query parameter, whose name may be any text.
func (c *matchReader) parameter(field, name string, m *networking.StringMatch) ir.HeaderMatch {
	out := c.text(field, "x", m)
	out.Name = name
	if name == "" || len(name) > maxRegex {
		c.ok = false
		c.t.found.fail(c.from, "S002", field, fmt.Sprintf("a name has 1 to %d bytes", maxRegex), "correct it; until then the match entry is left out")
	}
	return out
}

// text reads a string match. No specifier, and the regular expression "*", mean present.
func (c *matchReader) text(field, name string, m *networking.StringMatch) ir.HeaderMatch {
	out := ir.HeaderMatch{Name: name}
	empty := false
	switch v := m.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		out.Kind, out.Value = ir.Exact, v.Exact
	case *networking.StringMatch_Prefix:
		out.Kind, out.Value = ir.Prefix, v.Prefix
		empty = v.Prefix == ""
	case *networking.StringMatch_Regex:
		if v.Regex == "*" {
			return out
		}
		out.Kind, out.Value = ir.Regex, v.Regex
		empty = v.Regex == ""
		if !c.t.compiles(c.from, field, v.Regex, "the match entry is left out") {
			c.ok = false
		}
	}
	const until = "until then the match entry is left out"
	switch {
	case !token(strings.TrimPrefix(name, ":")) || len(name) > maxMatchValue:
		c.ok = false
		c.t.found.fail(c.from, "S002", field, fmt.Sprintf("%q is no name", name), "correct it; "+until)
	case empty:
		c.ok = false
		c.t.found.fail(c.from, "S002", field, "the value is empty", "say what to match, or leave the specifier out for any value; "+until)
	case len(out.Value) > maxMatchValue:
		c.ok = false
		c.t.found.fail(c.from, "S002", field, fmt.Sprintf("the value is longer than %d bytes", maxMatchValue), "shorten it; "+until)
	}
	return out
}

// grpc drops what a gRPC client would skip or never match, silently.
func (c *matchReader) grpc(at string, m *networking.HTTPMatchRequest) {
	if len(m.GetQueryParams()) > 0 {
		c.drop(at+".queryParams", "a match on query parameters in a gRPC client")
	}
	for _, name := range sortedKeys(m.GetWithoutHeaders()) { // it takes a missing header for a mismatch, even of what is inverted
		if h := m.GetWithoutHeaders()[name]; h.GetMatchType() != nil && h.GetRegex() != "*" {
			c.drop(fmt.Sprintf("%s.withoutHeaders[%q]", at, name), "withoutHeaders with a value in a gRPC client")
		}
	}
	if m.GetStatPrefix() != "" {
		c.t.found.policy(c.from, at+".statPrefix", "statPrefix in a gRPC client")
	}
	if m.GetMethod() != nil || m.GetAuthority() != nil || m.GetScheme() != nil {
		c.drop(at, "a match on method, authority or scheme in a gRPC client")
	}
}

func (c *matchReader) drop(field, what string) {
	c.ok = false
	c.t.found.selection(c.from, field, what)
}

// compiles reports a regular expression that no proxy would take, and what becomes of it until it is corrected.
func (t *translator) compiles(m Meta, field, pattern, until string) bool {
	wrong := fmt.Sprintf("it is longer than %d bytes", maxRegex)
	if len(pattern) <= maxRegex {
		_, err := re2.Compile(pattern)
		if err == nil {
			return true
		}
		wrong = err.Error()
	}
	t.found.fail(m, "S027", field, fmt.Sprintf("no proxy takes the regular expression %q: %s", pattern, wrong), "correct it (RE2 syntax); until then "+until)
	return false
}
