package rollout

import (
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
