package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// TestNothingDue_isNeverSaidOfWhatIsDue: a look that ends early would have written nothing, whatever it saw.
func TestNothingDue_isNeverSaidOfWhatIsDue(t *testing.T) {
	early := 0
	for what, change := range map[string]func(p *pass, s *v1alpha1.RolloutStatus){
		"nothing":    func(*pass, *v1alpha1.RolloutStatus) {},
		"evidence":   func(_ *pass, s *v1alpha1.RolloutStatus) { s.Analysis.Evidence = "more" },
		"clocks":     func(_ *pass, s *v1alpha1.RolloutStatus) { s.Progress = &v1alpha1.Progress{PhaseClock: 7} },
		"a message":  func(_ *pass, s *v1alpha1.RolloutStatus) { s.Conditions[0].Message = "step 1/3" },
		"generation": func(_ *pass, s *v1alpha1.RolloutStatus) { s.ObservedGeneration = 3 },
		"settled":    func(_ *pass, s *v1alpha1.RolloutStatus) { s.SettledSeq = 9 },
		"a note":     func(_ *pass, s *v1alpha1.RolloutStatus) { s.Notes = make([]v1alpha1.PendingNote, 1) },
		"a reason":   func(_ *pass, s *v1alpha1.RolloutStatus) { s.Conditions[0].Reason = "Blind" },
		"a condition": func(_ *pass, s *v1alpha1.RolloutStatus) {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: "Paused"})
		},
		"a verdict":    func(_ *pass, s *v1alpha1.RolloutStatus) { s.Analysis.Verdict = "Rollback" },
		"time":         func(p *pass, s *v1alpha1.RolloutStatus) { p.mono = persistEvery; s.Analysis.Evidence = "more" },
		"a first look": func(p *pass, _ *v1alpha1.RolloutStatus) { p.object.Status = nil },
		"a refusal":    func(p *pass, _ *v1alpha1.RolloutStatus) { p.memory.refusal.text = "forbidden" },
		"a definition": func(p *pass, _ *v1alpha1.RolloutStatus) { p.memory.pruned = true },
		"a rule":       func(p *pass, _ *v1alpha1.RolloutStatus) { p.broken = "C1" },
	} {
		stored := &v1alpha1.RolloutStatus{ObservedGeneration: 2, SettledSeq: 8, Analysis: &v1alpha1.AnalysisStatus{Verdict: "Inconclusive", Evidence: "some"},
			Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionUnknown, Reason: "Baking"}}}
		p := &pass{given: &given{mono: 2 * time.Second, object: &v1alpha1.Rollout{Status: stored}}, memory: &memory{}}
		next := stored.DeepCopy()
		change(p, next)
		if p.nothingDue(decision{}, next) {
			if early++; p.due(p.object.Status, next) {
				t.Errorf("%s changed, and nothing is said to be due", what)
			}
			for by, d := range map[string]decision{
				"a transition": {actions: rollout.Actions{Transition: &rollout.Transition{}}}, "an action": {actions: rollout.Actions{Consumed: &rollout.Consumed{}}},
			} {
				if p.nothingDue(d, next) {
					t.Errorf("%s: nothing is said to be due of %s", what, by)
				}
			}
		}
	}
	if early != 4 {
		t.Errorf("%d of the looks end early, want 4", early)
	}
}
