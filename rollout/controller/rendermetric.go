package controller

import (
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// metricsOf are the rows of a report as the status keeps them.
func metricsOf(r analysis.Report) []v1alpha1.MetricStatus {
	var out []v1alpha1.MetricStatus
	for _, m := range r.Metrics {
		if m.Gate != nil {
			out = append(out, v1alpha1.MetricStatus{Name: m.Name, Gate: gateStatus(*m.Gate)})
			continue
		}
		if reason := r.NotJudged(m.Name); reason != "" {
			out = append(out, v1alpha1.MetricStatus{Name: m.Name, NotJudged: string(reason)})
			continue
		}
		row := v1alpha1.MetricStatus{
			Name: m.Name, Canary: armStatus(m.Step.Canary), Stable: armStatus(m.Step.Stable),
			Harm: wealth(m.Harm.LogE), Safe: wealth(m.Safe.LogE), Cleared: m.Safe.Cleared,
			Bounds: boundsStatus(m.Bounds),
		}
		if m.Estimate.Ratio != nil {
			row.Ratio = analysis.Digits(*m.Estimate.Ratio)
		}
		if m.Estimate.AtLeast > 0 {
			row.AtLeast = analysis.Digits(m.Estimate.AtLeast)
		}
		if needed := m.Safe.Needed; needed >= 0 {
			row.Needed = &needed
		}
		out = append(out, row)
	}
	return out
}

// boundsStatus names the promotion bound and the one that speaks most.
func boundsStatus(b *analysis.Bounds) *v1alpha1.BoundsStatus {
	if b == nil {
		return nil
	}
	most, ok := b.Loudest()
	if !ok {
		return &v1alpha1.BoundsStatus{Known: int64(b.Known)}
	}
	return &v1alpha1.BoundsStatus{
		Slow: analysis.Millis(b.Promotion), Most: analysis.Millis(most.Le), Within: most.Fast, Harm: wealth(most.LogE),
	}
}

func gateStatus(g analysis.Gate) *v1alpha1.GateStatus {
	out := &v1alpha1.GateStatus{
		State: gateState(g.Standing), Passed: int32(g.Pass), Failed: int32(g.Fail), Inconclusive: int32(g.Inconclusive),
		Errors: int32(g.Errors), Wanted: int32(g.Wanted), Outcome: string(g.Outcome),
	}
	if g.Outcome == "" {
		return out
	}
	if g.Outcome != analysis.OutcomeError {
		out.Value = analysis.Digits(g.Value)
	}
	at := metav1.NewTime(g.At)
	out.At = &at
	return out
}

func gateState(s analysis.Standing) v1alpha1.GateState {
	switch s {
	case analysis.StandingPassed:
		return v1alpha1.GatePassed
	case analysis.StandingFailed:
		return v1alpha1.GateFailed
	case analysis.StandingUnsure:
		return v1alpha1.GateUnsure
	case analysis.StandingOpen:
	}
	return v1alpha1.GateOpen
}

func armStatus(c analysis.Counts) v1alpha1.ArmStatus {
	return v1alpha1.ArmStatus{Requests: int64(c.N), Bad: int64(c.Bad)}
}

// wealth is an e-value given its logarithm.
func wealth(log float64) string {
	text := analysis.Digits(math.Exp(log))
	if math.IsInf(math.Exp(log), 0) || len(text) > 16 {
		return "over 1e300"
	}
	return text
}
