package v1alpha1_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestRolloutValidate_saysWhereAndHow(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		spec string
		want problem.Problem
	}{
		{`{host: reviews, subset: v2, steps: [{weight: 50}, {weight: 15}, {weight: 100}]}`, problem.Problem{
			Code: v1alpha1.CodeWeightsFall, Severity: problem.Error, Field: "spec.steps[1].weight",
			Message: "weight 15 follows weight 50", Hint: "order the steps by weight"}},
		{`{host: reviews, subset: v2, steps: [{weight: -5}, {weight: 100}]}`, problem.Problem{
			Code: v1alpha1.CodeBound, Severity: problem.Error, Field: "spec.steps[0].weight",
			Message: "-5 is out of bounds", Hint: "set 0 to 100"}},
		{`{host: reviews, subset: v2, steps: [{weight: 15}]}`, problem.Problem{
			Code: v1alpha1.CodeLastStep, Severity: problem.Warning, Field: "spec.steps[0].weight",
			Message: "the last weight is 15; a step of 100 is added", Hint: "write the step of 100"}},
		{`{host: reviews, subset: v2, analysis: {metrics: [{name: latncy}]}}`, problem.Problem{
			Code: v1alpha1.CodeBound, Severity: problem.Error, Field: "spec.analysis.metrics[0].name",
			Message: `"latncy" is not a built-in metric; errors, latency, attempts, clientErrors are`, Hint: "name a MetricTemplate in template"}},
	} {
		ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews"}}
		if err := yaml.UnmarshalStrict([]byte(row.spec), &ro.Spec); err != nil {
			t.Fatal(err)
		}
		row.want.Object = "Rollout/bookinfo/reviews"
		got := ro.Validate()
		if len(got) != 1 || got[0] != row.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", row.spec, got, row.want)
		}
	}
}

func TestValidate_changesNothing(t *testing.T) {
	t.Parallel()
	ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"}}
	if found := ro.Validate(); len(found) > 0 || ro.Spec.Steps != nil || ro.Spec.WarmDown != nil {
		t.Errorf("found %v and left %+v", found, ro.Spec)
	}
}

func TestRolloutValidate_saysWhatOfMetricsIsWrong(t *testing.T) {
	for spec, want := range map[string]string{ // fields; empty: none
		`{metrics: [{name: attempts, promotion: required, fromStep: 4}, {name: clientErrors, dryRun: true}, {name: errors, disabled: true}]}`: "",
		`{metrics: [{name: errors, promotion: maybe}]}`:                  "spec.analysis.metrics[0].promotion",
		`{metrics: [{name: errors, promotion: required, dryRun: true}]}`: "spec.analysis.metrics[0].promotion",
		`{metrics: [{name: errors, promotion: ignored, dryRun: true}]}`:  "",
		`{metrics: [{name: errors, fromStep: -1}]}`:                      "spec.analysis.metrics[0].fromStep",
		`{metrics: [{name: errors, fromStep: 5}]}`:                       "spec.analysis.metrics[0].fromStep",
		`{metrics: [{name: a, template: t}, {name: b, template: t}, {name: c, template: t}, {name: d, template: t}, {name: e, template: t}, {name: f, template: t},
			{name: g, template: t, dryRun: true}, {name: h, template: t}, {name: i, template: t}, {name: j, template: t}, {name: k, template: t}, {name: attempts}]}`: "spec.analysis.metrics",
	} {
		ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews"}}
		if err := yaml.UnmarshalStrict([]byte(`{host: reviews, subset: v2, steps: [{weight: 5}, {weight: 15}, {weight: 50}], analysis: `+spec+`}`), &ro.Spec); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range ro.Validate() {
			if p.Severity == problem.Error {
				got = append(got, p.Field)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: wrong at %q, want %q", spec, got, want)
		}
	}
}
