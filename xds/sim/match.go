package sim

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// matches reports whether a route's conditions all hold.
func matches(m *routev3.RouteMatch, req Request) bool {
	if !matchPath(m, pathOf(req.Path)) {
		return false
	}
	for _, h := range m.GetHeaders() {
		if !matchHeader(h, req) {
			return false
		}
	}
	for _, q := range m.GetQueryParameters() {
		value, found := query(req.Path, q.GetName())
		if s := q.GetStringMatch(); !found || (s != nil && !matchString(s, value)) {
			return false
		}
	}
	return true
}

func matchPath(m *routev3.RouteMatch, path string) bool {
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
		return matchRegex(p.SafeRegex.GetRegex(), path)
	default:
		return false
	}
}

// matchHeader follows Envoy: a missing header matches nothing, inverted or not, except where presence is asked for or
// the missing one counts as empty.
func matchHeader(h *routev3.HeaderMatcher, req Request) bool {
	value, found := header(req, h.GetName())
	if p, ok := h.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); ok {
		return (found == p.PresentMatch) != h.GetInvertMatch()
	}
	if !found && !h.GetTreatMissingHeaderAsEmpty() {
		return false
	}
	return matchString(h.GetStringMatch(), value) != h.GetInvertMatch()
}

func header(req Request, name string) (string, bool) {
	switch strings.ToLower(name) {
	case ":method":
		return req.Method, true
	case ":authority", "host":
		return req.Host, true
	case ":path":
		return req.Path, true
	case ":scheme":
		return scheme(req), true
	}
	var values []string
	for have, list := range req.Headers {
		if strings.EqualFold(have, name) {
			values = append(values, list...)
		}
	}
	return strings.Join(values, ","), len(values) > 0
}

func scheme(req Request) string {
	if req.TLS {
		return "https"
	}
	return "http"
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

func matchString(m *matcherv3.StringMatcher, value string) bool {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return value == p.Exact
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(value, p.Prefix)
	case *matcherv3.StringMatcher_SafeRegex:
		return matchRegex(p.SafeRegex.GetRegex(), value)
	default:
		return false
	}
}

// matchRegex matches the whole text; a pattern that does not compile matches nothing.
func matchRegex(pattern, text string) bool {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && re.MatchString(text)
}
