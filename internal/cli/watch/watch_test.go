package watch_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/watch"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the pictures of testdata")

var start = time.Date(2026, 1, 2, 14, 20, 0, 0, time.UTC)

func micro(after time.Duration) metav1.MicroTime { return metav1.NewMicroTime(start.Add(after)) }

// baking is a Rollout in its second step, and the Source it comes from.
func baking() (*v1alpha1.Rollout, *v1alpha1.Source) {
	c := v1alpha1.NewConditions(nil, 1, start)
	c.Moving(v1alpha1.ReasonBaking, "step 2/3 (50%): needs about 1,900 more requests on v2, 41s at this rate")
	deadline, settled := micro(12*time.Minute+10*time.Second), micro(6*time.Minute+340*time.Millisecond)
	bake := v1alpha1.Bake{Min: v1alpha1.DurationOf(time.Minute), Max: v1alpha1.DurationOf(10 * time.Minute)}
	step := func(name string, weight int32) v1alpha1.PlanStep {
		return v1alpha1.PlanStep{Name: name, Weight: weight, Bake: bake, Promotion: v1alpha1.PromotionEvidence}
	}
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", Generation: 1, Annotations: map[string]string{
			v1alpha1.AnnotationCommit: "3f9c2ab00000000000000000000000000000000f", v1alpha1.AnnotationCommitSubject: "Retry budget for ratings",
			v1alpha1.AnnotationCommitAuthor: "A. Martin",
		}},
		Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"},
		Status: &v1alpha1.RolloutStatus{
			ObservedGeneration: 1, Seq: 9, Attempt: 4, Phase: v1alpha1.PhaseBaking, Outcome: v1alpha1.OutcomeOpen, Since: settled, Deadline: &deadline,
			Step: 2, Steps: 3, Weight: 50, Traffic: v1alpha1.TrafficStatus{Seq: 8}, SettledSeq: 8,
			Stable: v1alpha1.VersionStatus{Name: "v1"}, Canary: &v1alpha1.VersionStatus{Name: "v2", Commit: "3f9c2ab"},
			Plan:     []v1alpha1.PlanStep{step("first", 15), step("half", 50), step("all", 100)},
			Gates:    []v1alpha1.Gate{{Step: 1, Result: v1alpha1.GatePass, Seq: 7, At: micro(6 * time.Minute)}},
			Progress: &v1alpha1.Progress{SettledAt: &settled, StepClock: 72_000},
			Analysis: &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{
				metric("errors", 4410, 27, 4390, 22, "1.22", "0.422", "0.9", "7.1"), metric("latency", 4410, 190, 4390, 202, "0.936", "0.731", "0.2", "11.8"),
			}},
			Proxies: &v1alpha1.ProxiesStatus{Connected: 3, Acked: 3}, Conditions: c.List(), Display: &v1alpha1.DisplayStatus{Verdict: "NeedsRequests"},
		},
	}
	src := &v1alpha1.Source{Spec: v1alpha1.SourceSpec{Verify: &v1alpha1.SourceVerify{}}, Status: v1alpha1.SourceStatus{
		Ref: "refs/heads/main", Commit: &v1alpha1.CommitStatus{ID: "3f9c2ab00000000000000000000000000000000f", Signer: "SHA256:abc"},
	}}
	return ro, src
}

func metric(name string, n, bad, m, worse int64, ratio, least, harm, safe string) v1alpha1.MetricStatus {
	return v1alpha1.MetricStatus{Name: name, Canary: v1alpha1.ArmStatus{Requests: n, Bad: bad}, Stable: v1alpha1.ArmStatus{Requests: m, Bad: worse},
		Ratio: ratio, AtLeast: least, Harm: harm, Safe: safe}
}

// since is what a watch has seen that began with the attempt.
func since(t *testing.T) watch.Seen {
	t.Helper()
	ro, _ := baking()
	st := ro.Status
	st.Step, st.Weight, st.Traffic.Seq, st.SettledSeq, st.Gates = 1, 15, 4, 4, nil
	st.Progress.StepClock = 320_000
	first := metric("errors", 2820, 15, 15980, 80, "1.06", "0.313", "0.3", "22.4")
	first.Cleared = true
	st.Analysis.Metrics = []v1alpha1.MetricStatus{first}
	seen := watch.Seen{}.With(ro)
	st.Phase, st.Step, st.Weight, st.Traffic.Seq, st.Since = v1alpha1.PhaseShifting, 2, 50, 8, micro(6*time.Minute)
	st.Progress = &v1alpha1.Progress{}
	seen = seen.With(ro)
	now, _ := baking()
	return seen.With(now)
}

// hostile puts into every text that comes from outside what would steer a terminal or turn its text around.
func hostile(ro *v1alpha1.Rollout, src *v1alpha1.Source) {
	const evil = "\x1b[31mred\x1b]8;;http://evil\a\r\nnew line\u202eesrever\u2066\u200f\u061c\u0085\x07\u2028end"
	for key := range ro.Annotations {
		ro.Annotations[key] = evil
	}
	src.Status.Ref = "refs/heads/" + evil
	ro.Status.Canary.Name, ro.Status.Stable.Name, ro.Status.Display.Verdict = evil, evil, evil
	ro.Status.Analysis.Metrics[0].Name = evil
	ro.Status.Plan[1].Name = evil
	ro.Status.Conditions[0].Message = evil
}

func TestText_pictures(t *testing.T) {
	t.Parallel()
	wide, narrow, tiny := watch.Style{Width: 120}, watch.Style{Width: 72}, watch.Style{Width: 44}
	for name, row := range map[string]struct {
		style  watch.Style
		change func(*v1alpha1.Rollout, *v1alpha1.Source)
		foot   string
	}{
		"wide": {style: wide, foot: "p promote   r roll back   e evidence   q quit"}, "narrow": {style: narrow}, "tiny": {style: tiny},
		"colour": {style: watch.Style{Width: 120, Colour: true}}, "ascii": {style: watch.Style{Width: 120, ASCII: true}},
		"hostile": {style: wide, change: hostile}, "hostile_ascii": {style: watch.Style{Width: 120, ASCII: true}, change: hostile},
		"wide_letters": {style: narrow, change: func(ro *v1alpha1.Rollout, _ *v1alpha1.Source) {
			ro.Annotations[v1alpha1.AnnotationCommitSubject] = strings.Repeat("流量切换", 12)
		}},
		"rolled_back": {style: wide, change: rolledBack}, "paused": {style: wide, change: paused}, "new": {style: wide, change: unseen},
		"shifting": {style: wide, change: shifting}, "gates": {style: wide, change: gates},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ro, src := baking()
			if row.change != nil {
				row.change(ro, src)
			}
			f := watch.Of(ro, src, since(t), start.Add(8*time.Minute))
			f.Foot = row.foot
			got := f.Text(row.style)
			for line := range strings.Lines(got) {
				if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > row.style.Width {
					t.Errorf("a line is %d wide, of %d: %q", w, row.style.Width, line)
				}
			}
			if row.style.ASCII && strings.IndexFunc(got, func(r rune) bool { return r > 0x7e }) >= 0 {
				t.Errorf("not all is ASCII: %q", got)
			}
			if !row.style.Colour && strings.ContainsAny(got, "\x1b\a\r\u202e\u2066\u200f\u061c\u0085\u2028") {
				t.Errorf("something steers the terminal: %q", got)
			}
			compare(t, name, strings.ReplaceAll(got, "\x1b", "␛"))
		})
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got); if that is meant: go test ./internal/cli/watch -rewrite, and look at it\n%s", diff)
	}
}

func rolledBack(ro *v1alpha1.Rollout, _ *v1alpha1.Source) {
	st := ro.Status
	c := v1alpha1.NewConditions(nil, 1, start)
	c.Stalled(v1alpha1.ReasonRolledBack, "Git wants v2, rejected in attempt 4 (RegressionDetected); v1 serves 100%")
	st.Phase, st.Step, st.Weight, st.Canary, st.Deadline, st.Conditions = v1alpha1.PhaseRolledBack, 0, 0, nil, nil, c.List()
	st.Proxies = &v1alpha1.ProxiesStatus{Connected: 3, Acked: 2, Nacked: 1}
}

func paused(ro *v1alpha1.Rollout, _ *v1alpha1.Source) {
	c := v1alpha1.NewConditions(nil, 1, start)
	c.Moving(v1alpha1.ReasonApprovalNeeded, "step 2/3 (50%): 1 of 2 approvals")
	c.Set(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonApprovalNeeded, "")
	ro.Status.Phase, ro.Status.Conditions, ro.Status.Deadline = v1alpha1.PhaseHolding, c.List(), nil
}

func unseen(ro *v1alpha1.Rollout, src *v1alpha1.Source) {
	ro.Status, ro.Annotations, *src = nil, nil, v1alpha1.Source{}
}

func shifting(ro *v1alpha1.Rollout, _ *v1alpha1.Source) {
	st := ro.Status
	c := v1alpha1.NewConditions(nil, 1, start)
	c.Moving(v1alpha1.ReasonShifting, "step 2/3 (50%): 1 of 3 proxies run it")
	st.Phase, st.Conditions, st.Traffic.Seq, st.Analysis, st.Progress = v1alpha1.PhaseShifting, c.List(), 10, nil, &v1alpha1.Progress{}
	st.Proxies = &v1alpha1.ProxiesStatus{Connected: 3, Acked: 1, Laggards: []string{"gw-2", "gw-3"}}
}

func gates(ro *v1alpha1.Rollout, _ *v1alpha1.Source) {
	ro.Status.Analysis.Metrics = []v1alpha1.MetricStatus{
		{Name: "queue", Gate: &v1alpha1.GateStatus{State: v1alpha1.GateOpen, Passed: 1, Wanted: 3, Value: "12.3"}},
		{Name: "latency", NotJudged: "NoSeries"}, {Name: "errors"},
	}
}

func TestSeen_forgetsAnotherAttempt(t *testing.T) {
	t.Parallel()
	ro, src := baking()
	before := watch.Of(ro, src, since(t), start)
	ro.Status.Attempt++
	after := watch.Of(ro, src, since(t).With(ro), start)
	if before.Rows[0].Metric != "errors" || before.Proxies.Took == nil {
		t.Errorf("the first step is not remembered: %+v", before)
	}
	if after.Rows[0].Metric != "" || after.Proxies.Took != nil {
		t.Errorf("another attempt's numbers are shown: %+v, %v", after.Rows[0], after.Proxies.Took)
	}
}
