package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestMetricsOf_gatesAndBounds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	moment := metav1.NewTime(at)
	none, some := int64(0), int64(640)
	got := metricsOf(analysis.Report{Progress: analysis.Progress{Without: []analysis.Absence{{Metric: "times", Reason: analysis.NoSeries}}}, Metrics: []analysis.MetricReport{
		{Name: "depth", Gate: &analysis.Gate{Wanted: 3}},
		{Name: "queue", Gate: &analysis.Gate{Standing: analysis.StandingPassed, Pass: 3, Fail: 1, Wanted: 3, Value: 12.3456, Outcome: analysis.OutcomePass, At: at}},
		{Name: "silent", Gate: &analysis.Gate{Standing: analysis.StandingUnsure, Inconclusive: 2, Errors: 4, Wanted: 5, Outcome: analysis.OutcomeError, At: at}},
		{Name: "latency", Bounds: &analysis.Bounds{Promotion: 250, Judged: []analysis.Bound{{Le: 25, Fast: true, LogE: 2}, {Le: 250, LogE: 1}}}},
		{Name: "young", Safe: analysis.Safe{Needed: 640}, Bounds: &analysis.Bounds{Known: 425}},
		{Name: "times", Kind: analysis.KindHistogram, Bounds: &analysis.Bounds{}},
	}})
	want := []v1alpha1.MetricStatus{
		{Name: "depth", Gate: &v1alpha1.GateStatus{State: v1alpha1.GateOpen, Wanted: 3}},
		{Name: "queue", Gate: &v1alpha1.GateStatus{State: v1alpha1.GatePassed, Passed: 3, Failed: 1, Wanted: 3, Value: "12.3", Outcome: "Pass", At: &moment}},
		{Name: "silent", Gate: &v1alpha1.GateStatus{State: v1alpha1.GateUnsure, Inconclusive: 2, Errors: 4, Wanted: 5, Outcome: "Error", At: &moment}},
		{Name: "latency", Harm: "1", Safe: "1", Needed: &none, Bounds: &v1alpha1.BoundsStatus{Slow: "250ms", Most: "25ms", Within: true, Harm: "7.39"}},
		{Name: "young", Harm: "1", Safe: "1", Needed: &some, Bounds: &v1alpha1.BoundsStatus{Known: 425}},
		{Name: "times", NotJudged: "NoSeries"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if state := gateState(analysis.StandingFailed); state != v1alpha1.GateFailed {
		t.Errorf("failed is %s", state)
	}
}
