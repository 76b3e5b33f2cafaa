package controller

import (
	"testing"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

func TestRequired_areTheMetricsThatTheStepNames(t *testing.T) {
	t.Parallel()
	all := []analysis.Criterion{{Name: "errors", Required: true, Source: analysis.Source{Optional: true}}, {Name: "orders", Source: analysis.Source{Optional: true}}}
	p := &pass{given: &given{}, state: rollout.State{Plan: []rollout.Stage{{Parts: rollout.Parts{Metrics: []string{"orders"}}}, {}}}}
	p.state.Traffic.Step = 1
	if got := p.required(all); got[0].Required || !got[1].Required || !got[0].Optional || got[1].Optional || !all[0].Required || !all[1].Optional {
		t.Errorf("the step that names orders requires %+v", got)
	}
	p.state.Traffic.Step = 2
	if got := p.required(all); !got[0].Required || got[1].Required || !got[1].Optional {
		t.Errorf("a step that names none requires %+v", got)
	}
}

func TestSent_isWhatIsJudged(t *testing.T) {
	t.Parallel()
	match := rollout.Extra{Match: []rollout.Match{{Headers: []rollout.Condition{{Name: "x-beta", Value: "1"}}}}}
	for _, row := range []struct {
		st   rollout.State
		want bool
	}{
		{rollout.State{}, false},
		{rollout.State{Traffic: rollout.Traffic{Weight: 1}}, true},
		{rollout.State{Traffic: rollout.Traffic{Extra: match}}, true},
		{rollout.State{Traffic: rollout.Traffic{Extra: rollout.Extra{Mirror: rollout.Mirror{Percent: 1}}}}, true},
		{rollout.State{Traffic: rollout.Traffic{Extra: rollout.Extra{Preview: "next"}}}, false},
		{rollout.State{Kind: rollout.Kind{Observe: true}}, true},
	} {
		if got := (&pass{given: &given{}, state: row.st}).sent(); got != row.want {
			t.Errorf("%+v: sent %v, want %v", row.st, got, row.want)
		}
	}
}
