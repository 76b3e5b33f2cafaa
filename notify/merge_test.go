package notify_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

func info(n v1alpha1.PendingNote) bool { return notify.SeverityOf(n.Kind) == v1alpha1.SeverityInfo }

// Merged notes: no warning goes, each Notifier keeps its newest note, and it says that there were more.
func TestMerge_keepsWhatMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var was []v1alpha1.PendingNote
		for i := range rapid.IntRange(0, notify.MaxPending).Draw(t, "notes") {
			was = append(was, v1alpha1.PendingNote{Notifier: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "to"), Seq: int64(i),
				Kind: rapid.SampledFrom(v1alpha1.NoteKinds()).Draw(t, "kind"), Text: strings.Repeat("é", rapid.IntRange(0, 100).Draw(t, "text"))})
		}
		is := notify.Merge(was, 32, v1alpha1.SeverityInfo)
		warnings := func(list []v1alpha1.PendingNote) int {
			return len(slices.DeleteFunc(slices.Clone(list), info))
		}
		if warnings(was) != warnings(is) {
			t.Fatalf("%d warnings became %d", warnings(was), warnings(is))
		}
		if len(is) > 32 && len(is)-warnings(is) > 3 {
			t.Fatalf("%d notes are left, %d of them warnings", len(is), warnings(is))
		}
		if len(was) <= 32 != (len(was) == len(is)) && len(is)-warnings(is) > 3 {
			t.Fatalf("%d notes became %d", len(was), len(is))
		}
		for _, n := range is {
			if len(n.Text) > notify.MaxText {
				t.Fatalf("a text of %d bytes", len(n.Text))
			}
		}
		for _, to := range []string{"a", "b", "c"} {
			of := func(n v1alpha1.PendingNote) bool { return n.Notifier == to && info(n) }
			last, left := newestOf(was, of), newestOf(is, of)
			if last != left {
				t.Fatalf("the newest note to %s was %d and is %d", to, last, left)
			}
		}
		if len(is) < len(was) && !slices.ContainsFunc(is, func(n v1alpha1.PendingNote) bool { return strings.HasSuffix(n.Text, "merged into this one") }) {
			t.Fatal("no note says that it stands for others")
		}
	})
}

func newestOf(list []v1alpha1.PendingNote, of func(v1alpha1.PendingNote) bool) int64 {
	for _, n := range slices.Backward(list) {
		if of(n) {
			return n.Seq
		}
	}
	return -1
}
