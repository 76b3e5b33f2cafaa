package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/lint"
)

func TestRun_saysWhichStepsAreTooShortForTheTraffic(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: menu, namespace: shop"
	spec := func(steps string) string {
		return "}\nspec: {host: menu, subset: v2, steps: [" + steps + "], analysis: {bake: 1m, maxDuration: 2m}}\n"
	}
	for name, r := range map[string]struct {
		text, want string
		rate       float64
	}{
		"no rate":       {head + spec("{weight: 15}"), "", 0},
		"20 rps":        {head + spec("{weight: 15}"), "S701 spec.steps[0] it needs 4m48s at 20 rps: give it that time, or a larger weight", 20},
		"60 rps":        {head + spec("{weight: 15}"), "S702 spec.steps[0]", 60},
		"the flag wins": {head + ", annotations: {sluice.dev/expected-rps: \"10000\"}" + spec("{weight: 15}"), "S701 spec.steps[0] it needs 4m48s at 20 rps: give it that time, or a larger weight", 20},
		"enough":        {head + ", annotations: {sluice.dev/expected-rps: \"10000\"}" + spec("{weight: 15}"), "", 0},
		"no number":     {head + ", annotations: {sluice.dev/expected-rps: many}" + spec("{weight: 15}"), `S504 metadata.annotations["sluice.dev/expected-rps"]`, 0},
		"time only":     {head + spec("{weight: 15, promotion: timeOnly}"), "", 20},
		"default steps": {head + "}\nspec: {host: menu, subset: v2}\n", "S701 spec", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := statistics(run(t, lint.Options{Rate: r.rate, Partial: true}, lint.File{Name: "menu.yaml", Content: []byte(r.text)}))
			if (r.want == "") != (len(got) == 0) || (r.want != "" && !strings.HasPrefix(got[0], r.want)) {
				t.Errorf("found %q, want %q", got, r.want)
			}
		})
	}
}

// statistics are the findings that traffic decides, with what they advise.
func statistics(r view.LintReport) []string {
	var out []string
	for _, p := range r.Problems {
		if slices.Contains([]string{"S701", "S702"}, p.Code) || strings.Contains(p.Field, "expected-rps") {
			out = append(out, strings.TrimSpace(p.Code+" "+p.Field+" "+p.Hint))
		}
	}
	return out
}
