package sim

import (
	"regexp"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// rewritten replaces what the route matched of the path.
func rewritten(m *routev3.RouteMatch, path, prefix string) string {
	if prefix == "" {
		return path
	}
	if p, ok := m.GetPathSpecifier().(*routev3.RouteMatch_Prefix); ok {
		return prefix + path[min(len(p.Prefix), len(path)):]
	}
	return prefix
}

// substituted replaces everything that matches. A backslash and a digit stand for a group, two backslashes for one.
func substituted(path string, re *regexp.Regexp, substitution string) string {
	if re == nil {
		return path // no proxy would take the route
	}
	var template strings.Builder
	for i := 0; i < len(substitution); i++ {
		switch c := substitution[i]; {
		case c == '$':
			template.WriteString("$$")
		case c == '\\' && i+1 < len(substitution):
			i++
			if substitution[i] == '\\' {
				template.WriteByte('\\')
			} else {
				template.WriteString("${" + substitution[i:i+1] + "}")
			}
		default:
			template.WriteByte(c)
		}
	}
	return re.ReplaceAllString(path, template.String())
}

// redirect makes the location as Envoy does.
func (t transaction) redirect(a *routev3.RedirectAction, m *routev3.RouteMatch) *Redirect {
	statuses := map[routev3.RedirectAction_RedirectResponseCode]int{
		routev3.RedirectAction_MOVED_PERMANENTLY: 301, routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
		routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308,
	}
	out := &Redirect{Scheme: a.GetSchemeRedirect(), Host: a.GetHostRedirect(), Port: int(a.GetPortRedirect()), Path: a.GetPathRedirect(), Status: statuses[a.GetResponseCode()]}
	to := t.scheme
	if out.Scheme != "" {
		to = out.Scheme
	}
	host := out.Host
	if host == "" {
		host = t.Host
		_, port, _ := strings.Cut(host[len(bareHost(host)):], ":")
		wasDefault := (t.scheme == "http" && port == "80") || (t.scheme == "https" && port == "443")
		if out.Port != 0 || (to != t.scheme && wasDefault) {
			host = bareHost(host)
		}
	}
	if out.Port != 0 {
		host += ":" + strconv.Itoa(out.Port)
	}
	path := t.Path
	out.Prefix = a.GetPrefixRewrite()
	if out.Prefix != "" {
		path = rewritten(m, pathOf(t.Path), out.Prefix) + t.Path[len(pathOf(t.Path)):]
	}
	if out.Path != "" {
		path = out.Path
		if _, q, ok := strings.Cut(t.Path, "?"); ok && !strings.Contains(path, "?") {
			path += "?" + q
		}
	}
	out.Location = to + "://" + host + path
	return out
}
