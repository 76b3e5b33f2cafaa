package v1alpha1_test

import (
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
			Message: `"latncy" is not a built-in metric; errors, latency, clientErrors are`, Hint: "name a MetricTemplate in template"}},
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
