package notify

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The bounds of the receipts of a Rollout: entries in all, attempts they are of, and bytes of a reference.
const (
	MaxReceipts = 16
	MaxRef      = 128
	keptFor     = 2
)

// Keep gives the receipts as they are after results: newest attempt first, of its last two attempts, one for each
// Notifier and attempt. Offering results twice equals once.
func Keep(kept []v1alpha1.Receipt, results []Result) []v1alpha1.Receipt {
	out := slices.Clone(kept)
	for _, r := range results {
		if r.Ref == "" || len(r.Ref) > MaxRef {
			continue
		}
		entry := v1alpha1.Receipt{Notifier: r.Notifier, Attempt: r.Attempt, Ref: r.Ref}
		at := slices.IndexFunc(out, func(o v1alpha1.Receipt) bool { return o.Notifier == r.Notifier && o.Attempt == r.Attempt })
		if at < 0 {
			out = append(out, entry)
			continue
		}
		out[at] = entry
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.Receipt) int { return cmp.Compare(b.Attempt, a.Attempt) })
	if len(out) > 0 {
		newest := out[0].Attempt
		out = slices.DeleteFunc(out, func(r v1alpha1.Receipt) bool { return r.Attempt <= newest-keptFor })
	}
	return out[:min(len(out), MaxReceipts)]
}
