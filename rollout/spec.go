package rollout

import (
	"fmt"
	"time"
)

// Spec is what a Rollout asks for, with every default filled in. It must come from values that were validated: weights
// that never fall and end at 100 (see Resolve), durations that are not negative.
type Spec struct {
	InitialStable    string // adopted while nothing is stable; empty: what Git wants is adopted
	Plan             []Stage
	Render           Render
	Paused           bool // no raise; rollback and analysis go on
	Analysis         AnalysisPolicy
	Capacity         Capacity
	Convergence      Convergence
	ProgressDeadline time.Duration // observed time waiting for capacity or proxies
	MaxDuration      time.Duration // wall time of the whole attempt, pauses included
	OnDeadline       Policy        // of both: PolicyRollback or PolicyPause
	Back             Back
	HistoryLimit     int
}

// Render is what all steps render besides their own parts, and whether anything is.
type Render struct {
	Affinity *Affinity
	Preview  string // the preview host; empty: none
	DryRun   bool   // attempts judge without moving traffic
}

// Back is what makes a way back short.
type Back struct {
	WarmDown time.Duration // how long the former stable is kept after a promotion
	Versions int           // completed since a version was stable, at most, for the short plan; 0: never
	MaxAge   time.Duration // since it was replaced
}

// AnalysisPolicy is what to do when evidence stays away.
type AnalysisPolicy struct {
	OnInconclusive Policy // at bake.max: PolicyPause, PolicyPromote or PolicyRollback
	OnBlind        Policy // after BlindAfter: PolicyPause or PolicyRollback
	BlindAfter     time.Duration
}

// Policy is what happens at a limit. The zero value is PolicyPause: hold and tell.
type Policy string

// The policies. Which of them a limit allows is said where it is used.
const (
	PolicyPause    Policy = ""
	PolicyPromote  Policy = "promote"
	PolicyRollback Policy = "rollback"
)

// Capacity is how many ready canary endpoints a raise needs.
type Capacity struct {
	MinReady int
	Ratio    int // percent of the share of stable's endpoints that the weight corresponds to
}

// Need is how many ready canary endpoints weight w needs where stable has base endpoints.
func (c Capacity) Need(w, base int) int {
	return max(c.MinReady, (c.Ratio*w*base+9999)/10000)
}

// Convergence is when the proxies count as having taken a weight.
type Convergence struct {
	MinProxies int
	Timeout    time.Duration
}

// Promotion is what ends a step well.
type Promotion string

// The kinds of promotion. The zero value means the default for the step.
const (
	ByEvidence Promotion = "evidence" // the verdict Promote
	TimeOnly   Promotion = "timeOnly" // bake.min without harm, blindness or suspicion
)

// Stage is one resolved step: a weight, and how long it bakes.
type Stage struct {
	Name      string
	Weight    int // percent
	Min, Max  time.Duration
	Promotion Promotion
	Parts
}

// Parts are what a step may have besides. The zero value is nothing.
type Parts struct {
	Metrics   []string // that its gate requires; empty: all
	Pause     Pause
	Approvals int // that its end needs, each of another person
	Match     []Match
	Mirror    Mirror
}

// Pause holds the rollout once the step's gate is recorded. The zero value: it does not.
type Pause struct {
	On  bool
	For time.Duration // observed; 0: until somebody promotes
}

// StageSpec is a step as written: nil and empty mean the default.
type StageSpec struct {
	Name      string
	Weight    int
	Min, Max  *time.Duration
	Promotion Promotion
	Parts
}

// DefaultSteps are the steps of a Rollout that names none.
func DefaultSteps() []StageSpec { return []StageSpec{{Weight: 15}, {Weight: 50}, {Weight: 100}} }

// Resolve makes the plan from the steps as written: defaults are filled in, and a step of 100 is appended where the last is
// below. bake is the least time of a step, 0 meaning 5 minutes (10 at 100 percent), longest the time after which it
// counts as inconclusive, 0 meaning 30 minutes.
func Resolve(steps []StageSpec, bake, longest time.Duration) []Stage {
	if len(steps) == 0 {
		steps = DefaultSteps()
	}
	if steps[len(steps)-1].Weight < 100 {
		steps = append(steps[:len(steps):len(steps)], StageSpec{Weight: 100})
	}
	plan := make([]Stage, len(steps))
	for i, s := range steps {
		plan[i] = resolve(s, i+1, bake, longest)
	}
	return plan
}

func resolve(s StageSpec, n int, bake, longest time.Duration) Stage {
	out := Stage{Name: s.Name, Weight: s.Weight, Promotion: s.Promotion, Min: bake, Max: longest, Parts: s.Parts}
	if out.Name == "" {
		out.Name = fmt.Sprintf("step-%d", n)
	}
	if out.Promotion == "" {
		out.Promotion = ByEvidence
		if s.Weight == 0 || s.selects() {
			out.Promotion = TimeOnly
		}
	}
	switch {
	case s.Min != nil:
		out.Min = *s.Min
	case s.Weight == 0 && !s.selects():
		out.Min = 0
	case bake == 0 && s.Weight == 100:
		out.Min = 10 * time.Minute
	case bake == 0:
		out.Min = 5 * time.Minute
	}
	if longest == 0 {
		out.Max = 30 * time.Minute
	}
	out.Max = max(out.Max, 2*out.Min, time.Second)
	if s.Max != nil {
		out.Max = max(*s.Max, out.Min)
	}
	return out
}
