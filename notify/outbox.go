package notify

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The bounds of an outbox: entries in all, and bytes of the texts of an entry.
const (
	MaxPending   = 64
	MaxText      = 200
	maxLastError = 64
)

// ID gives the id of a note: the same whenever and however often it is sent.
func ID(uid types.UID, n v1alpha1.PendingNote) string {
	return fmt.Sprintf("%s.%d.%d.%s", uid, n.Attempt, n.Seq, n.Notifier)
}

// SourceID gives the id of a note of a Source.
func SourceID(uid types.UID, n v1alpha1.PendingNote) string {
	return fmt.Sprintf("%s.%d.%s", uid, n.Seq, n.Notifier)
}

// KeyOf gives the Notifier that an entry of a namespace's outbox names.
func KeyOf(namespace, notifier string) types.NamespacedName {
	if of, name, far := strings.Cut(notifier, "/"); far {
		return types.NamespacedName{Namespace: of, Name: name}
	}
	return types.NamespacedName{Namespace: namespace, Name: notifier}
}

// Append gives pending with one entry of note for each name in to. Beyond MaxPending the oldest entries merge into newer
// ones for the same Notifier: Info first, Errors last. note.Notifier is ignored.
func Append(pending []v1alpha1.PendingNote, note v1alpha1.PendingNote, to []string) []v1alpha1.PendingNote {
	out := slices.Clone(pending)
	note.Text = problem.Clean(note.Text, MaxText)
	for _, name := range to {
		note.Notifier = name
		out = append(out, note)
	}
	for _, severity := range []v1alpha1.Severity{v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityError} {
		out = Merge(out, MaxPending, severity)
	}
	for len(out) > MaxPending { // each for another Notifier
		out = slices.Delete(out, leastMissed(out), leastMissed(out)+1)
	}
	return out
}

// leastMissed is the oldest entry of the lowest severity.
func leastMissed(pending []v1alpha1.PendingNote) int {
	at := 0
	for i := range pending {
		if rank(SeverityOf(pending[i].Kind)) < rank(SeverityOf(pending[at].Kind)) {
			at = i
		}
	}
	return at
}

// Result is what became of a try to send one note.
type Result struct {
	Attempt  int64
	Seq      int64
	Notifier string
	Final    bool   // the entry can go: delivered, given up, or its Notifier is gone
	Tries    int32  // failed tries so far
	Err      string // of the last try; empty: delivered
	Ref      string // of the newest Receipt; empty: nothing new
}

// Settle gives the outbox as it is after results: what is final leaves, what failed shows its tries. Results of
// entries that are not there change nothing; offering one twice equals once.
func Settle(pending []v1alpha1.PendingNote, results []Result) []v1alpha1.PendingNote {
	out := slices.Clone(pending)
	for _, r := range results {
		at := slices.IndexFunc(out, r.of)
		if at < 0 {
			continue
		}
		if r.Final {
			out = slices.Delete(out, at, at+1)
			continue
		}
		out[at].Tries, out[at].LastError = r.Tries, problem.Clean(r.Err, maxLastError)
	}
	return out
}

func (r Result) of(n v1alpha1.PendingNote) bool {
	return n.Attempt == r.Attempt && n.Seq == r.Seq && n.Notifier == r.Notifier
}
