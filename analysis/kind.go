package analysis

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the way a criterion looks at the arms. The zero value means the kind of what the Source holds, and KindRatio
// where it holds nothing.
type Kind string

// The kinds of criteria.
const (
	KindRatio     Kind = "ratio"     // bad requests out of all, canary against stable
	KindHistogram Kind = "histogram" // up to eight ratios "slower than a bound", canary against stable
	KindCondition Kind = "condition" // a threshold on the value of a query: a gate, outside alpha
)

// Source is what a criterion reads. At most one of Ratio, Histogram and Condition is set; none: the built-in metric of
// the criterion's name.
type Source struct {
	Kind      Kind
	Optional  bool       `json:",omitempty"` // where nobody holds it, the attempt goes on without it, and says so
	Ratio     *Ratio     `json:",omitempty"`
	Histogram *Histogram `json:",omitempty"`
	Condition *Condition `json:",omitempty"`
}

// Limits say when the measurements of a condition pass its gate and when they fail it. All counts are of one step.
type Limits struct {
	Interval     time.Duration `json:",omitempty"` // between measurements; 60 s
	InitialDelay time.Duration `json:",omitempty"` // after every proxy has acknowledged the weight; 10 s. Negative: none
	Count        int           `json:",omitempty"` // measurements wanted; 0: until the step ends
	Failures     int           `json:",omitempty"` // fails allowed; -1: any number
	Inconclusive int           `json:",omitempty"` // inconclusive measurements allowed
	Errors       int           `json:",omitempty"` // errors in a row before the verdict is Blind; 4. Negative: none
	Successes    int           `json:",omitempty"` // passes in a row that pass the gate early; 0: off
	Hold         bool          `json:",omitempty"` // too many fails hold the step, where they would roll back
}

// Bounds of what histograms and conditions may ask for.
const (
	MaxHistograms = 3  // of a Config
	MaxBounds     = 64 // of a histogram, as read
	KeptBounds    = 8  // of these, as judged
	MinInterval   = 5 * time.Second
	maxLimit      = 1000 // of the counts of Limits
)

// kind is the Kind that the source has by itself.
func (s Source) kind() Kind {
	switch {
	case s.Kind != "":
		return s.Kind
	case s.Histogram != nil:
		return KindHistogram
	case s.Condition != nil:
		return KindCondition
	default:
		return KindRatio
	}
}

// own reports that the source is somebody's own, which other targets may count than proxies.
func (s Source) own() bool { return s.Ratio != nil || s.Histogram != nil }

// goods reports that good events are counted, not bad ones.
func (s Source) goods() bool { return s.Ratio != nil && s.Ratio.Good != "" }

func (s Source) validate() []error {
	var errs []error
	set := map[Kind]bool{KindRatio: s.Ratio != nil, KindHistogram: s.Histogram != nil, KindCondition: s.Condition != nil}
	if _, known := set[s.Kind]; !known {
		errs = append(errs, fmt.Errorf("kind is %q: want %s, %s or %s", s.Kind, KindRatio, KindHistogram, KindCondition))
	}
	for _, other := range []Kind{KindRatio, KindHistogram, KindCondition} {
		if set[other] && other != s.Kind {
			errs = append(errs, fmt.Errorf("a %s cannot be judged as a %s", other, s.Kind))
		}
	}
	if r := s.Ratio; r != nil && (r.Total == "" || (r.Bad == "") == (r.Good == "")) {
		errs = append(errs, errors.New("a ratio needs total, and either bad or good"))
	}
	if h := s.Histogram; h != nil && h.Buckets == "" {
		errs = append(errs, errors.New("a histogram needs buckets"))
	}
	if h := s.Histogram; h != nil && h.Unit != "" && h.Unit != Seconds && h.Unit != Milliseconds {
		errs = append(errs, fmt.Errorf("unit is %q: want %s or %s", h.Unit, Seconds, Milliseconds))
	}
	if s.Kind == KindCondition && (s.Condition == nil || s.Condition.Query == "" || s.Condition.Pass+s.Condition.Fail == "") {
		errs = append(errs, errors.New("a condition needs a query, and pass, fail or both"))
	}
	return errs
}

func (l Limits) withDefaults() Limits {
	or(&l.Interval, time.Minute)
	or(&l.InitialDelay, 10*time.Second)
	or(&l.Errors, 4)
	return l
}

func (l Limits) validate() []error {
	var errs []error
	addf := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.Interval < MinInterval || l.Interval > time.Hour {
		addf("interval is %v: want %v to 1h", l.Interval, MinInterval)
	}
	if l.InitialDelay > time.Hour {
		addf("initialDelay is %v: want at most 1h", l.InitialDelay)
	}
	for _, n := range []struct {
		name         string
		least, count int
	}{
		{"count", 0, l.Count}, {"failureLimit", -1, l.Failures}, {"inconclusiveLimit", 0, l.Inconclusive},
		{"consecutiveErrorLimit", -1, l.Errors}, {"consecutiveSuccessLimit", 0, l.Successes},
	} {
		if n.count < n.least || n.count > maxLimit {
			addf("%s is %d: want %d to %d", n.name, n.count, n.least, maxLimit)
		}
	}
	if l.Count > 0 && l.Successes > l.Count {
		addf("consecutiveSuccessLimit %d can never be reached in a count of %d", l.Successes, l.Count)
	}
	return errs
}
