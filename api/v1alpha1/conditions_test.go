package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// builders are the ways to say how an object is, with what tools must make of it.
func builders() map[string]struct {
	say  func(*v1alpha1.Conditions)
	want status.Status
} {
	type row = struct {
		say  func(*v1alpha1.Conditions)
		want status.Status
	}
	return map[string]row{
		"ready":   {func(c *v1alpha1.Conditions) { c.Ready(v1alpha1.ReasonCompleted, "v2 serves 100%") }, status.CurrentStatus},
		"moving":  {func(c *v1alpha1.Conditions) { c.Moving(v1alpha1.ReasonBaking, "step 1/3") }, status.InProgressStatus},
		"stalled": {func(c *v1alpha1.Conditions) { c.Stalled(v1alpha1.ReasonRolledBack, "rolled back") }, status.FailedStatus},
		"failing": {func(c *v1alpha1.Conditions) { c.Failing(v1alpha1.ReasonUnreachable, "no answer") }, status.InProgressStatus},
	}
}

func computed(t *testing.T, obj runtime.Object) status.Status {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		t.Fatal(err)
	}
	got, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status
}

func kinds(conditions []metav1.Condition, generation, observed int64) []runtime.Object {
	meta := metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", Generation: generation}
	kind := func(k string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: k}
	}
	return []runtime.Object{
		&v1alpha1.Rollout{TypeMeta: kind(v1alpha1.KindRollout), ObjectMeta: meta,
			Status: &v1alpha1.RolloutStatus{Conditions: conditions, ObservedGeneration: observed}},
		&v1alpha1.Source{TypeMeta: kind(v1alpha1.KindSource), ObjectMeta: meta,
			Status: v1alpha1.SourceStatus{Conditions: conditions, ObservedGeneration: observed}},
		&v1alpha1.Notifier{TypeMeta: kind(v1alpha1.KindNotifier), ObjectMeta: meta,
			Status: v1alpha1.NotifierStatus{Conditions: conditions, ObservedGeneration: observed}},
	}
}

func TestConditions_areReadByKstatus(t *testing.T) {
	t.Parallel()
	for name, b := range builders() {
		for _, also := range []string{"", v1alpha1.ConditionAccepted, v1alpha1.ConditionProgrammed, v1alpha1.ConditionHealthy,
			v1alpha1.ConditionInSyncWithGit, v1alpha1.ConditionPaused, v1alpha1.ConditionRolledBack, v1alpha1.ConditionPruneHeld} {
			for _, other := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown} {
				c := v1alpha1.NewConditions(nil, 7, now)
				b.say(c)
				if also != "" {
					c.Set(also, other, "Reason", "")
				}
				for _, obj := range kinds(c.List(), 7, 7) {
					if got := computed(t, obj); got != b.want {
						t.Errorf("%s with %s=%s: %T is %s to kstatus, want %s", name, also, other, obj, got, b.want)
					}
				}
				for _, obj := range kinds(c.List(), 8, 7) {
					if got := computed(t, obj); got != status.InProgressStatus {
						t.Errorf("%s seen at an older generation: %T is %s to kstatus, want InProgress", name, obj, got)
					}
				}
			}
		}
	}
}

// TestConditions_retryingKeepsReady walks from each state into a young failure: kstatus waits, people still see the
// last known answer.
func TestConditions_retryingKeepsReady(t *testing.T) {
	t.Parallel()
	for name, b := range builders() {
		before := v1alpha1.NewConditions(nil, 7, now)
		b.say(before)
		after := v1alpha1.NewConditions(before.List(), 7, now.Add(time.Minute))
		after.Retrying(v1alpha1.ReasonUnreachable, "no answer")
		was, is := v1alpha1.Condition(before.List(), v1alpha1.ConditionReady), v1alpha1.Condition(after.List(), v1alpha1.ConditionReady)
		if *was != *is {
			t.Errorf("%s: Ready became %v, want it as it was: %v", name, is, was)
		}
		for _, obj := range kinds(after.List(), 7, 7) {
			if got := computed(t, obj); got != status.InProgressStatus {
				t.Errorf("%s, then retrying: %T is %s to kstatus, want InProgress", name, obj, got)
			}
		}
	}
	first := v1alpha1.NewConditions(nil, 1, now)
	first.Retrying(v1alpha1.ReasonUnreachable, "no answer")
	if got := v1alpha1.Condition(first.List(), v1alpha1.ConditionReady); got == nil || got.Status != metav1.ConditionUnknown {
		t.Errorf("retrying from nothing gives Ready %v, want Unknown", got)
	}
}

func TestConditions_neverBothMovingAndStalled(t *testing.T) {
	t.Parallel()
	for from, a := range builders() {
		for to, b := range builders() {
			c := v1alpha1.NewConditions(nil, 1, now)
			a.say(c)
			c = v1alpha1.NewConditions(c.List(), 2, now.Add(time.Second))
			b.say(c)
			moving, stalled := v1alpha1.Condition(c.List(), v1alpha1.ConditionReconciling), v1alpha1.Condition(c.List(), v1alpha1.ConditionStalled)
			if moving != nil && stalled != nil {
				t.Errorf("from %s to %s: both Reconciling and Stalled are present", from, to)
			}
		}
	}
}

func TestConditions_transitionTimeMovesWithTheStatusOnly(t *testing.T) {
	t.Parallel()
	c := v1alpha1.NewConditions(nil, 1, now)
	c.Moving(v1alpha1.ReasonShifting, "")
	c = v1alpha1.NewConditions(c.List(), 1, now.Add(time.Minute))
	c.Moving(v1alpha1.ReasonBaking, "step 1/3")
	same := v1alpha1.Condition(c.List(), v1alpha1.ConditionReady)
	if !same.LastTransitionTime.Time.Equal(now) || same.Reason != v1alpha1.ReasonBaking {
		t.Errorf("another reason gives %v, want the old time with the new reason", same)
	}
	c = v1alpha1.NewConditions(c.List(), 1, now.Add(2*time.Minute))
	c.Ready(v1alpha1.ReasonCompleted, "")
	if got := v1alpha1.Condition(c.List(), v1alpha1.ConditionReady); !got.LastTransitionTime.Time.Equal(now.Add(2 * time.Minute)) {
		t.Errorf("another status gives %v, want the new time", got)
	}
}

func TestConditions_messagesAreCutAndCleaned(t *testing.T) {
	t.Parallel()
	c := v1alpha1.NewConditions(nil, 1, now)
	c.Stalled(v1alpha1.ReasonRolledBack, "a\x1b[31mb\n"+strings.Repeat("é", 600))
	for _, cond := range c.List() {
		limit := v1alpha1.MaxMessage
		if cond.Type == v1alpha1.ConditionReady {
			limit = v1alpha1.MaxReadyMessage
		}
		if len(cond.Message) > limit || strings.ContainsAny(cond.Message, "\x1b\n") || !strings.HasPrefix(cond.Message, "a [31mb ") {
			t.Errorf("%s: message of %d bytes begins %q", cond.Type, len(cond.Message), cond.Message[:8])
		}
	}
}
