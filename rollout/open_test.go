package rollout

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// A timed step shorter than the delay after which failed reads are Blind does not end on failed reads.
func TestStep_noTimedStepEndsWhileAMetricCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		name     string
		gap      analysis.Reason
		required bool
		want     Phase
	}{
		{"unreachable", analysis.Unreachable, true, Baking},
		{"timeout", analysis.Timeout, true, Baking},
		{"that nothing requires", analysis.Unreachable, false, Shifting},
		{"nobody asks", analysis.NoCanaryTraffic, true, Shifting},
		{"read", "", true, Shifting},
	} {
		st, obs := baking()
		st.Plan = append([]Stage(nil), st.Plan...)
		st.Plan[0].Promotion, st.Plan[0].Min = TimeOnly, 5*time.Second
		obs.Clocks = Clocks{Phase: 6 * time.Second, Step: 6 * time.Second}
		obs.Report = analysis.Report{Verdict: analysis.Inconclusive, Reason: analysis.PartialTargets, At: start,
			Metrics: []analysis.MetricReport{{Name: "errors", Required: tt.required, Gap: tt.gap}}}
		if next, _ := Step(testSpec(), st, obs, start.Add(6*time.Second)); next.Phase != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, next.Phase, tt.want)
		}
	}
}

// Approvals of later steps leave room for those that the present one asks for.
func TestStep_earlyApprovalsDoNotUseUpThePresentOnes(t *testing.T) {
	st, obs := baking()
	st.Plan = nil
	for range MaxSteps {
		st.Plan = append(st.Plan, Stage{Name: "s", Weight: 100, Parts: Parts{Approvals: MaxApprovals}})
	}
	give := func(step int, actor string) Answer {
		obs.Seq = st.Seq
		obs.Action = &Action{UID: fmt.Sprint("u", st.Seq, step, actor), Verb: VerbApprove, Step: strconv.Itoa(step), Actor: actor, Created: start}
		next, acts := Step(testSpec(), st, obs, start)
		st = next
		st.Consumed = nil
		return acts.Consumed.Answer
	}
	early := 0
	for step := 2; step <= MaxSteps; step++ {
		for who := range MaxApprovals {
			if give(step, fmt.Sprint("early", who)) == Accepted {
				early++
			}
		}
	}
	if early != MaxApproved-MaxApprovals {
		t.Errorf("%d approvals of later steps are kept, want %d", early, MaxApproved-MaxApprovals)
	}
	for who := range MaxApprovals {
		if got := give(1, fmt.Sprint("now", who)); got != Accepted {
			t.Errorf("approval %d of the present step: %s", who+1, got)
		}
	}
}
