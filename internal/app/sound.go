package app

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/analysis/spec"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/istio"
)

// codeQuery is the Problem of a query that Prometheus would not be asked.
const codeQuery = "S711"

// sound says what is wrong with one object from Git that has the form of its kind, before it is applied.
func sound(content map[string]any) []problem.Problem {
	if content["kind"] != v1alpha1.KindMetricTemplate || content["apiVersion"] != v1alpha1.GroupVersion().String() {
		return istio.Check(content)
	}
	t := &v1alpha1.MetricTemplate{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, t); err != nil {
		return []problem.Problem{{Code: v1alpha1.CodeBound, Field: "spec", Message: err.Error(), Hint: "give values of the types that the kind has"}}
	}
	found := slices.DeleteFunc(t.Validate(), func(p problem.Problem) bool { return p.Severity != problem.Error })
	if len(found) > 0 {
		return found
	}
	own, err := spec.Read(t.Spec, nil)
	if err == nil {
		err = prom.CheckSource(own.Source)
	}
	if err != nil {
		hint := "write bare selectors with {{subset}} or {{cluster}} in a label's value"
		if own.Condition != nil {
			hint = "write PromQL with variables inside label values, and rules in CEL over the doubles value and stable"
		}
		found = append(found, problem.Problem{Code: codeQuery, Field: "spec." + string(own.Kind), Message: err.Error(), Hint: hint})
	}
	return found
}
