package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

func micro(seconds int) metav1.MicroTime {
	return metav1.NewMicroTime(time.Date(2026, 5, 12, 9, 0, seconds, 0, time.UTC))
}

// storied is a Rollout that completed v2 and rolled back v3 in its second step.
func storied() *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reviews", Annotations: map[string]string{v1alpha1.AnnotationCommit: "c07aa19", v1alpha1.AnnotationCommitAuthor: "Ana"}},
		Spec:       v1alpha1.RolloutSpec{Host: "reviews", Subset: "v3", Steps: []v1alpha1.Step{{Weight: 15}, {Weight: 50}, {Weight: 100}}},
		Status: &v1alpha1.RolloutStatus{
			Seq: 20, Attempt: 2, Phase: v1alpha1.PhaseRolledBack, Outcome: v1alpha1.OutcomeRolledBack, Since: micro(400), Stable: v1alpha1.VersionStatus{Name: "v2"},
			Analysis: &v1alpha1.AnalysisStatus{Verdict: "Rollback", Metrics: []v1alpha1.MetricStatus{{Name: "errors"}}},
			History: []v1alpha1.HistoryEntry{
				{Attempt: 2, Name: "v3", Commit: "c07aa19", StartedAt: micro(200), EndedAt: micro(390), Outcome: v1alpha1.OutcomeRolledBack, Reason: "RegressionDetected", Step: 2, Text: "errors 20.1% (84/418) against 0.042% (1/2380)"},
				{Attempt: 1, Name: "v2", StartedAt: micro(10), EndedAt: micro(100), Outcome: v1alpha1.OutcomeCompleted, Reason: "Completed", Step: 3, Text: "no worse after 1m"},
				{Attempt: 0, Name: "v1", StartedAt: micro(0), EndedAt: micro(0), Outcome: v1alpha1.OutcomeCompleted, Reason: "Adopted"},
			},
		},
	}
	return ro
}

func event(seconds int, reason, note string) view.StoryEvent {
	return view.StoryEvent{At: micro(seconds).Time, About: "rollout/reviews", Reason: reason, Note: note}
}

func TestAttemptReport_findsStepsInEvents(t *testing.T) {
	events := []view.StoryEvent{
		event(50, "StepPassed", "step 1/3 (15%) passed; asking for 50%"), // of the attempt before
		event(201, "WeightRequested", "step 1/3 (15%): asking for 15% on v3"),
		event(202, "WeightProgrammed", "step 1/3 (15%): acknowledged by 3/3 proxies; baking for at least 1m"),
		{At: micro(203).Time, About: "source/main", Reason: "WeightRequested", Note: "step 1/3 (99%): not of the rollout"},
		event(300, "StepPassed", "step 1/3 (15%) passed: v3 is no worse; asking for 50%"),
		event(301, "WeightProgrammed", "step 2/3 (50%): acknowledged by 3/3 proxies; baking for at least 1m"),
		event(390, "RegressionDetected", "rolled back to v2 at step 2/3 (50%): errors"),
		event(391, "RolledBack", "v2 serves 100%"),
		event(900, "Later", "of no attempt"),
	}
	r, err := view.AttemptReport(storied(), 0, view.Known{Events: events, Actions: []v1alpha1.RolloutAction{
		{Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: "pause", Actor: "ana"}, Status: v1alpha1.RolloutActionStatus{Attempt: 2, Result: "accepted"}},
		{Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: "pause", Actor: "bob"}, Status: v1alpha1.RolloutActionStatus{Attempt: 1, Result: "accepted"}},
		{Spec: v1alpha1.RolloutActionSpec{Rollout: "ratings", Verb: "pause", Actor: "eve"}, Status: v1alpha1.RolloutActionStatus{Attempt: 2, Result: "accepted"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(seconds int) *time.Time { t := micro(seconds).Time; return &t }
	want := []view.StoryStep{
		{Step: 1, Weight: 15, From: at(201), Acked: at(202), To: at(300), Result: "passed"},
		{Step: 2, Weight: 50, From: at(300), Acked: at(301), To: at(390), Result: "rolledBack"},
	}
	if diff := cmp.Diff(want, r.Story.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if r.ZeroAt == nil || !r.ZeroAt.Equal(micro(391).Time) {
		t.Errorf("the traffic was back at %v, want by the event", r.ZeroAt)
	}
	ro := storied()
	ro.Status.Reason = v1alpha1.ReasonRolledBack
	if known, err := view.AttemptReport(ro, 0, view.Known{}); err != nil || known.ZeroAt == nil || !known.ZeroAt.Equal(micro(400).Time) {
		t.Errorf("the traffic was back at %v, %v, want by the status", known.ZeroAt, err)
	}
	if r.Sentence != "rolled back to v2 at step 2/3 (50%): errors 20.1% (84/418) against 0.042% (1/2380); v2 serves 100%" {
		t.Errorf("sentence %q", r.Sentence)
	}
	if r.Note != v1alpha1.NoteRolledBack || r.Version.Author != "Ana" || r.Stable.Name != "v2" || len(r.Metrics) != 1 || len(r.Story.Events) != 7 || len(r.Story.Missing) != 0 {
		t.Errorf("%s, %+v against %+v, %d metrics, %d events, missing %q", r.Note, r.Version, r.Stable, len(r.Metrics), len(r.Story.Events), r.Story.Missing)
	}
	if len(r.Story.Acts) != 1 || r.Story.Acts[0].Actor != "ana" {
		t.Errorf("acts %+v", r.Story.Acts)
	}
	if r.Story.Now.Agree || !strings.Contains(r.Story.Now.Sentence, "which was rejected") {
		t.Errorf("now %+v", r.Story.Now)
	}
}

func TestAttemptReport_saysWhatIsNotKnownAnyMore(t *testing.T) {
	r, err := view.AttemptReport(storied(), 1, view.Known{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Story.Missing) != 2 || len(r.Story.Steps) != 0 || r.Stable.Name != "v1" || len(r.Metrics) != 0 {
		t.Errorf("missing %q, steps %v, against %+v", r.Story.Missing, r.Story.Steps, r.Stable)
	}
	for _, n := range []int64{7, 3} {
		if _, err := view.AttemptReport(storied(), n, view.Known{}); err == nil || !strings.Contains(err.Error(), "known are 2, 1, 0") {
			t.Errorf("attempt %d: %v", n, err)
		}
	}
	if _, err := view.AttemptReport(&v1alpha1.Rollout{}, 0, view.Known{}); err == nil {
		t.Error("a report on nothing")
	}
}

func TestAttemptReport_ofAnOpenAttemptIsByItsPlan(t *testing.T) {
	ro := storied()
	st := ro.Status
	settled, started := micro(420), micro(400)
	st.Attempt, st.Phase, st.Outcome, st.Step, st.Steps, st.Canary = 3, v1alpha1.PhaseBaking, v1alpha1.OutcomeOpen, 2, 3, &v1alpha1.VersionStatus{Name: "v4"}
	st.Plan = []v1alpha1.PlanStep{{Name: "first", Weight: 15}, {Name: "half", Weight: 50}, {Name: "all", Weight: 100}}
	st.Gates = []v1alpha1.Gate{{Step: 1, Result: v1alpha1.GateOverride, At: micro(415), Actor: "ana"}}
	st.Progress = &v1alpha1.Progress{StartedAt: &started, SettledAt: &settled}
	r, err := view.AttemptReport(ro, 3, view.Known{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(m metav1.MicroTime) *time.Time { return &m.Time }
	want := []view.StoryStep{
		{Step: 1, Name: "first", Weight: 15, From: at(started), To: at(micro(415)), Result: "Override", Actor: "ana"},
		{Step: 2, Name: "half", Weight: 50, From: at(micro(415)), Acked: at(settled)},
	}
	if diff := cmp.Diff(want, r.Story.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if r.Story.EndedAt != nil || r.Story.Outcome != v1alpha1.OutcomeOpen || r.Version.Name != "v4" {
		t.Errorf("%+v, %+v", r.Story, r.Version)
	}
}
