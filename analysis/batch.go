package analysis

import "time"

// Counts is what one arm did in a stretch of time. Bad is at most N. Started is known from load reports only: what was
// sent, finished or not. Le is known of histograms only: of the N, how many took at most each bound of the window.
type Counts struct {
	N       uint64   `json:"n"`
	Bad     uint64   `json:"bad"`
	Started uint64   `json:"started,omitempty"`
	Le      []uint64 `json:"le,omitempty"`
}

// plus adds what does not belong to the bounds of a window.
func (c Counts) plus(o Counts) Counts {
	return Counts{N: c.N + o.N, Bad: c.Bad + o.Bad, Started: c.Started + o.Started}
}

// Window holds the increments of both arms over Start < t <= End, read under the state of Seq.
type Window struct {
	Metric string
	Seq    uint64
	Start  time.Time
	End    time.Time
	Canary Counts
	Stable Counts
	Le     []float64 // of a histogram: the rising finite bounds, in ms, that both arms count by
	// What only increments of load reports have.
	Open      uint64        // requests of stable's that were not finished at the end
	Endpoints []Endpoint    // of the canary, where proxies tell them apart
	Unseen    time.Duration // of the window, in which nobody reported anything
}

// Moment is the state of a Rollout at the time of a look.
type Moment struct {
	At        time.Time    // now; the only clock there is
	Seq       uint64       // sequence number of the state; windows read under another one are dropped
	Step      int          // from 1; a new one begins a step
	Weight    int          // percent of the canary; at 100 the guard takes over
	Endpoints int          // ready canary endpoints
	Since     time.Time    // when this weight was asked for
	Settled   time.Time    // when every connected proxy had it, or canary endpoints came back from zero; zero while shifting
	Traffic   TrafficCheck // how the share of the canary is held against Weight
}

// Batch is what one look brings: Collect builds it from reads, sluice judge from recorded lines.
type Batch struct {
	Moment
	Windows  []Window   // closed, after the warm-up
	Rules    []Window   // increments for the hard rules: any length, also from shifting and warm-up
	Coverage []Coverage // of each metric that could be read
	Gaps     []Gap      // of each metric that could not
	// Loads are the increments that proxies reported of both arms, second by second: for the metric attempts, the hard
	// rules and the traffic check.
	Loads        []Window
	Measurements []Measurement       // of conditions
	Bases        map[string][]Bucket // of histograms whose bounds are not chosen, where stable's hour could be read
	Stands       bool                // Coverage and Gaps are of an earlier look, and stand until the next
	Soft         bool                // the hard rules decide nothing: what sluice judge and simulate can be asked for
}

// Measurement is one look at a condition.
type Measurement struct {
	Metric  string
	At      time.Time
	Outcome Outcome
	Value   float64  // the canary's
	Stable  *float64 // nil: the condition does not name it
	Reason  Reason   // of Blind, where the outcome is OutcomeError
	Detail  string   // why it is, for people
}

// Outcome is what a measurement found. The zero value is not valid.
type Outcome string

// The outcomes of measurements.
const (
	OutcomePass         Outcome = "Pass"
	OutcomeFail         Outcome = "Fail"
	OutcomeInconclusive Outcome = "Inconclusive"
	OutcomeError        Outcome = "Error" // nothing that the expressions can be held against
)

// Gap says that a metric could not be read at this look.
type Gap struct {
	Metric string
	Reason Reason
	Detail string // for people, at most 256 bytes
}

// Coverage says what a read of a metric held besides its closed windows.
type Coverage struct {
	Metric     string
	Length     time.Duration // of windows; 0: not known yet
	Interval   time.Duration // between scrapes; 0: not known yet
	Cursor     time.Time     // end of the last window, closed or dropped
	Newest     time.Time     // sample; zero: there is none
	LastCanary time.Time     // last sample time at which the arm's requests had grown
	LastStable time.Time
	Expected   int       // targets that had a sample in the last 5 min
	Missing    int       // of these, without one in the last 3 intervals
	Total      bool      // some arm has a series of requests
	Bounds     []float64 // of a histogram: the finite bounds that both arms have, in ms; nil: of another kind, or unknown
	Lost       bool      // the cursor had fallen too far behind and was moved: data lost, none repeated
}

// settled is how long after its time a sample is surely read, timers included.
const settled = settleTime + 100*time.Millisecond

// Due is when the next sample is worth a look; zero: nothing is known of samples.
func (c Coverage) Due() time.Time {
	if c.Interval == 0 || c.Newest.IsZero() {
		return time.Time{}
	}
	return c.Newest.Add(c.Interval + settled)
}

// MaxOpen is how long a window may wait for a request of both arms before it is dropped.
const MaxOpen = 10 * time.Minute
