package notify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

func TestID_vector(t *testing.T) {
	t.Parallel()
	got := notify.ID(uid, v1alpha1.PendingNote{Attempt: 3, Seq: 11, Notifier: "team"})
	if want := "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func notifier(name string, change func(*v1alpha1.NotifierSpec)) v1alpha1.Notifier {
	n := v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{}}}
	change(&n.Spec)
	n.Spec.Default()
	return n
}

func TestMatching_choosesWhoIsTold(t *testing.T) {
	t.Parallel()
	all := []v1alpha1.Notifier{
		notifier("z-all", func(*v1alpha1.NotifierSpec) {}),
		notifier("errors", func(s *v1alpha1.NotifierSpec) { s.MinSeverity = v1alpha1.SeverityError }),
		notifier("warnings", func(s *v1alpha1.NotifierSpec) { s.MinSeverity = v1alpha1.SeverityWarning }),
		notifier("completed", func(s *v1alpha1.NotifierSpec) { s.Kinds = []v1alpha1.NoteKind{v1alpha1.NoteCompleted} }),
		notifier("chat", func(s *v1alpha1.NotifierSpec) { s.Webhook, s.Slack = nil, &v1alpha1.SlackSink{} }),
		notifier("asleep", func(s *v1alpha1.NotifierSpec) { s.Suspend = true }),
		notifier("shop", func(s *v1alpha1.NotifierSpec) {
			s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}}
		}),
		notifier("broken", func(s *v1alpha1.NotifierSpec) {
			s.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Near"}}}
		}),
	}
	shop := map[string]string{"team": "shop"}
	for _, row := range []struct {
		about notify.About
		want  string
	}{
		{notify.About{Kind: v1alpha1.NoteStepPassed}, "z-all"},
		{notify.About{Kind: v1alpha1.NoteStarted}, "chat z-all"},
		{notify.About{Kind: v1alpha1.NoteStarted, Labels: shop}, "chat shop z-all"},
		{notify.About{Kind: v1alpha1.NoteCompleted}, "chat completed z-all"},
		{notify.About{Kind: v1alpha1.NotePaused}, "warnings z-all"},
		{notify.About{Kind: v1alpha1.NoteRolledBack}, "chat errors warnings z-all"},
		{notify.About{Kind: v1alpha1.NoteBlocked, Labels: shop}, "chat errors shop warnings z-all"},
	} {
		if got := strings.Join(notify.Matching(all, row.about), " "); got != row.want {
			t.Errorf("%+v tells %s, want %s", row.about, got, row.want)
		}
	}
}

func TestSeverityOf_ranksEveryKind(t *testing.T) {
	t.Parallel()
	count := map[v1alpha1.Severity]int{}
	for _, k := range v1alpha1.NoteKinds() {
		count[notify.SeverityOf(k)]++
	}
	want := map[v1alpha1.Severity]int{v1alpha1.SeverityInfo: 6, v1alpha1.SeverityWarning: 5, v1alpha1.SeverityError: 4}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
}

func TestAppend_keepsErrorsAndTheBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var box []v1alpha1.PendingNote
		urgent := 0
		for i := range rapid.IntRange(0, 200).Draw(t, "notes") {
			kind := rapid.SampledFrom(v1alpha1.NoteKinds()).Draw(t, "kind")
			if notify.SeverityOf(kind) == v1alpha1.SeverityError {
				urgent++
			}
			before := slices.Clone(box)
			box = notify.Append(box, v1alpha1.PendingNote{Kind: kind, Seq: int64(i), Text: strings.Repeat("é", 200)}, []string{"team"})
			if len(before) < notify.MaxPending && !slices.Equal(before, box[:len(before)]) {
				t.Fatalf("appending changed what was there")
			}
		}
		kept := 0
		for i, n := range box {
			if notify.SeverityOf(n.Kind) == v1alpha1.SeverityError {
				kept++
			}
			if i > 0 && n.Seq <= box[i-1].Seq {
				t.Fatalf("seq %d follows %d", n.Seq, box[i-1].Seq)
			}
			if len(n.Text) > 200 || n.Notifier != "team" {
				t.Fatalf("entry %+v", n)
			}
		}
		if len(box) > notify.MaxPending || kept != min(urgent, notify.MaxPending) {
			t.Fatalf("%d entries with %d of %d errors, want at most %d with all that fit", len(box), kept, urgent, notify.MaxPending)
		}
	})
}

// Where no two entries are for one Notifier nothing can be merged: the oldest of the lowest severity go.
func TestAppend_boundHoldsForManyNotifiers(t *testing.T) {
	t.Parallel()
	var to []string
	for i := range 2 * notify.MaxPending {
		to = append(to, fmt.Sprintf("team-%03d", i))
	}
	box := notify.Append(nil, v1alpha1.PendingNote{Kind: v1alpha1.NoteRolledBack, Seq: 1}, []string{"urgent"})
	box = notify.Append(box, v1alpha1.PendingNote{Kind: v1alpha1.NoteStepPassed, Seq: 2}, to)
	if len(box) != notify.MaxPending || box[0].Notifier != "urgent" {
		t.Errorf("%d entries, the first for %s: want %d, and the error among them", len(box), box[0].Notifier, notify.MaxPending)
	}
}

func TestSettle_offeredTwiceEqualsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var box []v1alpha1.PendingNote
		for i := range rapid.IntRange(0, 8).Draw(t, "notes") {
			box = notify.Append(box, v1alpha1.PendingNote{Kind: v1alpha1.NoteStarted, Seq: int64(i)}, []string{"a", "b"})
		}
		results := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) notify.Result {
			return notify.Result{
				Seq: rapid.Int64Range(0, 9).Draw(t, "seq"), Notifier: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "to"),
				Final: rapid.Bool().Draw(t, "final"), Tries: rapid.Int32Range(1, 5).Draw(t, "tries"), Err: "x",
			}
		}), 0, 8).Draw(t, "results")
		seen := map[string]bool{}
		results = slices.DeleteFunc(results, func(r notify.Result) bool {
			key := fmt.Sprint(r.Seq, r.Notifier)
			twice := seen[key]
			seen[key] = true
			return twice
		})
		once := notify.Settle(box, results)
		if diff := cmp.Diff(once, notify.Settle(once, results)); diff != "" {
			t.Fatal(diff)
		}
		final := 0
		for _, r := range results {
			if r.Final && slices.ContainsFunc(box, func(n v1alpha1.PendingNote) bool { return n.Seq == r.Seq && n.Notifier == r.Notifier }) {
				final++
			}
		}
		if len(once) != len(box)-final {
			t.Fatalf("%d entries stay of %d with %d final", len(once), len(box), final)
		}
	})
}
