package convert_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/convert"
)

// steps are those of the only Rollout, in a line each.
func steps(t *testing.T, r convert.Result) []string {
	t.Helper()
	var out []string
	for _, ro := range all[v1alpha1.Rollout](t, r, "Rollout") {
		for _, s := range ro.Spec.Steps {
			line := fmt.Sprint(s.Weight)
			if s.Promotion != "" {
				line += " " + string(s.Promotion)
			}
			if s.Approval != nil {
				line += " approval"
			}
			out = append(out, line)
		}
	}
	return out
}

const (
	gate    = "      - analysis: {templates: [{templateName: rate}], args: [{name: service-name, value: a}]}\n"
	header  = "      - setHeaderRoute: {name: h, match: [{headerName: x, headerValue: {exact: y}}]}\n"
	copying = "      - setMirrorRoute: {name: m, percentage: 50, match: [{method: {exact: GET}}]}\n"
	weight  = "      - setWeight: %d\n"
)

// What was a gate stays one: of evidence where requests are sent, else of a person.
func TestRun_gatesStayGates(t *testing.T) {
	for name, c := range map[string]struct {
		steps string
		want  []string
	}{
		"header route, then weights":           {header + fmt.Sprintf(weight, 20) + fmt.Sprintf(weight, 50), []string{"0", "20 evidence", "50 evidence", "100"}},
		"mirror route, then a weight":          {fmt.Sprintf(weight, 20) + copying + fmt.Sprintf(weight, 50), []string{"20 evidence", "50 evidence", "100"}},
		"weights alone":                        {fmt.Sprintf(weight, 20), []string{"20", "100"}},
		"analysis at a header route":           {header + gate + fmt.Sprintf(weight, 20), []string{"0 evidence", "20 evidence", "100"}},
		"analysis at copies":                   {copying + gate + fmt.Sprintf(weight, 100), []string{"0 evidence", "100"}},
		"analysis before any traffic":          {gate + fmt.Sprintf(weight, 20), []string{"0 approval", "20", "100"}},
		"analysis at weight 0":                 {fmt.Sprintf(weight, 0) + gate + fmt.Sprintf(weight, 20), []string{"0 approval", "20", "100"}},
		"a pause at a header route is time":    {header + "      - pause: {duration: 5m}\n", []string{"0", "100"}},
		"analysis, then the header route":      {gate + header, []string{"0 approval", "0", "100"}},
		"a person, then copies":                {fmt.Sprintf(weight, 20) + "      - pause: {}\n" + copying, []string{"20 approval", "20 evidence", "100"}},
		"analysis after the weight of a route": {header + fmt.Sprintf(weight, 20) + gate, []string{"0", "20 evidence", "100"}},
	} {
		r := from(t, argoRollout("a", "    canary:\n      steps:\n"+c.steps)+rateTemplate)
		if diff := cmp.Diff(c.want, steps(t, r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		asked := slices.Contains(c.want, "0 approval")
		told := false
		for _, i := range r.Report.Items {
			told = told || i.Code == "S903" && strings.HasSuffix(i.Path, ".analysis")
		}
		if asked != told {
			t.Errorf("%s: an approval is asked for: %t; S903 says so: %t", name, asked, told)
		}
	}
}

// A preview gets no requests that are judged, so an analysis before the switch asks a person.
func TestRun_analysisBeforeTheSwitchAsksAPerson(t *testing.T) {
	strategy := "    blueGreen:\n      activeService: a\n      previewService: a-preview\n"
	use := "      %sPromotionAnalysis: {templates: [{templateName: rate}], args: [{name: service-name, value: a}]}\n"
	for when, want := range map[string][]string{"pre": {"0 approval", "100"}, "post": {"0", "100"}} {
		r := from(t, argoRollout("a", strategy+fmt.Sprintf(use, when))+rateTemplate)
		if diff := cmp.Diff(want, steps(t, r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		if got := says(r, "spec.strategy.blueGreen.prePromotionAnalysis"); strings.HasPrefix(got, "S903") != (when == "pre") {
			t.Errorf("%s: %q", when, got)
		}
	}
}

// Steps of a Canary that match or copy are judged where it has metrics; none is where it skips the analysis.
func TestRun_stepsOfACanaryAreJudgedAsItsOwn(t *testing.T) {
	canary := "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\nspec:\n  service: {port: 80}\n  skipAnalysis: %t\n  analysis:\n    mirror: true\n"
	match := "    match: [{headers: {x: {exact: y}}}]\n"
	metrics := "    metrics: [{name: request-success-rate}]\n"
	for name, c := range map[string]struct {
		skip bool
		rest string
		want []string
	}{
		"weights":           {false, "    stepWeights: [20, 40]\n" + metrics, []string{"0 evidence", "20", "40", "100"}},
		"matches":           {false, "    stepWeights: [20, 40]\n" + match + metrics, []string{"0 evidence", "20 evidence", "40 evidence", "100"}},
		"iterations":        {false, "    iterations: 3\n" + match + metrics, []string{"0 evidence", "0 evidence", "100"}},
		"nothing to judge":  {false, "    iterations: 3\n" + match, []string{"0", "0", "100"}},
		"skipped":           {true, "    stepWeights: [20, 40]\n" + match + metrics, []string{"0 timeOnly", "20 timeOnly", "40 timeOnly", "100 timeOnly"}},
		"skipped, to 100":   {true, "    stepWeights: [20, 100]\n", []string{"0 timeOnly", "20 timeOnly", "100 timeOnly"}},
		"skipped, and asks": {true, "    stepWeights: [20]\n    webhooks: [{name: w, type: confirm-promotion}]\n", []string{"0 timeOnly", "20 timeOnly approval", "100 timeOnly"}},
	} {
		r := from(t, fmt.Sprintf(canary, c.skip)+c.rest)
		if diff := cmp.Diff(c.want, steps(t, r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if c.skip && strings.Contains(string(r.YAML), "judged too") {
			t.Errorf("%s: it says that the last step is judged", name)
		}
	}
}

// Where steps are left out, metrics begin at the same step as before.
func TestRun_metricsBeginAtTheirStepThoughOthersAreLeftOut(t *testing.T) {
	text := "    canary:\n      steps:\n"
	for w := 1; w <= 20; w++ {
		text += fmt.Sprintf(weight, w)
	}
	ro := all[v1alpha1.Rollout](t, from(t, argoRollout("a", text+gate)+rateTemplate), "Rollout")["shop/a"]
	if n := int(ro.Spec.Analysis.Metrics[0].FromStep); len(ro.Spec.Steps) != 16 || ro.Spec.Steps[n-1].Weight != 20 {
		t.Errorf("from step %d of %v", n, ro.Spec.Steps)
	}
}
