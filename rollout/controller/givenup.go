package controller

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// givenUp says, in words, which listed notes are not tried any more though they were never delivered.
func givenUp(listed []v1alpha1.PendingNote, results []notify.Result) []string {
	var out []string
	for _, r := range results {
		at := slices.IndexFunc(listed, func(n v1alpha1.PendingNote) bool {
			return n.Attempt == r.Attempt && n.Seq == r.Seq && n.Notifier == r.Notifier
		})
		if at >= 0 && r.Final && r.Err != "" {
			out = append(out, fmt.Sprintf("the note %s of transition %d to %s is given up after %d tries: %s", listed[at].Kind, r.Seq, r.Notifier, r.Tries, r.Err))
		}
	}
	return out
}
