package sim

import (
	"slices"
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

// matchHeader follows Envoy: a header that was sent several times matches by any of its values, inverted only if none
// of them does. A missing header matches nothing, inverted or not, except where presence is asked for or the missing
// one counts as empty.
func (t transaction) matchHeader(h *routev3.HeaderMatcher) bool {
	values := t.header(h.GetName())
	if p, ok := h.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); ok {
		return (len(values) > 0 == p.PresentMatch) != h.GetInvertMatch()
	}
	if len(values) == 0 {
		if !h.GetTreatMissingHeaderAsEmpty() {
			return false
		}
		values = []string{""}
	}
	return slices.ContainsFunc(values, func(v string) bool { return t.matchString(h.GetStringMatch(), v) }) != h.GetInvertMatch()
}

// header gives the values of a header, or of what HTTP/2 calls a pseudo-header.
func (t transaction) header(name string) []string {
	switch strings.ToLower(name) {
	case ":method":
		return []string{t.Method}
	case ":authority", "host":
		return []string{t.Host}
	case ":path":
		return []string{t.Path}
	case ":scheme":
		return []string{t.scheme}
	}
	return header(t.Request, name)
}

func header(req Request, name string) []string {
	var values []string
	for have, list := range req.Headers {
		if strings.EqualFold(have, name) {
			values = append(values, list...)
		}
	}
	return values
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
