package sim

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// matches reports whether a route's conditions all hold.
func (t transaction) matches(m *routev3.RouteMatch) bool {
	if !t.matchPath(m, pathOf(t.Path)) {
		return false
	}
	for _, h := range m.GetHeaders() {
		if !t.matchHeader(h) {
			return false
		}
	}
	for _, q := range m.GetQueryParameters() {
		value, found := query(t.Path, q.GetName())
		if s := q.GetStringMatch(); !found || (s != nil && !t.matchString(s, value)) {
			return false
		}
	}
	return true
}

func (t transaction) matchPath(m *routev3.RouteMatch, path string) bool {
	fold := m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	if fold {
		path = strings.ToLower(path)
	}
	lower := func(s string) string {
		if fold {
			return strings.ToLower(s)
		}
		return s
	}
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		return strings.HasPrefix(path, lower(p.Prefix))
	case *routev3.RouteMatch_Path:
		return path == lower(p.Path)
	case *routev3.RouteMatch_SafeRegex:
		return t.matchRegex(p.SafeRegex.GetRegex(), path)
	default:
		return false
	}
}

// matchHeader follows Envoy: a missing header matches nothing, inverted or not, except where presence is asked for or
// the missing one counts as empty.
func (t transaction) matchHeader(h *routev3.HeaderMatcher) bool {
	value, found := t.header(h.GetName())
	if p, ok := h.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); ok {
		return (found == p.PresentMatch) != h.GetInvertMatch()
	}
	if !found && !h.GetTreatMissingHeaderAsEmpty() {
		return false
	}
	return t.matchString(h.GetStringMatch(), value) != h.GetInvertMatch()
}

// header gives the value of a header, or of what HTTP/2 calls a pseudo-header; several values are joined.
func (t transaction) header(name string) (string, bool) {
	switch strings.ToLower(name) {
	case ":method":
		return t.Method, true
	case ":authority", "host":
		return t.Host, true
	case ":path":
		return t.Path, true
	case ":scheme":
		return t.scheme, true
	}
	return header(t.Request, name)
}

func header(req Request, name string) (string, bool) {
	var values []string
	for have, list := range req.Headers {
		if strings.EqualFold(have, name) {
			values = append(values, list...)
		}
	}
	return strings.Join(values, ","), len(values) > 0
}

// query gives the first value of a query parameter, as it was sent.
func query(target, name string) (string, bool) {
	_, text, _ := strings.Cut(target, "?")
	text, _, _ = strings.Cut(text, "#")
	for pair := range strings.SplitSeq(text, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name && pair != "" {
			return value, true
		}
	}
	return "", false
}

func (t transaction) matchString(m *matcherv3.StringMatcher, value string) bool {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return value == p.Exact
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(value, p.Prefix)
	case *matcherv3.StringMatcher_SafeRegex:
		return t.matchRegex(p.SafeRegex.GetRegex(), value)
	default:
		return false
	}
}
