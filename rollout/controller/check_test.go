package controller

import (
	"testing"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestCheckOf_sharesAreHeldAgainstWhatIsAsked(t *testing.T) {
	sends := func(e rollout.Extra) rollout.Traffic { return rollout.Traffic{Weight: 15, Extra: e} }
	for name, tt := range map[string]struct {
		facts ir.SplitFacts
		asked rollout.Traffic
		want  analysis.TrafficCheck
	}{
		"weights alone":        {want: analysis.CheckBoth},
		"a route beside them":  {facts: ir.SplitFacts{CanaryBesides: true}, want: analysis.CheckLow},
		"a match of the step":  {asked: sends(rollout.Extra{Match: []rollout.Match{{}}}), want: analysis.CheckLow},
		"a mirror of the step": {asked: sends(rollout.Extra{Mirror: rollout.Mirror{Percent: 10}}), want: analysis.CheckLow},
		"a preview host":       {asked: sends(rollout.Extra{Preview: "beta"}), want: analysis.CheckLow},
		"hashes of clients":    {asked: sends(rollout.Extra{Affinity: &rollout.Affinity{Header: "x"}}), want: analysis.CheckLow},
		"stable by other ways": {facts: ir.SplitFacts{StableBesides: true, CanaryBesides: true}, want: analysis.CheckNone},
	} {
		if got := checkOf(tt.facts, tt.asked); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
