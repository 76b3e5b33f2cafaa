package notify

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// merged is said by a note that stands for older ones too.
const merged = "; earlier notes are merged into this one"

// Merge leaves out the oldest entries of a severity that have a newer one of it for the same Notifier, until limit entries
// are left in all. The newer one says so.
func Merge(pending []v1alpha1.PendingNote, limit int, severity v1alpha1.Severity) []v1alpha1.PendingNote {
	out := slices.Clone(pending)
	for i := 0; i < len(out) && len(out) > limit; {
		newer := -1
		if SeverityOf(out[i].Kind) == severity {
			newer = slices.IndexFunc(out[i+1:], func(n v1alpha1.PendingNote) bool {
				return SeverityOf(n.Kind) == severity && n.Notifier == out[i].Notifier
			})
		}
		if newer < 0 {
			i++
			continue
		}
		into := &out[i+1+newer]
		if !strings.HasSuffix(into.Text, merged) {
			into.Text = problem.Clean(into.Text, MaxText-len(merged)) + merged
		}
		out = slices.Delete(out, i, i+1)
	}
	return out
}
