package view_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

func TestNoteEvents_ofTheRolloutAlone(t *testing.T) {
	ro := storied()
	ro.UID = "u1"
	ro.Status.Notes = []v1alpha1.PendingNote{
		{Notifier: "team", Kind: v1alpha1.NoteStarted, At: micro(1)},
		{Notifier: "sys/team", Kind: v1alpha1.NoteRolledBack, At: micro(2), Tries: 3, LastError: "answered 503\x1b[31m"},
	}
	notifiers := []v1alpha1.Notifier{{ObjectMeta: metav1.ObjectMeta{Name: "team"}, Status: v1alpha1.NotifierStatus{DeadLetters: []v1alpha1.DeadLetter{
		{ID: "u1.1.4.team", Kind: v1alpha1.NoteCompleted, Rollout: "reviews", At: metav1.NewTime(micro(3).Time), LastError: "answered 400"},
		{ID: "u11.1.4.team", Kind: v1alpha1.NoteCompleted, Rollout: "reviews", At: metav1.NewTime(micro(3).Time)},
	}}}}
	want := []view.Event{
		{Object: "notifier/team", Reason: "NotePending", Note: "Started waits to be sent", Count: 1, At: micro(1).Time},
		{Object: "notifier/sys/team", Reason: "NotePending", Note: "RolledBack: 3 tries failed, the last by: answered 503 [31m", Count: 3, At: micro(2).Time},
		{Object: "notifier/team", Reason: "NoteGivenUp", Note: "Completed is given up: answered 400", Count: 1, At: micro(3).Time},
	}
	if diff := cmp.Diff(want, view.NoteEvents(ro, notifiers)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := view.NoteEvents(&v1alpha1.Rollout{}, nil); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestProxyEvents_ofThoseThatDoNotRunIt(t *testing.T) {
	ro := storied()
	ro.UID = "u1"
	reports := []v1alpha1.FleetReport{{Status: v1alpha1.FleetReportStatus{
		Splits: []v1alpha1.FleetSplit{
			{Split: "shop/ratings", UID: "u2", FirstNack: &v1alpha1.FleetNack{Node: "gw-9"}},
			{Split: "shop/reviews", UID: "u1", Nacked: 3, Pending: []string{"gw-2", "gw-4"}, FirstNack: &v1alpha1.FleetNack{Node: "gw-1", Type: "RDS", Resource: "http.80", Message: "no such cluster", At: micro(5)}},
		},
		Exceptions: []v1alpha1.FleetException{
			{Node: "gw-1", State: v1alpha1.FleetRejected, Since: micro(5)},
			{Node: "gw-2", State: v1alpha1.FleetPending, Type: "RDS", Resource: "http.80", Since: micro(6)},
			{Node: "gw-3", State: v1alpha1.FleetPending, Since: micro(6)}, // of another rollout
		},
	}}, {Status: v1alpha1.FleetReportStatus{Splits: []v1alpha1.FleetSplit{{Split: "shop/reviews", UID: "an older one", FirstNack: &v1alpha1.FleetNack{Node: "gw-7"}}}}}}
	want := []view.Event{
		{Object: "proxy/gw-1", Reason: "ProxyRejected", Note: "refuses RDS http.80: no such cluster; so do 2 other proxies", Count: 1, At: micro(5).Time},
		{Object: "proxy/gw-2", Reason: "ProxyPending", Note: "has not acknowledged RDS http.80", Count: 1, At: micro(6).Time},
	}
	if diff := cmp.Diff(want, view.ProxyEvents(ro, reports)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
