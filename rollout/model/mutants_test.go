package model_test

import (
	"testing"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/model"
)

// Bounds in which a mutant shows itself.
func alone() model.Bounds   { return model.Bounds{Replicas: 1, Proxies: 1} }
func pair() model.Bounds    { return model.Bounds{Replicas: 2, Proxies: 1, Takeovers: 1} }
func commit() model.Bounds  { return model.Bounds{Replicas: 1, Proxies: 1, Commits: 1} }
func reject() model.Bounds  { return model.Bounds{Replicas: 1, Proxies: 1, Rejects: 1} }
func crash() model.Bounds   { return model.Bounds{Replicas: 1, Proxies: 1, Crashes: 1} }
func outage() model.Bounds  { return model.Bounds{Replicas: 1, Proxies: 1, Outages: 1} }
func emptied() model.Bounds { return model.Bounds{Replicas: 1, Proxies: 1, Empties: 1} }
func paused() model.Bounds  { return model.Bounds{Replicas: 1, Proxies: 1, Paused: true} }

func asks(verbs ...rollout.Verb) model.Bounds {
	return model.Bounds{Replicas: 1, Proxies: 1, Actions: 1, Rejects: 1, Verbs: verbs}
}

type broken struct {
	bounds model.Bounds
	mutant model.Mutant
}

// observing is a mutant that shows the engine something else.
func observing(name string, b model.Bounds, f func(rollout.State, *rollout.Observation)) broken {
	return broken{b, model.Mutant{Name: name, Observe: f}}
}

// giving is a mutant that changes what the engine gives.
func giving(name string, b model.Bounds, f func(rollout.State, *rollout.State)) broken {
	return broken{b, model.Mutant{Name: name, Result: func(prev rollout.State, _ rollout.Observation, next *rollout.State, _ *rollout.Actions) {
		f(prev, next)
	}}}
}

// moved reports that a transition has just been made for a reason.
func moved(prev, next rollout.State, reason rollout.Reason) bool {
	return next.Seq != prev.Seq && next.Reason == reason
}

// mutants of the controller and the data plane.
func surroundings() []broken {
	return []broken{
		{pair(), model.Mutant{Name: "statuses are written without their resourceVersion", Unconditional: true}},
		{pair(), model.Mutant{Name: "an old leader writes on", Unfenced: true}},
		{pair(), model.Mutant{Name: "a proxy is served by a lagging replica", Backwards: true}},
		{outage(), model.Mutant{Name: "the brake is released when the API server returns", Release: true}},
		{crash(), model.Mutant{Name: "limits count downtime", Downtime: true}},
		{alone(), model.Mutant{Name: "proxies are not told to send the canary less", Deaf: true}},
		{model.Bounds{Replicas: 2, Proxies: 2}, model.Mutant{Name: "the other replica's proxies are not waited for", Own: true}},
		observing("the brake is forgotten before it is stored", outage(), func(_ rollout.State, o *rollout.Observation) { o.Brake = nil }),
		{paused(), model.Mutant{Name: "a raise while paused in Git", Spec: func(s *rollout.Spec) { s.Paused = false }}},
	}
}

// mutants of what the engine looks at.
func blindness() []broken {
	return []broken{
		observing("a Rollback is ignored in Holding", model.Bounds{Replicas: 1, Proxies: 1}, func(st rollout.State, o *rollout.Observation) {
			if st.Phase == rollout.Holding && o.Report.Verdict == analysis.Rollback {
				o.Report = analysis.Report{}
			}
		}),
		observing("a Rollback is ignored while shifting", alone(), func(st rollout.State, o *rollout.Observation) {
			if st.Phase == rollout.Shifting {
				o.Report = analysis.Report{}
			}
		}),
		observing("a Rollback is ignored in the last bake", alone(), func(st rollout.State, o *rollout.Observation) {
			if st.Phase == rollout.Baking && st.Traffic.Weight == 100 && o.Report.Verdict == analysis.Rollback {
				o.Report = analysis.Report{}
			}
		}),
		observing("an action for an attempt that is over is taken", model.Bounds{Replicas: 1, Proxies: 1, Actions: 1, Late: true, Verbs: []rollout.Verb{rollout.VerbAbort}},
			func(st rollout.State, o *rollout.Observation) {
				if o.Action != nil {
					one := *o.Action
					one.IfAttempt = st.Attempt
					o.Action = &one
				}
			}),
		observing("a rejection by a proxy is ignored", reject(), func(_ rollout.State, o *rollout.Observation) { o.Fleet.Nacked = 0 }),
		observing("a bake begins before all proxies have the weight", alone(), func(st rollout.State, o *rollout.Observation) {
			o.Fleet.Settled = o.Fleet.Settled || st.Phase == rollout.Shifting
		}),
		observing("a refusal is answered before a rollback", asks(rollout.VerbApprove), func(_ rollout.State, o *rollout.Observation) {
			if o.Action != nil {
				o.Report, o.Fleet.Nacked = analysis.Report{}, 0
			}
		}),
		observing("an abort is not looked at", asks(rollout.VerbAbort), func(_ rollout.State, o *rollout.Observation) { o.Action = nil }),
		observing("stable is taken to have endpoints", emptied(), func(_ rollout.State, o *rollout.Observation) { o.Ready.Stable = 2 }),
		observing("stable is taken to have none for ever", emptied(), func(st rollout.State, o *rollout.Observation) {
			if st.Phase == rollout.RollingBack {
				o.Ready.Stable = 0
			}
		}),
		observing("another want is not seen", commit(), func(st rollout.State, o *rollout.Observation) {
			if st.Canary.Name != "" {
				o.Want.Version = st.Canary
			}
		}),
	}
}

// mutants of what the engine gives.
func mistakes() []broken {
	return []broken{
		giving("a gate is kept over a new version", commit(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.Superseded) {
				seq := next.Seq
				*next = prev
				next.Seq, next.Canary, next.Reason = seq, rollout.Version{Name: "v3", Digest: "d3"}, rollout.StepPassed
			}
		}),
		giving("a rejection is not stored", alone(), func(_ rollout.State, next *rollout.State) { next.Rejected = nil }),
		giving("a rejection is stored after the weight", alone(), func(prev rollout.State, next *rollout.State) {
			if prev.Phase.Open() && next.Phase == rollout.RollingBack {
				next.Rejected = prev.Rejected
			}
		}),
		giving("gates of the attempt before are kept", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.AttemptStarted) {
				next.Gates = []rollout.Gate{{Step: 1, Result: rollout.Pass}}
			}
		}),
		giving("an action is not remembered", asks(rollout.VerbPause), func(_ rollout.State, next *rollout.State) { next.Consumed = nil }),
		giving("a pause by hand is not stored", asks(rollout.VerbPause), func(_ rollout.State, next *rollout.State) { next.Progress.Wishes.Paused = false }),
		giving("gates are not stored", alone(), func(_ rollout.State, next *rollout.State) { next.Gates = nil }),
		giving("a step is left out", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.WeightRequested) {
				next.Traffic.Step, next.Traffic.Weight = 2, 100
			}
		}),
		giving("an attempt begins with traffic", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.AttemptStarted) {
				next.Traffic.Weight = 50
			}
		}),
		giving("the first step is taken for the last", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.StepPassed) {
				next.Phase, next.Reason, next.Outcome, next.Stable = rollout.Idle, rollout.Completed, rollout.OutcomeCompleted, prev.Canary
				next.Canary, next.Traffic.Step, next.Traffic.Weight = rollout.Version{}, 0, 0
			}
		}),
		giving("a transition keeps its seq", alone(), func(prev rollout.State, next *rollout.State) { next.Seq = prev.Seq }),
		giving("the outcome of a failure is rewritten", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.RolledBackDone) {
				next.Outcome = rollout.OutcomeCompleted
			}
		}),
		giving("the end of a rollback is never stored", alone(), func(prev rollout.State, next *rollout.State) {
			if moved(prev, *next, rollout.RolledBackDone) || moved(prev, *next, rollout.RollbackUnconfirmed) {
				*next = prev
			}
		}),
		giving("a failure keeps the canary's traffic", alone(), func(prev rollout.State, next *rollout.State) {
			if prev.Phase.Open() && next.Phase == rollout.RollingBack {
				next.Traffic = prev.Traffic
			}
		}),
	}
}

// Each thing that could be built wrong is found, by a short way.
func TestSearch_findsEveryMutant(t *testing.T) {
	var all []broken
	all = append(append(append(all, surroundings()...), blindness()...), mistakes()...)
	if len(all) < 34 {
		t.Fatalf("there are %d mutants, want 34 or more", len(all))
	}
	for _, m := range all {
		t.Run(m.mutant.Name, func(t *testing.T) {
			t.Parallel()
			r := model.Search(m.bounds, m.mutant)
			if r.Violation == nil {
				t.Fatalf("%d states, and no rule was broken", r.States)
			}
			t.Logf("found after %d states and %d moves: %s", r.States, len(r.Violation.Moves), r.Violation.Text)
			if len(r.Violation.Moves) > 15 {
				t.Errorf("the way to it has %d moves, want 15 at most: %q", len(r.Violation.Moves), r.Violation.Moves)
			}
		})
	}
}
