package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// statusRows asks for a row of each metric.
func (d *desk) statusRows(t *testing.T) {
	needed := int64(640)
	arm := func(bad, n int64) v1alpha1.ArmStatus { return v1alpha1.ArmStatus{Requests: n, Bad: bad} }
	st := baking()
	st.Analysis = &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{
		{Name: "errors", Canary: arm(0, 225), Stable: arm(0, 1275), Harm: "0.5", Needed: &needed},
		{Name: "checkout", Canary: arm(1, 900), Stable: arm(12, 5100), Harm: "0.2", Cleared: true},
	}}
	d.put(t, "rows", st)
	code, out, errs := d.run(t, "status", "rows", "--metrics")
	want := []string{
		"  errors    canary 0/225  stable 0/1275  harm 0.5  needs about 640 more canary requests",
		"  checkout  canary 1/900  stable 12/5100  harm 0.2  cleared",
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if diff := cmp.Diff(want, lines[min(1, len(lines)):]); code != 0 || diff != "" {
		t.Errorf("exit %d %s (-want +got):\n%s", code, errs, diff)
	}
}
