package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

// delegation finds what rules delegate to: VirtualServices without hosts, whose rules take the place of the delegating one.
type delegation struct {
	x     *index
	known map[string]typed[*networking.VirtualService] // by namespace/name
	used  map[string]bool
}

// expand gives the rules that stand in the place of a delegating one; none when it cannot be followed. It gives one more than
// the limit where there are more.
func (d delegation) expand(root typed[*networking.VirtualService], r httpRule, limit int) []httpRule {
	at := r.field + ".delegate"
	to := r.spec.GetDelegate()
	key := cmp.Or(to.GetNamespace(), root.Namespace) + "/" + to.GetName()
	delegate, known := d.known[key]
	switch {
	case len(r.spec.GetRoute()) > 0 || r.spec.GetRedirect() != nil || r.spec.GetDirectResponse() != nil:
		d.x.found.fail(root.Meta, "S026", r.field, "delegate stands beside route, redirect or directResponse", "keep one of them; until then the rule is left out")
		return nil
	case !known || len(delegate.Spec.GetHosts()) > 0:
		d.x.found.warn(root.Meta, "S016", at, fmt.Sprintf("there is no VirtualService %s without hosts", key), "create it, or correct the name; until then the rule is left out")
		return nil
	}
	d.used[key] = true
	if !registry.Exported(delegate.Spec.GetExportTo(), delegate.Namespace, root.Namespace) {
		d.x.found.warn(root.Meta, "S017", at, fmt.Sprintf("VirtualService %s is not exported to namespace %s", key, root.Namespace),
			"export it; until then the rule is left out")
		return nil
	}
	var out []httpRule
	for _, one := range d.x.ownRules(delegate) {
		if len(out) > limit {
			break
		}
		if one.spec.GetDelegate() != nil {
			d.x.found.fail(delegate.Meta, "S026", one.field+".delegate", "a delegate delegates in turn", "delegate to the last VirtualService directly; until then the rule is left out")
			continue
		}
		merged, ok := d.merge(root.Namespace, r.spec, delegate.Namespace, one.spec)
		if !ok {
			d.x.found.fail(delegate.Meta, "S026", one.field+".match", fmt.Sprintf("a match is wider than, or conflicts with, that of %s %s", root.ref(), r.field),
				"match only what the delegating rule matches; until then the rule is left out there")
			continue
		}
		one.spec = merged
		out = append(out, one)
	}
	return out
}

// reportUnused names VirtualServices without hosts that have no effect, or not the one written.
func (d delegation) reportUnused(all []typed[*networking.VirtualService]) {
	for _, vs := range all {
		if len(vs.Spec.GetHosts()) > 0 {
			continue
		}
		if !d.used[vs.Namespace+"/"+vs.Name] {
			d.x.found.warn(vs.Meta, "S020", "spec", "it has no hosts, and no VirtualService delegates to it", "give it hosts, delegate to it, or remove it")
		}
		if len(vs.Spec.GetGateways())+len(vs.Spec.GetTcp())+len(vs.Spec.GetTls()) > 0 {
			d.x.found.fail(vs.Meta, "S026", "spec", "gateways, tcp and tls have no effect in a VirtualService without hosts", "move them to the VirtualService that delegates to it")
		}
	}
}

// merge is the delegate's rule with what it does not say taken from the root's; false: it reaches beyond the root's match.
func (d delegation) merge(rootNamespace string, root *networking.HTTPRoute, namespace string, delegate *networking.HTTPRoute) (*networking.HTTPRoute, bool) {
	out, base := proto.CloneOf(delegate), proto.CloneOf(root)
	qualify(out.GetMatch(), namespace)
	qualify(base.GetMatch(), rootNamespace)
	matches, ok := mergeMatches(base.GetMatch(), out.GetMatch())
	if !ok {
		return nil, false
	}
	out.Match, out.Name = matches, hyphened(root.GetName(), delegate.GetName())
	if out.Mirror == nil && len(out.Mirrors) == 0 {
		for _, to := range targets(base)[len(base.GetRoute()):] {
			to.Host = ResolveHost(to.GetHost(), rootNamespace, d.x.in.suffix())
		}
		out.Mirror, out.Mirrors = base.Mirror, base.Mirrors
	}
	if out.MirrorPercentage == nil && out.MirrorPercent == nil { //nolint:staticcheck // deprecated by Istio, still in use
		out.MirrorPercentage, out.MirrorPercent = base.MirrorPercentage, base.MirrorPercent //nolint:staticcheck // as above
	}
	inherit(&out.Rewrite, base.Rewrite)
	inherit(&out.Timeout, base.Timeout)
	inherit(&out.Retries, base.Retries)
	inherit(&out.Fault, base.Fault)
	inherit(&out.CorsPolicy, base.CorsPolicy)
	inherit(&out.Headers, base.Headers)
	return out, true
}

// qualify writes gateways so that they mean the same in every namespace.
func qualify(matches []*networking.HTTPMatchRequest, namespace string) {
	for _, m := range matches {
		if len(m.GetGateways()) > 0 {
			m.Gateways = gatewayNames(m.GetGateways(), namespace)
		}
	}
}

func inherit[T any](into **T, from *T) {
	if *into == nil {
		*into = from
	}
}

func hyphened(root, delegate string) string {
	if root == "" || delegate == "" {
		return root + delegate
	}
	return root + "-" + delegate
}

// mergeMatches narrows each match of the delegate by those of the root that cover it; false: some is covered by none.
func mergeMatches(root, delegate []*networking.HTTPMatchRequest) ([]*networking.HTTPMatchRequest, bool) {
	switch {
	case len(root) == 0:
		return delegate, true
	case len(delegate) == 0:
		return root, true
	}
	var out []*networking.HTTPMatchRequest
	for _, leaf := range delegate {
		before := len(out)
		for _, m := range root {
			if coversMatch(m, leaf) {
				out = append(out, mergeMatch(m, leaf))
			}
			if len(out) > maxMatches { // one more says that there are too many
				return out, true
			}
		}
		if len(out) == before {
			return nil, false
		}
	}
	return out, true
}

func mergeMatch(root, leaf *networking.HTTPMatchRequest) *networking.HTTPMatchRequest {
	out := proto.CloneOf(leaf)
	out.Name = hyphened(root.GetName(), leaf.GetName())
	inherit(&out.Uri, root.GetUri())
	inherit(&out.Scheme, root.GetScheme())
	inherit(&out.Method, root.GetMethod())
	inherit(&out.Authority, root.GetAuthority())
	out.Headers = overlaid(root.GetHeaders(), leaf.GetHeaders())
	out.WithoutHeaders = overlaid(root.GetWithoutHeaders(), leaf.GetWithoutHeaders())
	out.QueryParams = overlaid(root.GetQueryParams(), leaf.GetQueryParams())
	out.SourceLabels = overlaid(root.GetSourceLabels(), leaf.GetSourceLabels())
	out.SourceNamespace = cmp.Or(leaf.GetSourceNamespace(), root.GetSourceNamespace())
	out.StatPrefix = cmp.Or(leaf.GetStatPrefix(), root.GetStatPrefix())
	out.Port = cmp.Or(leaf.GetPort(), root.GetPort())
	if len(out.Gateways) == 0 {
		out.Gateways = root.GetGateways()
	}
	return out
}

func overlaid[V any](root, leaf map[string]V) map[string]V {
	if len(root) == 0 {
		return leaf
	}
	out := maps.Clone(root)
	maps.Copy(out, leaf)
	return out
}

// coversMatch reports whether a root's match says nothing that the leaf, where it speaks of the same, does not narrow.
func coversMatch(root, leaf *networking.HTTPMatchRequest) bool {
	for _, pair := range [][2]*networking.StringMatch{
		{root.GetUri(), leaf.GetUri()}, {root.GetScheme(), leaf.GetScheme()}, {root.GetMethod(), leaf.GetMethod()}, {root.GetAuthority(), leaf.GetAuthority()},
	} {
		if !coversText(pair[0], pair[1]) {
			return false
		}
	}
	for name, m := range leaf.GetWithoutHeaders() {
		if of, both := root.GetWithoutHeaders()[name]; both && !proto.Equal(of, m) {
			return false
		}
	}
	for name, value := range leaf.GetSourceLabels() {
		if of, both := root.GetSourceLabels()[name]; both && of != value {
			return false
		}
	}
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return coversTexts(root.GetHeaders(), leaf.GetHeaders()) && coversTexts(root.GetQueryParams(), leaf.GetQueryParams()) &&
		root.GetIgnoreUriCase() == leaf.GetIgnoreUriCase() && !differ(root.GetSourceNamespace(), leaf.GetSourceNamespace()) &&
		(root.GetPort() == 0 || leaf.GetPort() == 0 || root.GetPort() == leaf.GetPort()) && coversGateways(root.GetGateways(), leaf.GetGateways())
}

func coversTexts(root, leaf map[string]*networking.StringMatch) bool {
	for name, m := range leaf {
		if !coversText(root[name], m) {
			return false
		}
	}
	return true
}

// coversGateways reports whether all of the leaf's gateways are the root's.
func coversGateways(root, leaf []string) bool {
	return len(root) == 0 || !slices.ContainsFunc(leaf, func(name string) bool { return !slices.Contains(root, name) })
}

// coversText reports whether whatever the leaf matches the root matches too. As in Istio, of regular expressions nothing is known.
func coversText(root, leaf *networking.StringMatch) bool {
	if root == nil || leaf == nil || anyValue(root) {
		return true
	}
	switch of := root.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		m, ok := leaf.GetMatchType().(*networking.StringMatch_Exact)
		return ok && m.Exact == of.Exact
	case *networking.StringMatch_Prefix:
		switch m := leaf.GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			return strings.HasPrefix(m.Exact, of.Prefix)
		case *networking.StringMatch_Prefix:
			return strings.HasPrefix(m.Prefix, of.Prefix)
		}
	}
	return false
}

// anyValue reports whether a match asks for presence only.
func anyValue(m *networking.StringMatch) bool { return m.GetMatchType() == nil || m.GetRegex() == "*" }
