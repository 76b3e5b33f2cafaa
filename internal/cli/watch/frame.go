package watch

import (
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// Frame is one picture of a Rollout. Texts are not yet made fit to show: Text does that.
type Frame struct {
	Name      string
	Namespace string
	State     State
	Commit    *Commit // nil: nothing came from Git
	Traffic   Traffic
	Proxies   *Proxies // nil: not known
	Next      string   // what happens next, in words
	GivesUp   *time.Time
	Now       time.Time
	Rows      []Row
	Evidence  []string // below the rows, where it is asked for
	Foot      string   // keys, a question, or what came of one
}

// State is how the Rollout stands.
type State struct {
	Standing view.Standing
	Reason   string
	Step     int32 // 0: none
	Steps    int32
	Weight   int32
	Attempt  int64
}

// Commit is what brought the version that Git wants.
type Commit struct {
	ID      string
	Subject string
	Author  string
	Ref     string // that the Source follows
	Signed  string // in words; empty: not asked for
}

// Traffic is how requests are divided, in percent of the canary. What is not known is nil.
type Traffic struct {
	Stable string
	Canary string // empty: none takes part
	Wanted int32
	Acked  *int32
	Seen   *float64
}

// Proxies counts those that take part.
type Proxies struct {
	Acked     int32
	Connected int32
	Rejected  int32
	Stale     int32          // connected, and neither run nor rejected
	Took      *time.Duration // until the last one ran the present weight; nil: not seen
}

// Row is a metric in a step. Only the first of a step says what is of the step.
type Row struct {
	Step    string
	Weight  string
	Took    string
	Verdict string
	Metric  string
	Numbers Numbers
}

// Numbers are the cells of a metric.
type Numbers struct {
	Canary  string
	Stable  string
	Ratio   string
	AtLeast string
	Harm    string
	Safe    string
}

// Seen is what a watch has seen of an attempt that the status does not keep: the numbers of steps that are passed, and how
// long proxies took. Its zero value has seen nothing.
type Seen struct {
	attempt int64
	steps   map[int32]stepSeen
	asked   time.Time // when the present weight was asked for
	weight  int64     // the traffic seq that this was
	took    *time.Duration
}

type stepSeen struct {
	metrics []v1alpha1.MetricStatus
	clock   time.Duration
}

// With gives what was seen once ro was seen, too.
func (s Seen) With(ro *v1alpha1.Rollout) Seen {
	st := ro.Status
	if st == nil {
		return Seen{}
	}
	next := Seen{attempt: st.Attempt, steps: map[int32]stepSeen{}}
	if s.attempt == st.Attempt {
		for step, one := range s.steps {
			next.steps[step] = one
		}
		next.asked, next.weight, next.took = s.asked, s.weight, s.took
	}
	if st.Canary != nil && st.Step > 0 && st.Analysis != nil && st.Phase == v1alpha1.PhaseBaking {
		next.steps[st.Step] = stepSeen{metrics: st.Analysis.Metrics, clock: clockOf(st)}
	}
	if st.Phase == v1alpha1.PhaseShifting && next.weight != st.Traffic.Seq {
		next.asked, next.weight, next.took = st.Since.Time, st.Traffic.Seq, nil
	}
	if p := st.Progress; p != nil && p.SettledAt != nil && next.took == nil && next.weight == st.Traffic.Seq && !next.asked.IsZero() {
		if took := p.SettledAt.Sub(next.asked); took >= 0 {
			next.took = &took
		}
	}
	return next
}

func clockOf(st *v1alpha1.RolloutStatus) time.Duration {
	if st.Progress == nil {
		return 0
	}
	return time.Duration(st.Progress.StepClock) * time.Millisecond
}
