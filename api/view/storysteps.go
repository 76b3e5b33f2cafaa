package view

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// steps finds out which steps the attempt reached, and when: by the status while it is open, by events as long as the
// API server keeps them.
func (s *Story) steps(ro *v1alpha1.Rollout, attempt int64) {
	st := ro.Status
	open := attempt == st.Attempt && st.Phase.Open()
	if open {
		s.planned(st)
	}
	for _, e := range s.Events {
		s.stepped(e, ro.Name)
	}
	for i := range s.Steps {
		at := &s.Steps[i]
		if i > 0 && at.From == nil {
			at.From = s.Steps[i-1].To
		}
		if i+1 < len(s.Steps) && at.To == nil {
			at.To = s.Steps[i+1].From
		}
	}
	if len(s.Steps) > 0 {
		first, last := &s.Steps[0], &s.Steps[len(s.Steps)-1]
		if first.From == nil && first.Step == 1 {
			first.From = s.StartedAt
		}
		if last.To == nil {
			last.To = s.EndedAt
		}
		if last.Result == "" && s.EndedAt != nil {
			last.Result = string(s.Outcome)
		}
		return
	}
	s.reached(ro, attempt)
}

// planned are the steps of the open attempt.
func (s *Story) planned(st *v1alpha1.RolloutStatus) {
	for i, p := range st.Plan {
		if int32(i) >= st.Step {
			break
		}
		s.Steps = append(s.Steps, StoryStep{Step: int32(i + 1), Name: p.Name, Weight: p.Weight, Metrics: p.Metrics})
	}
	for _, g := range st.Gates {
		if int(g.Step) <= len(s.Steps) {
			at := &s.Steps[g.Step-1]
			at.To, at.Result, at.Actor = instant(g.At.Time), string(g.Result), g.Actor
		}
	}
	if n := len(s.Steps); n > 0 && st.Progress != nil && st.Progress.SettledAt != nil {
		s.Steps[n-1].Acked = instant(st.Progress.SettledAt.Time)
	}
}

// stepped reads what an event of the Rollout says of a step.
func (s *Story) stepped(e StoryEvent, name string) {
	found := placed().FindStringSubmatch(e.Note)
	if found == nil || e.About != "rollout/"+name {
		return
	}
	number, _ := strconv.Atoi(found[1])
	weight, _ := strconv.Atoi(found[2])
	at := e.At
	switch e.Reason {
	case "WeightRequested":
		step := s.step(int32(number), int32(weight))
		first(&step.From, at)
	case "WeightProgrammed":
		step := s.step(int32(number), int32(weight))
		first(&step.Acked, at)
	case "StepPassed":
		step := s.step(int32(number), int32(weight))
		first(&step.To, at)
		if step.Result == "" {
			step.Result = "passed"
		}
	}
}

func first(to **time.Time, at time.Time) {
	if *to == nil {
		*to = &at
	}
}

// step is that of a number, which is made where it is not known yet.
func (s *Story) step(number, weight int32) *StoryStep {
	for i := range s.Steps {
		if s.Steps[i].Step == number {
			return &s.Steps[i]
		}
	}
	at := len(s.Steps)
	for at > 0 && s.Steps[at-1].Step > number {
		at--
	}
	s.Steps = append(s.Steps, StoryStep{})
	copy(s.Steps[at+1:], s.Steps[at:])
	s.Steps[at] = StoryStep{Step: number, Weight: weight}
	return &s.Steps[at]
}

// reached is what the history alone says: how far the attempt came. Of one that ended in its first step that is all there
// is to know of time.
func (s *Story) reached(ro *v1alpha1.Rollout, attempt int64) {
	for _, h := range ro.Status.History {
		if h.Attempt != attempt || h.Step == 0 {
			continue
		}
		if h.Step == 1 && len(ro.Spec.Steps) > 0 {
			s.Steps = append(s.Steps, StoryStep{Step: 1, Name: ro.Spec.Steps[0].Name, Weight: ro.Spec.Steps[0].Weight, From: s.StartedAt, To: s.EndedAt, Result: string(h.Outcome), Metrics: ro.Spec.Steps[0].Metrics})
			return
		}
		s.miss(fmt.Sprintf("when it went from step to step is not known any more: the API server keeps events for an hour or so. It reached step %d", h.Step))
	}
}
