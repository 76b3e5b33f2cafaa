package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// statusRows asks for a row of each metric, stored and read by the API server.
func (d *desk) statusRows(t *testing.T) {
	st := baking()
	st.Analysis = &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{
		{Name: "latency", Canary: v1alpha1.ArmStatus{Requests: 1275, Bad: 374}, Stable: v1alpha1.ArmStatus{Requests: 7225, Bad: 221}, Harm: "12",
			Bounds: &v1alpha1.BoundsStatus{Slow: "100ms", Most: "10ms", Within: true, Harm: "24"}},
		{Name: "queue", Gate: &v1alpha1.GateStatus{State: v1alpha1.GateFailed, Failed: 1, Wanted: 3, Value: "512", Outcome: "Fail"}},
	}}
	d.put(t, "rows", st)
	code, out, errs := d.run(t, "status", "rows", "--metrics")
	want := []string{
		"  latency  canary 374/1275  stable 221/7225  slower than 100ms  harm 12  most within 10ms (harm 24)",
		"  queue    gate failed  0 of 3 passed, 1 failed  last 512 (Fail)",
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if diff := cmp.Diff(want, lines[min(1, len(lines)):]); code != 0 || diff != "" {
		t.Errorf("exit %d %s (-want +got):\n%s", code, errs, diff)
	}
}
