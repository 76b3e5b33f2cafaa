package istio

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
)

// variant is a copy of a rule for some of its requests.
type variant struct {
	headers []ir.HeaderMatch // sorted by name; all hold, besides the rule's own
	forward *ir.Forward
}

// besides reports whether the canary is sent requests whatever the weight.
func (s *split) besides() bool {
	return s.Canary != "" && (len(s.Match) > 0 || s.Copies != nil || s.Preview != nil && s.Preview.Canary)
}

// maxVariants bounds how many copies of a rule the matches of several splits may make together.
const maxVariants = 64

// varied is a route with its variants before it.
func varied(route ir.Route, variants []variant) []ir.Route {
	var out []ir.Route
	for _, v := range variants {
		one := route
		one.Variant, one.Forward = true, v.forward
		one.Match.Headers = slices.Concat(route.Match.Headers, v.headers)
		slices.SortStableFunc(one.Match.Headers, func(a, b ir.HeaderMatch) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, one)
	}
	return append(out, route)
}

// extend gives a rule what the splits that it takes part in ask for besides weights: clients stay on their version, copies
// are sent to the canary, and variants send some requests to the canary whatever the weight.
func (t *translator) extend(site ruleSite, f *ir.Forward, taken []*split, written []destination) []variant {
	t.stick(site, f, taken)
	out := t.chosen(site, f, taken, written)
	return append(out, t.copied(site, f, taken, written)...)
}

// stick makes the choice of a version depend on who asks, by the first split that wants that. Without a canary there is
// nothing to choose.
func (t *translator) stick(site ruleSite, f *ir.Forward, taken []*split) {
	for _, s := range taken {
		if s.Affinity == nil || s.Canary == "" || f.Sticky != nil {
			continue
		}
		if t.class.Kind == ir.KindGRPC {
			t.found.policy(s.meta, "spec.affinity", "affinity in a gRPC client")
			continue
		}
		f.Sticky = &ir.Hash{Header: s.Affinity.Header, Cookie: s.Affinity.Cookie}
	}
}

// choice says, split by split, which of its matches holds for a request; -1: none is looked at.
type choice []int

// chosen are the variants for requests that some split sends to its canary whatever the weight. Where several splits do,
// the requests that more of them have chosen come first.
func (t *translator) chosen(site ruleSite, f *ir.Forward, taken []*split, written []destination) []variant {
	picks := []choice{{}}
	for _, s := range taken {
		var next []choice
		for _, p := range picks {
			if s.Canary != "" {
				for i := range s.Match {
					next = append(next, append(slices.Clone(p), i))
				}
			}
			next = append(next, append(slices.Clone(p), -1))
		}
		picks = next
	}
	picks = picks[:len(picks)-1] // the last one picks nothing: the rule itself
	if len(picks) > maxVariants {
		for _, s := range taken {
			t.found.fail(s.meta, "S070", "spec.steps", fmt.Sprintf("the matches of %d Rollouts would make %d copies of %s %s; at most %d are made, so none is",
				len(taken), len(picks), site.at.ref(), site.field, maxVariants), "match on less in some of the Rollouts, or let each have a rule of its own")
		}
		return nil
	}
	out := make([]variant, 0, len(picks))
	for _, p := range picks {
		out = append(out, t.variantOf(site, f, taken, written, p))
	}
	return out
}

func (t *translator) variantOf(site ruleSite, f *ir.Forward, taken []*split, written []destination, p choice) variant {
	var out variant
	all := map[*split]bool{}
	for i, m := range p {
		if m >= 0 {
			all[taken[i]] = true
			out.headers = append(out.headers, clientMatch(taken[i].Match[m])...)
		}
	}
	laid, _ := divided(taken, written, func(s *split, port int) arms {
		a := t.armsOf(s, port)
		if all[s] && t.hasCluster(port, s.Canary, s.host) {
			a.weight = 100
		}
		return a
	})
	for i, s := range taken {
		if p[i] >= 0 {
			t.use(site, s, s.fed(laid))
		}
	}
	forward := *f
	forward.Destinations = sent(laid)
	out.forward = &forward
	return out
}

// clientMatch is a condition on who asks, as conditions on headers. A cookie is one of several in a header.
func clientMatch(m ir.ClientMatch) []ir.HeaderMatch {
	out := slices.Clone(m.Headers)
	for _, c := range m.Cookies {
		value := regexp.QuoteMeta(c.Value)
		switch c.Kind {
		case ir.Prefix:
			value += "[^;]*"
		case ir.Regex:
			value = "(?:" + c.Value + ")"
		case ir.Exact, ir.Present:
		}
		out = append(out, ir.HeaderMatch{Name: "cookie", Kind: ir.Regex, Value: `(?:.*;\s*)?` + regexp.QuoteMeta(c.Name) + "=" + value + `(?:;.*)?`})
	}
	return out
}

// copied gives a rule, or a variant of it for some methods, the mirror that the first split asks for that wants one. Where
// requests of the rule also go elsewhere than to the split's host and port, copies of those cannot be told apart.
func (t *translator) copied(site ruleSite, f *ir.Forward, taken []*split, written []destination) []variant {
	i := slices.IndexFunc(taken, func(s *split) bool { return s.Copies != nil && s.Canary != "" })
	if i < 0 {
		return nil
	}
	s := taken[i]
	port := written[0].port
	switch {
	case t.class.Kind == ir.KindGRPC:
		t.found.policy(s.meta, "spec.steps", "mirror in a gRPC client")
		return nil
	case slices.ContainsFunc(written, func(d destination) bool { return d.host != s.host || d.port != port || d.fixed }):
		t.found.warn(s.meta, "S071", "spec.steps", fmt.Sprintf("%s %s also sends elsewhere than to port %d of %s, so its requests are not mirrored", site.at.ref(), site.field, port, s.host),
			"give the host a rule of its own")
		return nil
	case !t.hasCluster(port, s.Canary, s.host): // S062 says so
		return nil
	}
	mirror := ir.Mirror{Cluster: ir.ClusterName(port, s.Canary, s.host), Millions: uint32(s.Copies.Percent) * 10000}
	t.use(site, s, []string{mirror.Cluster})
	mirrors := slices.Concat(f.Mirrors, []ir.Mirror{mirror})
	if len(s.Copies.Methods) == 0 {
		f.Mirrors = mirrors
		return nil
	}
	forward := *f
	forward.Mirrors = mirrors
	quoted := make([]string, 0, len(s.Copies.Methods))
	for _, m := range s.Copies.Methods {
		quoted = append(quoted, regexp.QuoteMeta(m))
	}
	return []variant{{headers: []ir.HeaderMatch{{Name: ":method", Kind: ir.Regex, Value: strings.Join(quoted, "|")}}, forward: &forward}}
}

// shown puts, in the place of a host that previews a split, the arm that it shows.
func (t *translator) shown(site ruleSite, ds []destination) []destination {
	out := ds
	for i, d := range ds {
		s := t.preview(d.host)
		if s == nil || d.fixed || !t.owns(s) {
			continue
		}
		arm := s.Stable
		if s.Preview.Canary && s.Canary != "" {
			arm = s.Canary
		}
		if !t.hasCluster(d.port, arm, s.host) {
			t.found.fail(s.meta, "S062", "spec.previewHost", fmt.Sprintf("port %d of %s has no subset %q to show at %s", d.port, s.host, arm, d.host),
				"define the subset in a DestinationRule that the callers see, and give both services the same port; until then the preview host serves its own endpoints")
			continue
		}
		if sameSlice(out, ds) {
			out = slices.Clone(ds)
		}
		out[i].host, out[i].subset, out[i].fixed = s.host, arm, true
		t.use(site, s, []string{out[i].cluster()})
	}
	return out
}

// readPreview notes the host that shows an arm of a split.
func (x *index) readPreview(s *split) {
	if s.Preview == nil {
		return
	}
	s.previewHost = ResolveHost(s.Preview.Host, s.meta.Namespace, x.in.suffix())
	own := slices.ContainsFunc(x.servicesOf(s.previewHost), func(svc *service) bool { return svc.shape.Namespace == s.meta.Namespace })
	switch {
	case !own:
		x.found.fail(s.meta, "S060", "spec.previewHost", fmt.Sprintf("namespace %s has no service with the host %s", s.meta.Namespace, s.previewHost),
			"create the service, or name one of this namespace")
	case s.previewHost == s.host:
		x.found.fail(s.meta, "S060", "spec.previewHost", "it is the host whose traffic moves", "name another service of the namespace")
	case x.previews[s.previewHost] != nil:
		x.found.fail(s.meta, "S061", "spec.previewHost", fmt.Sprintf("Rollout %s already shows a version at %s", x.previews[s.previewHost].Key, s.previewHost), "name another service")
	default:
		x.previews[s.previewHost] = s
	}
}
