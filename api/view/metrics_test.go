package view_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

func TestStatus_rowsShowEachKindOfMetric(t *testing.T) {
	t.Parallel()
	ro := rollout(v1alpha1.PhaseBaking, func(*v1alpha1.Conditions) {})
	needed := int64(640)
	arm := func(bad, n int64) v1alpha1.ArmStatus { return v1alpha1.ArmStatus{Requests: n, Bad: bad} }
	ro.Status.Analysis = &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{
		{Name: "depth", Gate: &v1alpha1.GateStatus{State: v1alpha1.GateOpen, Wanted: 3}},
		{Name: "errors", Canary: arm(0, 225), Stable: arm(0, 1275), Harm: "0.5", Safe: "1.72", Needed: &needed},
		{Name: "latency", Canary: arm(35, 225), Stable: arm(40, 1275), Harm: "83.1", AtLeast: "1.1",
			Bounds: &v1alpha1.BoundsStatus{Slow: "100ms", Most: "10ms", Within: true, Harm: "311"}},
		{Name: "queue", Gate: &v1alpha1.GateStatus{State: v1alpha1.GatePassed, Passed: 4, Failed: 1, Inconclusive: 1, Errors: 2, Wanted: 3, Value: "12.3", Outcome: "Pass"}},
		{Name: "tail", Canary: arm(3, 900), Stable: arm(15, 5100), Harm: "0.6", Cleared: true, Bounds: &v1alpha1.BoundsStatus{Slow: "1s", Most: "2.5s", Harm: "0.9"}},
		{Name: "young", Harm: "1", Bounds: &v1alpha1.BoundsStatus{Known: 425}},
	}}
	want := []string{
		"depth    gate open  0 of 3 passed",
		"errors   canary 0/225  stable 0/1275  harm 0.5  needs about 640 more canary requests",
		"latency  canary 35/225  stable 40/1275  slower than 100ms  at least 1.1x  harm 83.1  most within 10ms (harm 311)",
		"queue    gate passed  4 of 6 passed, 1 failed, 1 inconclusive, 2 without an answer since  last 12.3 (Pass)",
		"tail     canary 3/900  stable 15/5100  slower than 1s  harm 0.6  most beyond 2.5s (harm 0.9)  cleared",
		"young    canary n/a  stable n/a  bounds not chosen, 425 requests known",
	}
	if diff := cmp.Diff(want, view.Status(ro).Rows()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page, err := os.ReadFile("../../docs/analysis.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range want {
		if !strings.Contains(string(page), "\n  "+row+"\n") {
			t.Errorf("docs/analysis.md does not show the row %q", row)
		}
	}
	ro.Status.Analysis = nil
	if rows := view.Status(ro).Rows(); len(rows) != 0 {
		t.Errorf("without an analysis: %q", rows)
	}
}
