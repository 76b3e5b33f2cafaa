package view_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func rollout(phase v1alpha1.Phase, say func(*v1alpha1.Conditions)) *v1alpha1.Rollout {
	c := v1alpha1.NewConditions(nil, 2, at)
	say(c)
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", Generation: 2},
		Status:     &v1alpha1.RolloutStatus{ObservedGeneration: 2, Phase: phase, Conditions: c.List()},
	}
}

func TestStatus_standing(t *testing.T) {
	t.Parallel()
	pause := func(c *v1alpha1.Conditions) {
		c.Moving(v1alpha1.ReasonPausedInGit, "paused")
		c.Set(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPausedInGit, "")
	}
	stall := func(c *v1alpha1.Conditions) { c.Stalled(v1alpha1.ReasonInvalidSpec, "weights fall") }
	behind := rollout(v1alpha1.PhaseIdle, func(c *v1alpha1.Conditions) { c.Ready(v1alpha1.ReasonStable, "v1 serves 100%") })
	behind.Generation = 3
	for name, row := range map[string]struct {
		ro   *v1alpha1.Rollout
		want view.Standing
	}{
		"not looked at":            {&v1alpha1.Rollout{}, view.Moving},
		"ready":                    {rollout(v1alpha1.PhaseIdle, func(c *v1alpha1.Conditions) { c.Ready(v1alpha1.ReasonStable, "") }), view.Ready},
		"ready before the change":  {behind, view.Moving},
		"baking":                   {rollout(v1alpha1.PhaseBaking, func(c *v1alpha1.Conditions) { c.Moving(v1alpha1.ReasonBaking, "") }), view.Moving},
		"holding for somebody":     {rollout(v1alpha1.PhaseHolding, pause), view.Paused},
		"on the way back":          {rollout(v1alpha1.PhaseRollingBack, func(c *v1alpha1.Conditions) { c.Moving(v1alpha1.ReasonRollingBack, "") }), view.Moving},
		"rolled back":              {rollout(v1alpha1.PhaseRolledBack, func(c *v1alpha1.Conditions) { c.Stalled(v1alpha1.ReasonRolledBack, "") }), view.RolledBack},
		"invalid":                  {rollout(v1alpha1.PhaseIdle, stall), view.Failing},
		"invalid, but a rollback":  {rollout(v1alpha1.PhaseRolledBack, stall), view.RolledBack},
		"without any condition":    {rollout(v1alpha1.PhaseIdle, func(*v1alpha1.Conditions) {}), view.Moving},
		"a read that is retried":   {rollout(v1alpha1.PhaseIdle, func(c *v1alpha1.Conditions) { c.Failing(v1alpha1.ReasonPending, "") }), view.Moving},
		"paused on a stalled spec": {rollout(v1alpha1.PhaseHolding, func(c *v1alpha1.Conditions) { stall(c); pause(c) }), view.Paused},
	} {
		if got := view.Status(row.ro).Standing; got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestStatus_unknownIsNull(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(view.Status(&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews"}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"place", "stable", "canary", "rejected", "proxies", "since", "deadline"} {
		if !strings.Contains(string(raw), `"`+field+`":null`) {
			t.Errorf("%s is not null in %s", field, raw)
		}
	}
}

func TestEvidence_findsTheVersionOfItsAttempt(t *testing.T) {
	t.Parallel()
	ro := rollout(v1alpha1.PhaseBaking, func(*v1alpha1.Conditions) {})
	ro.Annotations = map[string]string{v1alpha1.AnnotationCommit: "c5", v1alpha1.AnnotationCommitAuthor: "A. Martin"}
	ro.Status.Attempt = 5
	ro.Status.Canary = &v1alpha1.VersionStatus{Name: "v5", Commit: "c5"}
	ro.Status.History = []v1alpha1.HistoryEntry{{Attempt: 4, Name: "v4", Commit: "c4"}}
	ro.Status.Rejected = []v1alpha1.RejectedVersion{{Attempt: 4, Name: "v4"}, {Attempt: 3, Name: "v3", Commit: "c3"}}
	ro.Status.Analysis = &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{{Name: "errors"}}}
	for attempt, want := range map[int64]string{5: "v5 A. Martin 1", 4: "v4  0", 3: "v3  0", 2: "unknown 0"} {
		e := view.Evidence(ro, v1alpha1.PendingNote{Attempt: attempt})
		got := "unknown"
		if e.Version != nil {
			got = e.Version.Name + " " + e.Version.Author
		}
		if got += " " + string(rune('0'+len(e.Metrics))); got != want {
			t.Errorf("attempt %d: %q, want %q", attempt, got, want)
		}
	}
}
