package ir

import "time"

// Route says what happens to the requests it matches: exactly one of Forward, Redirect and Direct is set.
type Route struct {
	Name       string
	Match      Match
	Forward    *Forward
	Redirect   *Redirect
	Direct     *Direct
	Headers    HeaderOps
	Cors       *Cors  // nil: pages of other origins are not looked at
	StatPrefix string // empty: no statistics of its own
	Origins    []Origin
	// Variant: the route is for some of the requests of the next one that is none, and stays before it.
	Variant bool
}

// Cors says which pages of other origins may read the answers.
type Cors struct {
	Origins         []OriginMatch // in the order written; none: no page may
	Methods         []string
	Headers         []string
	Expose          []string
	MaxAge          *time.Duration // whole seconds; nil: the browser's default
	Credentials     *bool          // nil: the browser's default
	IgnoreUnmatched bool           // preflights of other origins end here, in place of going on
}

// OriginMatch is a condition on the origin of a page. Kind is Exact, Prefix or Regex; "*" as Exact is any origin.
type OriginMatch struct {
	Kind  StringKind
	Value string
}

// Match is a condition on a request; all parts must hold. The zero value matches every request.
type Match struct {
	Path    PathMatch
	Headers []HeaderMatch // sorted by name
	Query   []HeaderMatch // query parameters, sorted by name
}

// CatchAll reports whether every request matches, however it is written.
func (m Match) CatchAll() bool {
	if len(m.Headers) > 0 || len(m.Query) > 0 {
		return false
	}
	switch m.Path.Kind {
	case PathPrefix:
		return m.Path.Value == "" || m.Path.Value == "/"
	case PathRegex:
		return m.Path.Value == ".*"
	default:
		return false
	}
}

// PathMatch is a condition on the path without its query.
type PathMatch struct {
	Kind       PathKind
	Value      string
	IgnoreCase bool // not for PathRegex
}

// PathKind is how a path is compared. The zero value is PathPrefix.
type PathKind int

// The kinds of path matches. A prefix is a plain string prefix: "/product" matches "/products".
const (
	PathPrefix PathKind = iota
	PathExact
	PathRegex // the whole path
)

// HeaderMatch is a condition on a header or query parameter.
type HeaderMatch struct {
	Name           string
	Kind           StringKind
	Value          string
	Invert         bool
	MissingAsEmpty bool // a missing header is compared as ""
}

// StringKind is how a string is compared. The zero value is Present.
type StringKind int

// The kinds of string matches.
const (
	Present StringKind = iota
	Exact
	Prefix
	Regex // the whole string
)

// Forward sends a request on to clusters.
type Forward struct {
	Destinations []Destination // in the order written; at least one
	Weighted     bool          // the choice is by weight, even with a single destination
	Timeout      time.Duration // 0: none
	Retry        *Retry        // nil: no retries
	Rewrite      Rewrite
	Mirrors      []Mirror
	Fault        Fault
	Hash         []Hash // what the choice of an endpoint depends on, where a cluster hashes
	Sticky       *Hash  // with Weighted: what the choice of a destination depends on, and that of an endpoint; nil: chance
}

// Hash is one thing of a request by which an endpoint is chosen: exactly one field is set.
type Hash struct {
	Header   string
	Query    string
	SourceIP bool
	Cookie   *Cookie
}

// Cookie is set in the answer where the client has none of its name, if TTL is given.
type Cookie struct {
	Name       string
	Path       string
	TTL        *time.Duration // 0: until the browser ends; nil: never set
	Attributes []Header
}

// Fault makes requests slow or fails them. Nil parts do nothing.
type Fault struct {
	Delay *Delay
	Abort *Abort
}

// Delay holds requests back before they are sent on.
type Delay struct {
	Millions uint32 // of a million requests; above 0
	For      time.Duration
}

// Abort answers requests without any upstream. Exactly one status counts: the gRPC one where GRPC is set.
type Abort struct {
	Millions uint32 // of a million requests; above 0
	GRPC     bool
	Status   uint32
}

// Destination is one cluster and its share.
type Destination struct {
	Cluster string
	Weight  uint32 // relative to the others'; not used unless Weighted
	Headers HeaderOps
	Rewrite string // authority; empty: as the client sent it
}

// Retry says when a failed try is made again.
type Retry struct {
	Attempts   uint32
	On         string // Envoy's conditions, comma separated
	Codes      []uint32
	PerTry     time.Duration // 0: the route's timeout
	Backoff    time.Duration // 0: Envoy's default
	OtherHosts bool          // avoid hosts already tried
	// OtherLocalities lets later tries go to endpoints further away.
	OtherLocalities bool
}

// Rewrite changes what the upstream sees. Empty fields change nothing.
type Rewrite struct {
	Prefix    string // replaces the matched path or prefix
	Regex     RegexRewrite
	Authority string
}

// RegexRewrite replaces everything in the path that matches, but not in its query. An empty Pattern changes nothing.
type RegexRewrite struct {
	Pattern      string
	Substitution string // \1 is what the first group matched, \0 the whole match, \\ a backslash
}

// Mirror sends a copy of requests to a cluster and drops the answers.
type Mirror struct {
	Cluster  string
	Millions uint32 // of a million requests
}

// Redirect answers with another location. Empty fields keep the request's part.
type Redirect struct {
	Scheme    string
	Authority string
	Port      uint32
	Path      string
	Prefix    string // replaces the matched prefix; not with Path
	Status    int    // 301, 302, 303, 307 or 308
}

// Direct answers without any upstream.
type Direct struct {
	Status int
	Body   string // any bytes
}

// HeaderOps changes headers of a request on its way up and of its answer on its way down.
type HeaderOps struct {
	Request  HeaderEdit
	Response HeaderEdit
}

// HeaderEdit is a list of changes to headers, each sorted by name.
type HeaderEdit struct {
	Set    []Header // replaces or adds
	Add    []Header // adds another value
	Remove []string
}

// Header is a name and a value.
type Header struct {
	Name  string
	Value string
}

// Empty reports whether nothing is changed.
func (o HeaderOps) Empty() bool {
	e := func(x HeaderEdit) bool { return len(x.Set)+len(x.Add)+len(x.Remove) == 0 }
	return e(o.Request) && e(o.Response)
}
