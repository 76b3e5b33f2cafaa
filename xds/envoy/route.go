package envoy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previousprioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/api/re2"
	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	maxDirectBody       = 1 << 20
	hostSelectionTries  = 5
	backoffFactor       = 10 // between the first pause and the longest
	previousHostsPolicy = "envoy.retry_host_predicates.previous_hosts"
	priorityTries       = 2 // tries before other priorities are preferred

	previousPrioritiesPolicy = "envoy.retry_priorities.previous_priorities"
)

func clusters(h *ir.VirtualHost) []string {
	var out []string
	for _, r := range h.Routes {
		if r.Forward == nil {
			continue
		}
		for _, d := range r.Forward.Destinations {
			out = append(out, d.Cluster)
		}
		for _, m := range r.Forward.Mirrors {
			out = append(out, m.Cluster)
		}
	}
	return out
}

// checkHost holds what a proxy checks beyond the generated rules.
func checkHost(h *ir.VirtualHost) error {
	for _, r := range h.Routes {
		if err := checkRoute(r); err != nil {
			return fmt.Errorf("route %q: %w", r.Name, err)
		}
	}
	return nil
}

func checkRoute(r ir.Route) error {
	patterns := slices.Concat(r.Match.Headers, r.Match.Query)
	if r.Match.Path.Kind == ir.PathRegex {
		patterns = append(patterns, ir.HeaderMatch{Kind: ir.Regex, Value: r.Match.Path.Value})
	}
	if r.Cors != nil {
		for _, o := range r.Cors.Origins {
			patterns = append(patterns, ir.HeaderMatch{Kind: o.Kind, Value: o.Value})
		}
	}
	if r.Forward != nil {
		patterns = append(patterns, ir.HeaderMatch{Kind: ir.Regex, Value: r.Forward.Rewrite.Regex.Pattern})
	}
	for _, p := range patterns {
		if p.Kind == ir.Regex {
			if _, err := re2.Compile(p.Value); err != nil {
				return fmt.Errorf("compiling %q: %w", p.Value, err)
			}
		}
	}
	if r.Forward == nil {
		return nil
	}
	total := uint64(0)
	for _, d := range r.Forward.Destinations {
		total += uint64(d.Weight)
	}
	switch {
	case len(r.Forward.Destinations) == 0:
		return errors.New("it has no destination")
	case r.Forward.Weighted && (total == 0 || total > math.MaxUint32):
		return fmt.Errorf("its weights add up to %d", total)
	}
	return nil
}

func (b *builder) host(h *ir.VirtualHost) *routev3.VirtualHost {
	out := &routev3.VirtualHost{Name: h.Name, Domains: h.Domains}
	if h.RequireTLS {
		out.RequireTls = routev3.VirtualHost_ALL
	}
	for _, r := range h.Routes {
		out.Routes = append(out.Routes, b.route(r))
	}
	return out
}

func (b *builder) route(r ir.Route) *routev3.Route {
	out := &routev3.Route{Name: r.Name, Match: match(r.Match), TypedPerFilterConfig: perRoute(r), StatPrefix: r.StatPrefix}
	out.RequestHeadersToAdd, out.RequestHeadersToRemove = edits(r.Headers.Request)
	out.ResponseHeadersToAdd, out.ResponseHeadersToRemove = edits(r.Headers.Response)
	switch {
	case r.Redirect != nil:
		out.Action = &routev3.Route_Redirect{Redirect: redirect(*r.Redirect)}
	case r.Direct != nil:
		direct := &routev3.DirectResponseAction{Status: uint32(r.Direct.Status)}
		if r.Direct.Body != "" {
			direct.Body = body(r.Direct.Body)
		}
		out.Action = &routev3.Route_DirectResponse{DirectResponse: direct}
	case r.Forward != nil:
		out.Action = &routev3.Route_Route{Route: b.forward(*r.Forward)}
	}
	return out
}

// body is a text where it can be one.
func body(text string) *corev3.DataSource {
	if utf8.ValidString(text) {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte(text)}}
}

func match(m ir.Match) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	switch m.Path.Kind {
	case ir.PathExact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Path.Value}
	case ir.PathRegex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.Path.Value}}
	case ir.PathPrefix:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: m.Path.Value}
	}
	if m.Path.IgnoreCase {
		out.CaseSensitive = wrapperspb.Bool(false)
	}
	for _, h := range m.Headers {
		one := &routev3.HeaderMatcher{Name: h.Name, InvertMatch: h.Invert, TreatMissingHeaderAsEmpty: h.MissingAsEmpty}
		if s := text(h); s != nil {
			one.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: s}
		} else {
			one.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		}
		out.Headers = append(out.Headers, one)
	}
	for _, q := range m.Query {
		one := &routev3.QueryParameterMatcher{Name: q.Name}
		if s := text(q); s != nil {
			one.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: s}
		} else {
			one.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}
		}
		out.QueryParameters = append(out.QueryParameters, one)
	}
	return out
}

// text is the matcher of a string; nil: any value will do.
func text(h ir.HeaderMatch) *matcherv3.StringMatcher {
	switch h.Kind {
	case ir.Exact:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: h.Value}}
	case ir.Prefix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: h.Value}}
	case ir.Regex:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: h.Value}}}
	default:
		return nil
	}
}

func edits(e ir.HeaderEdit) ([]*corev3.HeaderValueOption, []string) {
	var out []*corev3.HeaderValueOption
	add := func(list []ir.Header, action corev3.HeaderValueOption_HeaderAppendAction) {
		for _, h := range list {
			out = append(out, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: h.Name, Value: h.Value}, AppendAction: action})
		}
	}
	add(e.Set, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	add(e.Add, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
	return out, e.Remove
}

func (b *builder) forward(f ir.Forward) *routev3.RouteAction {
	out := &routev3.RouteAction{PrefixRewrite: f.Rewrite.Prefix, RetryPolicy: b.retry(f.Retry)}
	if f.Weighted {
		out.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted(f)}
	} else {
		out.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: f.Destinations[0].Cluster}
	}
	if f.Rewrite.Authority != "" {
		out.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: f.Rewrite.Authority}
	}
	if f.Rewrite.Regex.Pattern != "" {
		out.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			Pattern: &matcherv3.RegexMatcher{Regex: f.Rewrite.Regex.Pattern}, Substitution: f.Rewrite.Regex.Substitution,
		}
	}
	if f.Sticky != nil {
		one := hashPolicy(*f.Sticky)
		one.Terminal = true // what else is hashed would tell one client's requests apart
		out.HashPolicy = append(out.HashPolicy, one)
	}
	for _, h := range f.Hash {
		out.HashPolicy = append(out.HashPolicy, hashPolicy(h))
	}
	for _, m := range f.Mirrors {
		out.RequestMirrorPolicies = append(out.RequestMirrorPolicies, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster: m.Cluster, TraceSampled: wrapperspb.Bool(false),
			RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: millionths(m.Millions)},
		})
	}
	if b.kind == ir.KindGRPC {
		if f.Timeout > 0 {
			out.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(f.Timeout)}
		}
		return out
	}
	// An unset timeout would be 15 s in Envoy; 0 is none.
	out.Timeout = durationpb.New(f.Timeout)
	// A gRPC client's own deadline holds as well, within the route's.
	out.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: durationpb.New(f.Timeout)}
	return out
}

func hashPolicy(h ir.Hash) *routev3.RouteAction_HashPolicy {
	switch {
	case h.Header != "":
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: h.Header}}}
	case h.Query != "":
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_QueryParameter_{
			QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: h.Query}}}
	case h.Cookie != nil:
		out := &routev3.RouteAction_HashPolicy_Cookie{Name: h.Cookie.Name, Path: h.Cookie.Path}
		if h.Cookie.TTL != nil {
			out.Ttl = durationpb.New(*h.Cookie.TTL)
		}
		for _, a := range h.Cookie.Attributes {
			out.Attributes = append(out.Attributes, &routev3.RouteAction_HashPolicy_CookieAttribute{Name: a.Name, Value: a.Value})
		}
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{Cookie: out}}
	default:
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: h.SourceIP}}}
	}
}

func weighted(f ir.Forward) *routev3.WeightedCluster {
	out := &routev3.WeightedCluster{}
	if f.Sticky != nil {
		out.RandomValueSpecifier = &routev3.WeightedCluster_UseHashPolicy{UseHashPolicy: wrapperspb.Bool(true)}
	}
	for _, d := range f.Destinations {
		one := &routev3.WeightedCluster_ClusterWeight{Name: d.Cluster, Weight: wrapperspb.UInt32(d.Weight)}
		one.RequestHeadersToAdd, one.RequestHeadersToRemove = edits(d.Headers.Request)
		one.ResponseHeadersToAdd, one.ResponseHeadersToRemove = edits(d.Headers.Response)
		if d.Rewrite != "" {
			one.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: d.Rewrite}
		}
		out.Clusters = append(out.Clusters, one)
	}
	return out
}

func (b *builder) retry(r *ir.Retry) *routev3.RetryPolicy {
	if r == nil || r.Attempts == 0 {
		return nil
	}
	out := &routev3.RetryPolicy{
		RetryOn: r.On, NumRetries: wrapperspb.UInt32(r.Attempts), PerTryTimeout: span(r.PerTry), RetriableStatusCodes: r.Codes,
	}
	if r.Backoff > 0 {
		out.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(r.Backoff), MaxInterval: durationpb.New(backoffFactor * r.Backoff)}
	}
	if r.OtherLocalities {
		out.RetryPriority = &routev3.RetryPolicy_RetryPriority{
			Name:       previousPrioritiesPolicy,
			ConfigType: &routev3.RetryPolicy_RetryPriority_TypedConfig{TypedConfig: packed(&previousprioritiesv3.PreviousPrioritiesConfig{UpdateFrequency: priorityTries})},
		}
	}
	if r.OtherHosts && b.kind != ir.KindGRPC {
		out.HostSelectionRetryMaxAttempts = hostSelectionTries
		out.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       previousHostsPolicy,
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: packed(&previoushostsv3.PreviousHostsPredicate{})},
		}}
	}
	return out
}

func redirect(r ir.Redirect) *routev3.RedirectAction {
	out := &routev3.RedirectAction{HostRedirect: r.Authority, PortRedirect: r.Port}
	if r.Scheme != "" {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.Scheme}
	}
	switch {
	case r.Path != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: r.Path}
	case r.Prefix != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: r.Prefix}
	}
	switch r.Status {
	case 302:
		out.ResponseCode = routev3.RedirectAction_FOUND
	case 303:
		out.ResponseCode = routev3.RedirectAction_SEE_OTHER
	case 307:
		out.ResponseCode = routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		out.ResponseCode = routev3.RedirectAction_PERMANENT_REDIRECT
	default:
		out.ResponseCode = routev3.RedirectAction_MOVED_PERMANENTLY
	}
	return out
}
