package controller

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// notJudged says, while an attempt is open, which metrics it goes on without. Nobody listed them, so nothing is wrong; but who
// trusts the verdict should know what it rests on.
func (v *verdicts) notJudged() {
	if !v.next.Phase.Open() || v.next.Attempt != v.state.Attempt {
		return
	}
	absent := v.memory.judged.evidence.Without(v.analysis)
	if len(absent) == 0 {
		return
	}
	text := unjudged(absent)
	if slices.ContainsFunc(v.analysis.Criteria, func(c analysis.Criterion) bool { return c.Name == v1alpha1.MetricAttempts && c.Optional }) &&
		slices.ContainsFunc(absent, func(a analysis.Absence) bool { return a.Metric == v1alpha1.MetricErrors }) {
		text += "; attempts stand in for errors"
	}
	v.list.Set(v1alpha1.ConditionNotJudged, metav1.ConditionTrue, string(absent[0].Reason), text)
}

func unjudged(absent []analysis.Absence) string {
	names := make([]string, 0, len(absent))
	for _, a := range absent {
		names = append(names, a.Metric)
	}
	return fmt.Sprintf("judged without %s: %s", strings.Join(names, ", "), cause(absent[0].Reason))
}

// cause is why nobody can be asked for a metric, in words.
func cause(r analysis.Reason) string {
	switch r {
	case analysis.NotConfigured:
		return "no Prometheus is configured (--prometheus=URL)"
	case analysis.NoSeries:
		return "Prometheus has no series of either version"
	case analysis.Stale:
		return "no proxy reports its requests"
	default:
		return "what Prometheus has cannot be judged (" + string(r) + ")"
	}
}
