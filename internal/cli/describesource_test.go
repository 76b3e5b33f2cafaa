package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// standSource gives a Source a status as the controller would write it: a commit is applied, a newer one is not, and one
// Notifier has not taken the note about that.
func (d *desk) standSource(t *testing.T, name string) *v1alpha1.Source {
	t.Helper()
	d.putSource(t, name)
	src := &v1alpha1.Source{}
	if err := d.client.Get(t.Context(), types.NamespacedName{Namespace: d.ns, Name: name}, src); err != nil {
		t.Fatal(err)
	}
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Stalled(v1alpha1.ReasonHeld, "1 unit is held back: S101")
	src.Status = v1alpha1.SourceStatus{ObservedGeneration: 1, Conditions: c.List(), LastAppliedRevision: "main@sha1:" + commitID,
		LastAttemptedRevision: "main@sha1:57798a1f0057798a1f0057798a1f0057798a1f00",
		Commit:                &v1alpha1.CommitStatus{ID: commitID, Author: "李雷", Subject: "reviews: v3"},
		Problems: []v1alpha1.ProblemStatus{{Code: "S101", Severity: "error", Path: "deploy/rollout.yaml", Line: 7, Column: 3,
			Message: "there is no subset v9", Hint: "add it"}},
		ProblemCount: 2, Inventory: []string{"sluice.dev/Rollout/x/y v1 u o"},
		Held:    []v1alpha1.HeldUnit{{Rollouts: []string{"bookinfo/reviews"}, Revision: "main@sha1:" + commitID, Codes: []string{"S101"}}},
		History: []v1alpha1.SourceHistory{{Revision: "main@sha1:" + commitID, Time: metav1.NewTime(since.Time), Changed: 3, Milliseconds: 56}},
		Notes:   []v1alpha1.PendingNote{{Notifier: "team", Kind: v1alpha1.NoteSourceFailed, Seq: 5, At: since, Tries: 2, LastError: "answered 503"}}}
	if err := d.client.Status().Update(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	return src
}

func TestDescribe_tellsAllOfASource(t *testing.T) {
	d := newDesk(t)
	src := d.standSource(t, "shop")
	team := &v1alpha1.Notifier{}
	team.Name, team.Namespace = "mail", d.ns
	team.Spec.Webhook = &v1alpha1.WebhookSink{URL: "https://hooks.example.com/x", Unsigned: true}
	if err := d.client.Create(t.Context(), team); err != nil {
		t.Fatal(err)
	}
	team.Status.DeadLetters = []v1alpha1.DeadLetter{{ID: string(src.UID) + ".4.mail", Kind: v1alpha1.NoteGitInSync, LastError: "answered 404", At: metav1.NewTime(since.Time)}}
	if err := d.client.Status().Update(t.Context(), team); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimLeft(`
Source: NS/shop
URL: https://git.example.com/shop/deploy.git
Path: .
Standing: Held
Says: 1 unit is held back: S101
Applied: main@c07aa19 "reviews: v3" by 李雷
Looked at: main@57798a1
Objects: 1 applied
Problems:
 CODE SEVERITY WHERE MESSAGE
 S101 error deploy/rollout.yaml:7:3 there is no subset v9 (add it)
 and 1 more: sluice lint says them all
Held back:
 STILL RUNS CODES ROLLOUTS
 main@c07aa19 S101 bookinfo/reviews
Conditions:
 TYPE STATUS REASON MESSAGE
 Ready False Held 1 unit is held back: S101
 Stalled True Held 1 unit is held back: S101
History:
 REVISION CHANGED PRUNED APPLIED TOOK
 main@c07aa19 3 0 AGO 56ms
Events:
 SEEN OBJECT REASON MESSAGE
 AGO notifier/mail NoteGivenUp GitInSync is given up: answered 404
 AGO notifier/team NotePending SourceFailed: 2 tries failed, the last by: answered 503 (2 times)
`, "\n")
	for _, args := range [][]string{{"describe", "source/shop"}, {"describe", "source", "shop"}, {"describe", "src/shop"}} {
		code, out, errs := d.run(t, args...)
		got := squeeze(ago.ReplaceAllString(strings.ReplaceAll(out, d.ns, "NS"), "AGO"))
		if code != 0 || errs != "" || got != want {
			t.Errorf("%v: exit %d, %q (-want +got):\n%s", args, code, errs, cmp.Diff(want, got))
		}
	}
	for _, c := range []struct {
		args []string
		code int
		out  string
		errs string
	}{
		{[]string{"describe", "source/nobody"}, 5, "", "nobody"},
		{[]string{"describe", "source/shop", "-o", "jsonpath={.status.notes[0].notifier}"}, 0, "team", ""},
		{[]string{"describe", "source/shop", "-o", "name"}, 0, "source.sluice.dev/shop", ""},
		{[]string{"status", "source/shop"}, 2, "", "next: sluice describe source/shop"},
		{[]string{"describe", "source", "shop", "more"}, 2, "", "accepts"},
		{[]string{"get", "sources"}, 0, "main@c07aa19 ", ""},
		{[]string{"get", "sorces"}, 2, "", "next: sluice get sources"},
		{[]string{"get", "pods"}, 2, "", "next: sluice get rollouts"},
	} {
		if code, out, errs := d.run(t, c.args...); code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%v: exit %d, %q, %q; want %d, %q, %q", c.args, code, out, errs, c.code, c.out, c.errs)
		}
	}
}
