package watch

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// Of makes the frame of ro at now. src is the Source that it comes from; nil: none, or not known.
func Of(ro *v1alpha1.Rollout, src *v1alpha1.Source, seen Seen, now time.Time) Frame {
	v := view.Status(ro)
	f := Frame{
		Name: ro.Name, Namespace: ro.Namespace, Now: now, GivesUp: v.Deadline,
		State:  State{Standing: v.Standing, Reason: v.Reason, Attempt: v.Attempt},
		Commit: commitOf(ro, src), Next: v.Message,
	}
	st := ro.Status
	if st == nil {
		return f
	}
	f.Traffic = trafficOf(st)
	if p := st.Proxies; p != nil {
		f.Proxies = &Proxies{Acked: p.Acked, Connected: p.Connected, Rejected: p.Nacked, Stale: max(0, p.Connected-p.Acked-p.Nacked), Took: seen.took}
	}
	if v.Place != nil {
		f.State.Step, f.State.Steps, f.State.Weight = v.Place.Step, v.Place.Steps, v.Place.Weight
		f.Rows = rowsOf(ro, seen)
	}
	if st.Phase == v1alpha1.PhaseBaking && v.Standing == view.Moving {
		f.Next = cmp.Or(nextOf(st), v.Message)
	}
	return f
}

func commitOf(ro *v1alpha1.Rollout, src *v1alpha1.Source) *Commit {
	marks := ro.Annotations
	id := marks[v1alpha1.AnnotationCommit]
	if id == "" {
		return nil
	}
	c := &Commit{ID: id, Subject: marks[v1alpha1.AnnotationCommitSubject], Author: marks[v1alpha1.AnnotationCommitAuthor]}
	if src == nil {
		return c
	}
	c.Ref = strings.TrimPrefix(strings.TrimPrefix(src.Status.Ref, "refs/heads/"), "refs/tags/")
	switch known := src.Status.Commit; {
	case src.Spec.Verify == nil:
	case known != nil && known.ID == id && known.Signer != "":
		c.Signed = "signed"
	default:
		c.Signed = "signature n/a"
	}
	return c
}

func trafficOf(st *v1alpha1.RolloutStatus) Traffic {
	t := Traffic{Stable: st.Stable.Name}
	if st.Canary == nil {
		return t
	}
	t.Canary, t.Wanted = st.Canary.Name, st.Weight
	if st.SettledSeq >= st.Traffic.Seq && st.Phase != v1alpha1.PhaseShifting {
		acked := st.Weight
		t.Acked = &acked
	}
	if st.Analysis == nil {
		return t
	}
	for _, m := range st.Analysis.Metrics {
		if all := m.Canary.Requests + m.Stable.Requests; all > 0 && m.Bounds == nil && m.Gate == nil {
			share := 100 * float64(m.Canary.Requests) / float64(all)
			t.Seen = &share
			break
		}
	}
	return t
}

// nextOf says what ends the present step.
func nextOf(st *v1alpha1.RolloutStatus) string {
	if st.Step < 1 || int(st.Step) > len(st.Plan) {
		return ""
	}
	goal := st.Canary.Name + " is stable"
	if int(st.Step) < len(st.Plan) {
		goal = fmt.Sprintf("%d%%", st.Plan[st.Step].Weight)
	}
	step := st.Plan[st.Step-1]
	if step.Promotion == v1alpha1.PromotionTimeOnly || st.Analysis == nil {
		return goal + " when the bake is over"
	}
	var open []string
	for _, m := range st.Analysis.Metrics {
		wanted := len(step.Metrics) == 0
		for _, name := range step.Metrics {
			wanted = wanted || name == m.Name
		}
		if wanted && !m.Cleared && m.NotJudged == "" && (m.Gate == nil || m.Gate.State != v1alpha1.GatePassed) {
			open = append(open, m.Name)
		}
	}
	switch len(open) {
	case 0:
		return goal + " when the bake is over"
	case 1:
		return fmt.Sprintf("%s when %s is shown not worse", goal, open[0])
	}
	return fmt.Sprintf("%s when %s and %s are shown not worse", goal, strings.Join(open[:len(open)-1], ", "), open[len(open)-1])
}

// limits are what evidence is held against.
type limits struct{ harm, safe string }

func limitsOf(ro *v1alpha1.Rollout) limits {
	spec := ro.Spec.Analysis.DeepCopy()
	spec.Default()
	return limits{harm: against(spec.FalseRollback), safe: against(spec.FalsePromotion)}
}

// against is one over a probability.
func against(p v1alpha1.Percent) string {
	share, err := p.Fraction()
	if err != nil || share <= 0 {
		return "n/a"
	}
	return strconv.FormatFloat(1/share, 'g', 4, 64)
}

// rowsOf are the rows of the steps until the present one.
func rowsOf(ro *v1alpha1.Rollout, seen Seen) []Row {
	st, bounds := ro.Status, limitsOf(ro)
	var out []Row
	passed := map[int32]v1alpha1.Gate{}
	for _, g := range st.Gates {
		passed[g.Step] = g
	}
	for i := range st.Plan {
		n := int32(i + 1)
		if n > st.Step {
			break
		}
		row := Row{Step: strconv.Itoa(i + 1), Weight: fmt.Sprintf("%d%%", st.Plan[i].Weight)}
		known := seen.steps[n]
		if n == st.Step {
			known.clock = clockOf(st)
			if st.Analysis != nil {
				known.metrics = st.Analysis.Metrics
			}
		}
		if known.clock > 0 {
			row.Took = Length(known.clock)
		}
		if g, ok := passed[n]; ok {
			row.Verdict = strings.Replace(string(g.Result), string(v1alpha1.GatePass), "Promote", 1)
		} else if n == st.Step && st.Display != nil {
			row.Verdict = st.Display.Verdict
		}
		out = append(out, metricRows(row, known.metrics, bounds)...)
	}
	return out
}

// metricRows are a row for each metric of a step; the first says what is of the step.
func metricRows(first Row, metrics []v1alpha1.MetricStatus, bounds limits) []Row {
	if len(metrics) == 0 {
		return []Row{first}
	}
	var out []Row
	for i, m := range metrics {
		row := Row{}
		if i == 0 {
			row = first
		}
		row.Metric, row.Numbers = m.Name, numbersOf(m, bounds)
		out = append(out, row)
	}
	return out
}

func numbersOf(m v1alpha1.MetricStatus, bounds limits) Numbers {
	switch {
	case m.Gate != nil:
		return Numbers{Canary: strings.ToLower(string(m.Gate.State)), Stable: fmt.Sprintf("%d of %d passed", m.Gate.Passed, m.Gate.Wanted), Ratio: m.Gate.Value}
	case m.NotJudged != "":
		return Numbers{Canary: "not judged", Stable: m.NotJudged}
	}
	n := Numbers{Canary: rate(m.Canary), Stable: rate(m.Stable), Ratio: times(m.Ratio), AtLeast: times(m.AtLeast), Harm: "n/a", Safe: "n/a"}
	if m.Harm != "" {
		n.Harm = m.Harm + "/" + bounds.harm
	}
	switch {
	case m.Cleared:
		n.Safe = "cleared"
	case m.Safe != "":
		n.Safe = m.Safe + "/" + bounds.safe
	}
	return n
}

func times(factor string) string {
	if factor == "" {
		return "n/a"
	}
	return factor + "x"
}

// rate is what was bad of all, such as 0.612% (27/4410).
func rate(a v1alpha1.ArmStatus) string {
	if a.Requests == 0 {
		return "n/a"
	}
	share := strconv.FormatFloat(100*float64(a.Bad)/float64(a.Requests), 'g', 3, 64)
	return fmt.Sprintf("%s%% (%d/%d)", share, a.Bad, a.Requests)
}

// Length is a time span as people say it: 340ms, 6.9s, 1m47s, 2h3m.
func Length(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
