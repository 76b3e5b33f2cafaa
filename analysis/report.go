package analysis

import "time"

// Report is the verdict of one look and the numbers behind it.
type Report struct {
	Verdict  Verdict
	Reason   Reason
	Metric   string // that decided; empty where all do
	Message  string // one clause with numbers, at most 256 bytes
	At       time.Time
	LogE     float64 // ln of the evidence of harm over all metrics
	Limit    float64 // ln(1/alpha): what LogE must reach for a rollback
	Metrics  []MetricReport
	Progress Progress
	Blind    time.Duration // how long there has been no usable data; 0: there is
	Reset    bool          // the evidence given could not be used and a fresh one was begun
	Guard    *Guard        // at weight 100 only
}

// Progress says what is missing before Promote.
type Progress struct {
	Needed   int64         // canary requests, roughly; 0: none; -1: not at this rate, or not at all
	Wait     time.Duration // for them at the present rate; 0: unknown or none needed
	Observed time.Duration // in this step
	Bake     time.Duration
	Loads    *Loads    // nil: no proxy has reported in this attempt
	Lost     bool      // some windows are gone: nobody looked for too long
	Without  []Absence // optional metrics that nobody holds: they decide nothing in this attempt
}

// MetricReport shows one metric.
type MetricReport struct {
	Name     string
	Kind     Kind
	Required bool
	DryRun   bool
	Limit    float64 // the tolerated ratio of bad shares
	Tally            // of a histogram by its promotion bound, of a condition nothing
	Harm     Harm
	Safe     Safe
	Estimate Estimate
	Gap      Reason  // why there is no data now; empty: there is
	Bounds   *Bounds // of a histogram
	Gate     *Gate   // of a condition
}

// AtMost is what the canary's bad share is at most, 1 - beta sure: from the counts of the step, taking requests as independent.
func (m MetricReport) AtMost() float64 { return atMost(m.Step.Canary, m.Safe.Limit) }

// Tally is what was counted of a metric.
type Tally struct {
	Attempt  Pair // counts since the attempt began
	Step     Pair // counts of the step
	Windows  int  // closed in the attempt
	Observed time.Duration
}

// Bounds says by which bounds a histogram is judged.
type Bounds struct {
	Promotion float64 // ms: a request is bad if it is slower; 0: not chosen yet
	Judged    []Bound // by rising bound; none: not chosen yet
	Known     uint64  // of stable's requests that are needed to choose, those known
}

// NotJudged is why the attempt goes on without a metric; empty: it does not.
func (r Report) NotJudged(metric string) Reason {
	for _, a := range r.Progress.Without {
		if a.Metric == metric {
			return a.Reason
		}
	}
	return ""
}

// Loudest is the bound with the most evidence of harm; there is none before bounds are chosen.
func (b *Bounds) Loudest() (loudest Bound, ok bool) {
	if b == nil {
		return loudest, false
	}
	for _, one := range b.Judged {
		if !ok || one.LogE > loudest.LogE {
			loudest, ok = one, true
		}
	}
	return loudest, ok
}

// Bound is one of the comparisons of a histogram.
type Bound struct {
	Le   float64 // ms
	Fast bool    // it is about the requests within the bound, not those beyond
	LogE float64 // ln of its evidence of harm
}

// Gate shows a condition. Its counts are of the step.
type Gate struct {
	Standing     Standing
	Pass         int
	Fail         int
	Inconclusive int
	Errors       int // in a row
	Wanted       int // measurements, or passes in a row
	Value        float64
	Outcome      Outcome   // of the newest measurement; empty: there is none
	At           time.Time // of it
	Next         time.Time // the next measurement; zero: there is none
}

// Pair holds the counts of both arms.
type Pair struct {
	Canary Counts
	Stable Counts
}

// Harm is the evidence that the canary is worse.
type Harm struct {
	Share float64 // of the metric in the total; 0: it does not count
	LogE  float64 // ln
	Sup   float64 // the largest LogE so far
	P     float64 // anytime p value, min(1, exp(-Sup))
	Clip  float64 // ln of the process that counts a window's first event; the only one with Independent
	Vote  float64 // ln of the process that lets a window vote; 0 with Independent
}

// Safe is the evidence that the canary is not harmful, in this step.
type Safe struct {
	LogE    float64 // ln
	Limit   float64 // ln(1/beta)
	Cleared bool    // it has reached the limit in this step
	Needed  int64   // canary requests until then; 0: cleared; -1: not at this rate
}

// Estimate tells people how large an effect may be, from the counts of the step, taking requests as independent.
// It decides nothing. A nil pointer is not known.
type Estimate struct {
	Ratio      *float64 // of bad shares
	AtLeast    float64  // the ratio is at least this, 1 - alpha sure
	Difference *Interval
}

// Interval is a value with its bounds.
type Interval struct {
	Value float64
	Low   float64
	High  float64
}

// Guard shows the watch over the canary's own rate at weight 100.
type Guard struct {
	Metric string
	P0     float64 // the bad share that is still tolerated
	LogE   float64
	Limit  float64 // ln(1/alphaGuard)
}
