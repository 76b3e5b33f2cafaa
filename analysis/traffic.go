package analysis

import (
	"errors"
	"math"
	"slices"
	"time"
)

// The traffic check asks whether the canary is sent the share that it should have, to a factor of trafficBand in the odds.
const (
	trafficBand  = 1.25
	trafficLimit = 100
	trafficDelay = 10 * time.Second // after every proxy has acknowledged the weight
	trafficHold  = time.Minute      // a mismatch holds at least
	trafficSides = 2
)

// trafficSteps are the alternatives as factors of the odds beyond the band.
func trafficSteps() [trafficBets]float64 { return [trafficBets]float64{1.25, 2, 5, 50} }

// trafficBets is how many there are.
const trafficBets = 4

// TrafficCheck says how the share of the canary is held against its weight. The zero value is both ways.
type TrafficCheck int

// The ways of the traffic check.
const (
	CheckBoth TrafficCheck = iota // too much and too little are a mismatch
	CheckLow                      // only too little: rules besides the split send or mirror to the canary
	CheckNone                     // stable gets requests outside the split, so nothing is known
)

// String implements fmt.Stringer.
func (c TrafficCheck) String() string {
	switch c {
	case CheckBoth:
		return "both ways"
	case CheckLow:
		return "too little"
	case CheckNone:
		return "none"
	default:
		return "unknown"
	}
}

// shareState is the memory of the traffic check, fresh at each step. Its wealths are those of too much, then of too little.
type shareState struct {
	Wealth []logw `json:"l"`
	Since  int64  `json:"since"`           // Unix ms, of the process
	Alarm  int64  `json:"alarm,omitempty"` // the last one; 0: none
	Took   int64  `json:"took,omitempty"`  // ms until it
	Newest int64  `json:"cur"`             // Unix ms, of what was taken in
}

func (s *shareState) check() error {
	switch {
	case s == nil:
		return nil
	case len(s.Wealth) != trafficSides*trafficBets || s.Took < 0:
		return errors.New("the traffic check is not whole")
	}
	for _, w := range s.Wealth {
		if float64(w) > highest {
			return errors.New("the traffic check has too much wealth")
		}
	}
	return nil
}

func (s *shareState) clone() *shareState {
	if s == nil {
		return nil
	}
	out := *s
	out.Wealth = slices.Clone(s.Wealth)
	return &out
}

// fold takes in a second, once the weight has been in force for a while. A second in which an arm fails much is left out:
// retries inflate what it is sent.
func (s *shareState) fold(w Window, m Moment) *shareState {
	if m.Traffic == CheckNone || m.Weight <= 0 || m.Weight >= 100 || m.Settled.IsZero() || w.Start.Before(m.Settled.Add(trafficDelay)) {
		return s
	}
	if failing(w.Canary) || failing(w.Stable) {
		return s
	}
	if s == nil {
		s = &shareState{Wealth: make([]logw, trafficSides*trafficBets), Since: millis(w.Start)}
	}
	odds := float64(m.Weight) / float64(100-m.Weight)
	for i, g := range trafficSteps() {
		for side, base := range [trafficSides]float64{odds * trafficBand, odds / trafficBand} {
			other := base * g
			if side == 1 {
				other = base / g
			}
			at := side*trafficBets + i
			s.Wealth[at] = logw(keep(float64(s.Wealth[at]) + logOdds(w.Canary.Started, w.Stable.Started, other, base)))
		}
	}
	s.Newest = millis(w.End)
	if s.logE(m.Traffic) >= math.Log(trafficLimit) {
		s.Alarm, s.Took, s.Since = s.Newest, s.Newest-s.Since, s.Newest
		clear(s.Wealth)
	}
	return s
}

// failing reports that more than one in ten requests of an arm failed.
func failing(c Counts) bool { return 10*c.Bad > c.N }

// logOdds is the log likelihood ratio of odds a against odds b for requests that fell to the canary and to stable.
func logOdds(canary, stable uint64, a, b float64) float64 {
	return float64(canary)*math.Log(a/b) - float64(canary+stable)*math.Log((1+a)/(1+b))
}

// logE is ln of the evidence that traffic is not where it should be.
func (s *shareState) logE(check TrafficCheck) float64 {
	if s == nil || check == CheckNone {
		return 0
	}
	of := s.Wealth
	if check == CheckLow {
		of = of[trafficBets:]
	}
	values := make([]float64, 0, len(of))
	for _, w := range of {
		values = append(values, float64(w))
	}
	return logSum(values...) - math.Log(float64(len(of)))
}

// holds reports that the last alarm still keeps the step where it is.
func (s *shareState) holds(at time.Time) bool {
	return s != nil && s.Alarm != 0 && at.Sub(instant(s.Alarm)) < max(trafficHold, 2*time.Duration(s.Took)*time.Millisecond)
}
