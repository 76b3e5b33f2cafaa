package controller_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// peoplesStories are those in which somebody asks for something: each action is decided on once and told, whatever is lost.
func peoplesStories() []story {
	return []story{
		{"E11 paused, resumed, promoted, aborted", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.asks("pause", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionPause})
			p.goes("holding", at(v1alpha1.PhaseHolding, 15))
			p.asks("resume", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionResume})
			p.goes("at 50", at(v1alpha1.PhaseBaking, 50))
			p.asks("too-late", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionPromote, IfAttempt: 7})
			p.goes("told that it is too late", func(*v1alpha1.Rollout) bool { return p.answerTo("too-late") != "" })
			p.asks("promote", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionPromote, IfAttempt: 1})
			p.goes("judged at 100", judged(100))
			p.asks("abort", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionAbort})
			p.goes("rejected", func(ro *v1alpha1.Rollout) bool { return ro.Status.Phase == v1alpha1.PhaseRolledBack })
			p.told()
		}},
		{"E12 tried again, completed, undone, and that aborted", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.asks("retry", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionRetry})
			p.goes("at 15 again", func(ro *v1alpha1.Rollout) bool {
				return ro.Status.Attempt == 2 && ro.Status.Phase == v1alpha1.PhaseBaking
			})
			p.asks("full", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionPromoteFull, IfAttempt: 2, Reason: "it is known"})
			p.goes("completed", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeCompleted })
			p.asks("undo", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionRollback, Reason: "it was not"})
			p.goes("judged on the way back", judged(100))
			p.asks("stay", v1alpha1.RolloutActionSpec{Verb: v1alpha1.ActionAbort})
			p.rests()
			p.told()
		}},
	}
}

// judged is a bake that the judge has looked at: how far it was is what the end says of health.
func judged(weight int32) func(*v1alpha1.Rollout) bool {
	return func(ro *v1alpha1.Rollout) bool {
		return at(v1alpha1.PhaseBaking, weight)(ro) && ro.Status.Analysis != nil && ro.Status.Analysis.Reason == string(analysis.Baking)
	}
}

// asks makes an action of the one Rollout.
func (p *play) asks(name string, spec v1alpha1.RolloutActionSpec) {
	spec.Rollout, spec.Actor = "reviews", "ana"
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: p.ns, Name: name}, Spec: spec}
	if err := p.client.Create(p.t.Context(), a); err != nil {
		p.t.Fatal(err)
	}
	p.asked = append(p.asked, name)
}

// told goes on until each action has its result, and the Rollout knows that it has.
func (p *play) told() {
	p.goes("told to everybody who asked", func(ro *v1alpha1.Rollout) bool {
		for _, name := range p.asked {
			if p.answerTo(name) == "" {
				return false
			}
		}
		return len(ro.Status.Consumed) == 0
	})
}

// answerTo is what became of an action; empty: nothing yet.
func (p *play) answerTo(name string) string {
	a := &v1alpha1.RolloutAction{}
	if err := p.client.Get(p.t.Context(), types.NamespacedName{Namespace: p.ns, Name: name}, a); err != nil {
		p.t.Fatal(err)
	}
	return string(a.Status.Result) + a.Status.Code
}
