package rollout

import (
	"slices"
	"time"
)

// Traffic is what the proxies are asked to do.
type Traffic struct {
	Step    int    // from 1; 0 is before the first step
	Weight  int    // canary's share in percent
	Seq     uint64 // transition that last changed what is rendered; convergence is asked for it
	Settled uint64 // newest Seq that every connected proxy was seen to have acknowledged
	Extra
}

// Extra is what a step renders besides its weight. The zero value is nothing.
type Extra struct {
	Match    []Match   // requests for which any holds go to the canary
	Mirror   Mirror    // copies of stable's requests
	Affinity *Affinity // keeps clients on their version
	Preview  string    // the preview host while it shows the canary
}

// Match is a condition on who asks; all parts must hold.
type Match struct {
	Headers []Condition
	Cookies []Condition
}

// Condition is one on the value of a header or cookie.
type Condition struct {
	Name  string
	Kind  Comparison
	Value string
}

// Comparison is how a value is compared.
type Comparison string

// The comparisons.
const (
	Exact  Comparison = "exact"
	Prefix Comparison = "prefix"
	Regex  Comparison = "regex"
)

// Mirror says which of stable's requests are copied to the canary. The zero value: none.
type Mirror struct {
	Percent int
	Methods []string
}

// Affinity keeps clients on their version: by a cookie, or by the header where one is named.
type Affinity struct {
	Header string
	Cookie Cookie
}

// Cookie is the cookie by which clients are told apart.
type Cookie struct {
	Name     string
	MaxAge   time.Duration
	Path     string
	SameSite string
	Secure   bool
}

// Sends reports that the canary gets requests.
func (t Traffic) Sends() bool { return t.Weight > 0 || t.sends() }

// sends reports that the canary gets requests whatever the weight.
func (e Extra) sends() bool { return len(e.Match) > 0 || e.Mirror.Percent > 0 }

// Sends reports that a step sends the canary requests: some to answer or copies.
func (s Stage) Sends() bool { return s.Weight > 0 || s.selects() }

// selects reports that a step sends the canary requests of another mix than stable's.
func (p Parts) selects() bool { return len(p.Match) > 0 || p.Mirror.Percent > 0 }

func (e Extra) equal(o Extra) bool {
	return slices.EqualFunc(e.Match, o.Match, Match.equal) && e.Mirror.equal(o.Mirror) && e.Preview == o.Preview &&
		(e.Affinity == nil) == (o.Affinity == nil) && (e.Affinity == nil || *e.Affinity == *o.Affinity)
}

func (m Match) equal(o Match) bool {
	return slices.Equal(m.Headers, o.Headers) && slices.Equal(m.Cookies, o.Cookies)
}

func (m Mirror) equal(o Mirror) bool {
	return m.Percent == o.Percent && slices.Equal(m.Methods, o.Methods)
}

// rises reports that o asks for more of the canary than e: a match or a mirror that was not there.
func (e Extra) rises(o Extra) bool {
	for _, m := range o.Match {
		if !slices.ContainsFunc(e.Match, m.equal) {
			return true
		}
	}
	return o.Mirror.Percent > 0 && !e.Mirror.equal(o.Mirror)
}

// Raises reports that going from t to o sends the canary more: more weight, or a match or mirror that was not there.
func (t Traffic) Raises(o Traffic) bool { return o.Weight > t.Weight || t.rises(o.Extra) }
