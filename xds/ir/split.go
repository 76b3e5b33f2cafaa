package ir

import (
	"slices"
	"time"
)

// Split divides the traffic of one host between two subsets. It comes from a persisted Rollout status only.
type Split struct {
	Key     string // namespace/name of the Rollout
	UID     string
	Host    string    // as in spec.host
	Stable  string    // subset
	Canary  string    // subset; empty at rest
	Weight  int       // canary share in percent, 0 to 100
	Seq     uint64    // traffic seq: the transition that last changed what is rendered
	Managed []string  // former stable subsets: routes in Git that still name them follow the split
	Created time.Time // of the Rollout: of two for one host the first holds; zero counts as the last
	Routes  []string  // only http routes so named; empty: all that send to stable or to the bare host
	Braked  bool      // Weight is 0 in place of what is stored: this process has found the attempt harmful
	Extra
}

// Extra is what a split renders besides weights, all of it from the stored status. The zero value is nothing.
type Extra struct {
	Match    []ClientMatch // requests that any of these holds for go to the canary, whatever the weight
	Copies   *Copies       // nil: no request is mirrored
	Affinity *Affinity     // nil: each request is divided anew
	Preview  *Preview      // nil: no other host shows an arm
}

// PreviewHost is the host that shows an arm, as written; empty: none does.
func (e Extra) PreviewHost() string {
	if e.Preview == nil {
		return ""
	}
	return e.Preview.Host
}

// ClientMatch is a condition on who asks: all parts must hold, and there is at least one.
type ClientMatch struct {
	Headers []HeaderMatch // Kind is Exact, Prefix or Regex
	Cookies []HeaderMatch // likewise, of the value of the cookie of that name
}

// Copies are requests to stable that are sent to the canary as well; its answers are dropped.
type Copies struct {
	Percent int      // 1 to 100
	Methods []string // empty: all
}

// Affinity keeps a client on its version while a canary takes part: exactly one field is set.
type Affinity struct {
	Cookie *Cookie
	Header string
}

// Preview is another host of the namespace, whose requests all go to one arm of the split.
type Preview struct {
	Host   string // as written
	Canary bool   // else stable
}

// SplitUse says where a split was rendered in one class.
type SplitUse struct {
	Key       string
	UID       string
	Seq       uint64
	Weight    int
	Rest      bool     // no canary takes part
	Braked    bool     // it is no rendering of Seq: the canary has nothing until the end of its attempt is stored
	Besides   bool     // the canary is sent requests whatever the weight: by match, copy or preview
	Tables    []string // names of route tables
	Listeners []string // names of listeners with tcp splits
	Clusters  []string // names of clusters that it sends to
}

// Gives is how much the canary is sent: its weight, and never 0 while it is sent anything.
func (u SplitUse) Gives() int {
	if u.Besides {
		return max(u.Weight, 1)
	}
	return u.Weight
}

// Equal reports whether both uses say the same.
func (u SplitUse) Equal(other SplitUse) bool {
	return u.Key == other.Key && u.UID == other.UID && u.Seq == other.Seq && u.Weight == other.Weight && u.Rest == other.Rest && u.Braked == other.Braked && u.Besides == other.Besides &&
		slices.Equal(u.Tables, other.Tables) && slices.Equal(u.Listeners, other.Listeners) && slices.Equal(u.Clusters, other.Clusters)
}

// Origin is the object and field an IR node was made from.
type Origin struct {
	Kind       string
	Namespace  string
	Name       string
	Field      string
	UID        string
	Commit     string
	Generation int64
}

// Rejection is a proxy's refusal of a resource.
type Rejection struct {
	Node     string
	TypeURL  string
	Resource string
	Version  string
	Message  string // the proxy's own text, at most 512 bytes
	At       time.Time
}

// Convergence says how far the proxies are with a split at a seq. The zero value: nothing rendered, no proxy.
type Convergence struct {
	Rendered  bool // the newest use of the split has Seq >= the one asked for, and is not braked
	Braked    bool // every class is given weight 0 in place of what is stored; the counts are of that
	Connected int  // streams that subscribe to a resource of the split
	Acked     int
	Nacked    int
	Pending   int
	Lost      int       // streams that ended while pending, for 15 s
	Away      int       // proxies that ran it when this replica sent them to another one, for 15 s; in no other count
	SettledAt time.Time // last ACK + 1 s; zero while not Done
	First     *Rejection
	Laggards  []string // node ids still pending, at most 20
}

// Done reports that every connected proxy runs the split as asked, and that there is at least one.
func (c Convergence) Done() bool {
	return c.Rendered && c.Connected > 0 && c.Acked == c.Connected && c.Nacked == 0 && c.Lost == 0
}

// Stopped reports that every connected proxy has the weight 0 of a brake, and that there is at least one. It says nothing
// of the stored weight, which is not Done meanwhile.
func (c Convergence) Stopped() bool {
	return c.Braked && c.Connected > 0 && c.Acked == c.Connected && c.Nacked == 0 && c.Lost == 0
}

// SplitFacts is what the traffic side knows about a split before it is rendered: may it be raised?
type SplitFacts struct {
	Known           bool // false until the caches are complete
	StableReady     int  // ready endpoints of the stable subset
	CanaryReady     int
	StableClusters  []string // Envoy cluster names of the arm, one per service port
	CanaryClusters  []string
	SubsetDefined   bool     // some DestinationRule defines Split.Canary (Split.Stable where Canary is empty)
	BlockingCodes   []string // Problem codes that forbid starting and raising (never lowering)
	BlockingMessage string   // first of them, in words
	// What of the arms' traffic the split does not decide: a weight cannot be read off their requests then.
	CanaryBesides bool // rules send or mirror to the canary outside the split
	StableBesides bool // rules send or mirror to stable outside the split
	// Returning are the routes that would send elsewhere without the split, in words, at most five; of a split at rest only.
	Returning []string
}
