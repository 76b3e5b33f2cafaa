package sim

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Result is what becomes of a request, and under which policies. In JSON every key is always there.
type Result struct {
	Answer
	Policies
}

// Answer is the outcome.
type Answer struct {
	Outcome      Outcome       `json:"outcome"`
	Status       int           `json:"status"` // where the proxy itself answers, else 0
	VirtualHost  string        `json:"virtualHost"`
	RouteName    string        `json:"routeName"`
	Listener     string        `json:"listener"`
	Destinations []Destination `json:"destinations"` // in route order, probabilities above 0 that add up to 1
	Body         string        `json:"body"`
}

// Destination is one cluster that the request may go to.
type Destination struct {
	Cluster        string  `json:"cluster"`
	Host           string  `json:"host"`
	Subset         string  `json:"subset"`
	Port           int     `json:"port"`
	Probability    float64 `json:"probability"`
	LB             string  `json:"lb"`
	MaxConnections int     `json:"maxConnections"` // 4294967295: no bound
}

// Policies are what else the route does. They never change the outcome.
type Policies struct {
	Cors     Part[Cors]     `json:"cors"`
	Hash     []Hash         `json:"hash"`
	Rewrite  Part[Rewrite]  `json:"rewrite"`
	Redirect Part[Redirect] `json:"redirect"`
	Mirrors  []Mirror       `json:"mirrors"`
	Timeout  string         `json:"timeout"` // a Go duration; "0s" is none
	Retries  Part[Retries]  `json:"retries"`
	Fault    Part[Fault]    `json:"fault"`
	Headers  Headers        `json:"headers"`
}

// Part is something that a route may have. Absent, it is {} in JSON.
type Part[T any] struct{ V *T }

// MarshalJSON implements json.Marshaler.
func (p Part[T]) MarshalJSON() ([]byte, error) {
	if p.V == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(p.V)
}

// Rewrite is what the upstream sees in place of what the client sent.
type Rewrite struct {
	Path      string             `json:"path"`   // the resulting path, without query
	Prefix    string             `json:"prefix"` // what replaces the matched part
	Regex     Part[RegexRewrite] `json:"regex"`
	Authority string             `json:"authority"`
}

// RegexRewrite replaces everything that matches in the path.
type RegexRewrite struct {
	Pattern      string `json:"pattern"`
	Substitution string `json:"substitution"`
}

// Redirect is where the client is sent.
type Redirect struct {
	Scheme   string `json:"scheme"`
	Host     string `json:"host"`
	Port     int    `json:"port"` // 0: none given
	Path     string `json:"path"`
	Prefix   string `json:"prefix"`
	Status   int    `json:"status"`
	Location string `json:"location"` // the whole URL
}

// Mirror is a cluster that gets a copy of some of the requests.
type Mirror struct {
	Cluster  string  `json:"cluster"`
	Fraction float64 `json:"fraction"`
}

// Retries is when a failed try is made again.
type Retries struct {
	Attempts      int    `json:"attempts"`
	PerTryTimeout string `json:"perTryTimeout"` // empty: bounded by the route's timeout only
	RetryOn       string `json:"retryOn"`       // conditions and status codes
	Backoff       string `json:"backoff"`
}

// Cors is which pages of other origins may read the answer.
type Cors struct {
	AllowOrigins        []OriginMatch `json:"allowOrigins"`
	AllowMethods        []string      `json:"allowMethods"`
	AllowHeaders        []string      `json:"allowHeaders"`
	ExposeHeaders       []string      `json:"exposeHeaders"`
	MaxAge              string        `json:"maxAge"` // a Go duration; empty: the browser's default
	AllowCredentials    bool          `json:"allowCredentials"`
	UnmatchedPreflights string        `json:"unmatchedPreflights"` // FORWARD or IGNORE
}

// Hash is something by which an endpoint is chosen, where a cluster hashes; one field is set.
type Hash struct {
	Header         string `json:"header,omitempty"`
	Cookie         string `json:"cookie,omitempty"`
	SourceIP       bool   `json:"sourceIp,omitempty"`
	QueryParameter string `json:"queryParameter,omitempty"`
}

// OriginMatch is a condition on an origin; one of the three is set.
type OriginMatch struct {
	Exact  string `json:"exact,omitempty"` // * is any
	Prefix string `json:"prefix,omitempty"`
	Regex  string `json:"regex,omitempty"`
}

// Fault is what the proxy does to requests on purpose.
type Fault struct {
	Delay Part[Delay] `json:"delay"`
	Abort Part[Abort] `json:"abort"`
}

// Delay holds requests back.
type Delay struct {
	Percent    float64 `json:"percent"`
	FixedDelay string  `json:"fixedDelay"`
}

// Abort answers requests in place of an upstream, with one of the two statuses.
type Abort struct {
	Percent    float64 `json:"percent"`
	HTTPStatus int     `json:"httpStatus"`
	GRPCStatus string  `json:"grpcStatus"` // a name such as UNAVAILABLE
}

// Headers are the changes to headers: the rule's, with one destination its own included.
type Headers struct {
	Request  Edits `json:"request"`
	Response Edits `json:"response"`
}

// Edits are the changes in one direction.
type Edits struct {
	Set    map[string]string `json:"set"`
	Add    map[string]string `json:"add"`
	Remove []string          `json:"remove"`
}

func newResult() Result {
	empty := func() Edits { return Edits{Set: map[string]string{}, Add: map[string]string{}, Remove: []string{}} }
	return Result{
		Answer{Destinations: []Destination{}},
		Policies{Hash: []Hash{}, Mirrors: []Mirror{}, Timeout: "0s", Headers: Headers{empty(), empty()}},
	}
}

// follow fills in what a route does with the request.
func (t transaction) follow(out *Result, r *routev3.Route) {
	fillEdits(&out.Headers.Request, r.GetRequestHeadersToAdd(), r.GetRequestHeadersToRemove())
	fillEdits(&out.Headers.Response, r.GetResponseHeadersToAdd(), r.GetResponseHeadersToRemove())
	out.Fault.V, out.Cors.V = fault(r), cors(r)
	switch action := r.GetAction().(type) {
	case *routev3.Route_Redirect:
		out.Outcome, out.Redirect.V = Redirected, t.redirect(action.Redirect, r.GetMatch())
		out.Status = out.Redirect.V.Status
	case *routev3.Route_DirectResponse:
		out.Outcome, out.Status = DirectResponse, int(action.DirectResponse.GetStatus())
		out.Body = action.DirectResponse.GetBody().GetInlineString() + string(action.DirectResponse.GetBody().GetInlineBytes())
	case *routev3.Route_Route:
		t.forward(out, action.Route, r.GetMatch())
	}
}

// fillEdits adds changes to those of the rule, which come last and therefore hold. Of one list the later holds.
func fillEdits(into *Edits, add []*corev3.HeaderValueOption, remove []string) {
	for _, h := range slices.Backward(add) {
		list := into.Add
		if h.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			list = into.Set
		}
		if _, ruled := list[h.GetHeader().GetKey()]; !ruled {
			list[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
	}
	into.Remove = append(into.Remove, remove...)
}

// onlyCluster is the single cluster that a choice by weight leaves, with headers of its own; nil: there are several.
func onlyCluster(w *routev3.WeightedCluster) *routev3.WeightedCluster_ClusterWeight {
	if len(w.GetClusters()) != 1 {
		return nil
	}
	return w.GetClusters()[0]
}

func (t transaction) forward(out *Result, a *routev3.RouteAction, m *routev3.RouteMatch) {
	out.Outcome = Routed
	alive := t.destinations(out, a)
	if !alive {
		out.Outcome, out.Status = NoHealthyUpstream, 503
	}
	only := onlyCluster(a.GetWeightedClusters())
	fillEdits(&out.Headers.Request, only.GetRequestHeadersToAdd(), only.GetRequestHeadersToRemove())
	fillEdits(&out.Headers.Response, only.GetResponseHeadersToAdd(), only.GetResponseHeadersToRemove())
	const envoyTimeout = 15 * time.Second // where the route says nothing
	out.Timeout = envoyTimeout.String()
	if a.GetTimeout() != nil {
		out.Timeout = text(a.GetTimeout())
	}
	if p := a.GetRetryPolicy(); p != nil {
		on := []string{p.GetRetryOn()}
		for _, code := range p.GetRetriableStatusCodes() {
			on = append(on, strconv.Itoa(int(code)))
		}
		out.Retries.V = &Retries{
			Attempts: int(p.GetNumRetries().GetValue()), RetryOn: strings.Join(on, ","),
			PerTryTimeout: text(p.GetPerTryTimeout()), Backoff: text(p.GetRetryBackOff().GetBaseInterval()),
		}
	}
	for _, h := range a.GetHashPolicy() {
		out.Hash = append(out.Hash, Hash{
			h.GetHeader().GetHeaderName(), h.GetCookie().GetName(), h.GetConnectionProperties().GetSourceIp(), h.GetQueryParameter().GetName(),
		})
	}
	for _, mirror := range a.GetRequestMirrorPolicies() {
		const million = 1e6
		out.Mirrors = append(out.Mirrors, Mirror{mirror.GetCluster(), float64(mirror.GetRuntimeFraction().GetDefaultValue().GetNumerator()) / million})
	}
	if prefix, authority := a.GetPrefixRewrite(), cmp.Or(a.GetHostRewriteLiteral(), only.GetHostRewriteLiteral()); prefix != "" || authority != "" || a.GetRegexRewrite() != nil {
		out.Rewrite.V = &Rewrite{Prefix: prefix, Authority: authority, Path: rewritten(m, pathOf(t.Path), prefix)}
	}
	if re := a.GetRegexRewrite(); re != nil {
		out.Rewrite.V.Regex.V = &RegexRewrite{re.GetPattern().GetRegex(), re.GetSubstitution()}
		out.Rewrite.V.Path = substituted(pathOf(t.Path), t.parts[re.GetPattern().GetRegex()], re.GetSubstitution())
	}
}

// text is a duration as Go writes it; unset it is empty.
func text(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return d.AsDuration().String()
}

// destinations lists where the request may go; false: none of it can be served.
func (p *Proxy) destinations(out *Result, a *routev3.RouteAction) bool {
	shares := []share{{a.GetCluster(), 1}}
	if weighted := a.GetWeightedClusters(); weighted != nil {
		shares = nil
		for _, c := range weighted.GetClusters() {
			shares = append(shares, share{c.GetName(), uint64(c.GetWeight().GetValue())})
		}
	}
	return p.spread(out, shares)
}

func maxConnections(c *clusterv3.Cluster) int {
	const envoyDefault = 1024
	for _, t := range c.GetCircuitBreakers().GetThresholds() {
		if t.GetMaxConnections() != nil && t.GetPriority() == corev3.RoutingPriority_DEFAULT {
			return int(t.GetMaxConnections().GetValue())
		}
	}
	return envoyDefault
}
