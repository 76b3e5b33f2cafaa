package controller_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/notify/controller"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func team(generation int64, ready ...metav1.Condition) *v1alpha1.Notifier {
	return &v1alpha1.Notifier{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "team", Generation: generation},
		Spec:       v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", Unsigned: true}},
		Status:     v1alpha1.NotifierStatus{Conditions: ready},
	}
}

// everywhere is a Notifier of a namespace that wants to speak of all.
func everywhere(namespace string) *v1alpha1.Notifier {
	n := team(3)
	n.Namespace, n.Spec.Namespaces = namespace, v1alpha1.ScopeAll
	return n
}

func TestStatus_saysWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	st := controller.Status(team(3), controller.Seen{Health: notify.Health{Lacks: "the plot is missing: no"}}, now)
	if c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionReady); c.Message != "notes can be sent; of the newest, the plot is missing: no" {
		t.Errorf("Ready says %q", c.Message)
	}
}

func TestStatus_saysWhetherNotesCanBeSent(t *testing.T) {
	t.Parallel()
	gone := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonGone, Message: "answered 410", ObservedGeneration: 3}
	asleep := team(3)
	asleep.Spec.Suspend = true
	secret := &notify.Failure{Reason: v1alpha1.ReasonSecretNotFound, Err: errors.New("secret bookinfo/x does not exist")}
	misspelt := team(3)
	misspelt.Spec.Templates = map[v1alpha1.NoteKind]v1alpha1.LineTemplate{v1alpha1.NoteRolledBack: "{{.Nam}}"}
	another := team(3)
	another.UID = "b"
	throttled := notify.Health{Generation: 3, Reason: v1alpha1.ReasonThrottled, Message: "answered 429", Pending: 2}
	for name, row := range map[string]struct {
		n      *v1alpha1.Notifier
		open   error
		health notify.Health
		want   string
	}{
		"of all":                    {everywhere("sluice-system"), nil, notify.Health{}, "Ready=True/Ready"},
		"of all, not permitted":     {everywhere("bookinfo"), nil, notify.Health{}, "Ready=False/NotPermitted Accepted=False/NotPermitted Stalled=True"},
		"template that fails":       {misspelt, nil, notify.Health{}, "Ready=True/Ready Accepted=False/InvalidSpec"},
		"fresh":                     {team(3), nil, notify.Health{}, "Ready=True/Ready"},
		"suspended":                 {asleep, nil, throttled, "Ready=True/Suspended"},
		"secret missing":            {team(3), secret, notify.Health{}, "Ready=False/SecretNotFound Stalled=True"},
		"cannot be read":            {team(3), errors.New("timeout"), notify.Health{}, "Ready=False/Unreachable Reconciling=True"},
		"throttled":                 {team(3), nil, throttled, "Ready=False/Throttled Reconciling=True"},
		"throttled before a change": {team(4), nil, throttled, "Ready=True/Ready"},
		"refused":                   {team(3), nil, notify.Health{Generation: 3, Reason: v1alpha1.ReasonRefused, Message: "answered 400"}, "Ready=False/Refused Stalled=True"},
		"gone, then restarted":      {team(3, gone), nil, notify.Health{}, "Ready=False/Gone Stalled=True"},
		"gone, then made anew":      {another, nil, notify.Health{UID: "a", Generation: 3, Reason: v1alpha1.ReasonGone, Message: "answered 410"}, "Ready=True/Ready"},
		"gone, then changed":        {team(4, gone), nil, notify.Health{}, "Ready=True/Ready"},
	} {
		st := controller.Status(row.n, controller.Seen{Open: row.open, Health: row.health, System: "sluice-system"}, now)
		ready := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionReady)
		got := fmt.Sprintf("Ready=%s/%s", ready.Status, ready.Reason)
		if c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionAccepted); c.Status != metav1.ConditionTrue {
			got += fmt.Sprintf(" Accepted=%s/%s", c.Status, c.Reason)
		}
		for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
			if c := v1alpha1.Condition(st.Conditions, kind); c != nil {
				got += " " + kind + "=" + string(c.Status)
			}
		}
		if got != row.want || ready.Message == "" || st.Pending != row.health.Pending || st.ObservedGeneration != row.n.Generation {
			t.Errorf("%s: %s %+v, want %s", name, got, st, row.want)
		}
	}
}

func TestStatus_keepsTheNewestDeadLetters(t *testing.T) {
	t.Parallel()
	letter := func(n int) v1alpha1.DeadLetter { return v1alpha1.DeadLetter{ID: fmt.Sprint("id", n)} }
	n, h := team(1), notify.Health{}
	for i := range 15 {
		n.Status.DeadLetters = append(n.Status.DeadLetters, letter(14-i))
	}
	for i := range 10 {
		h.Dead = append(h.Dead, letter(21-i)) // 21 to 12: three are stored already
	}
	var want []v1alpha1.DeadLetter
	for i := range 20 {
		want = append(want, letter(21-i))
	}
	st := controller.Status(n, controller.Seen{Health: h}, now)
	if diff := cmp.Diff(want, st.DeadLetters); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	n.Status = st
	if diff := cmp.Diff(st, controller.Status(n, controller.Seen{Health: h}, now.Add(time.Hour))); diff != "" {
		t.Errorf("a second look changes the status (-first +second)\n%s", diff)
	}
}
