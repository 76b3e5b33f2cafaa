package gogit

import (
	"context"
	"fmt"

	"github.com/sluice-dev/sluice/gitsync"
)

// Tip implements gitsync.Fetcher with a listing alone.
func (r *Repositories) Tip(ctx context.Context, ref gitsync.Ref, have string) (string, error) {
	if ref.Commit != "" {
		return ref.Commit, nil
	}
	h, err := r.vetted(ref.Remote)
	if err != nil {
		return "", err
	}
	timeout := ref.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	wish := h.asks.join(prefixOf(ref))
	defer h.asks.leave(wish)
	if err := h.busy.Acquire(ctx, 1); err != nil {
		return "", gitsync.Fail(gitsync.Timeout, fmt.Errorf("waiting for a fetch from the same remote: %w", err))
	}
	defer h.busy.Release(1)
	defer h.remote.rest()
	to, err := h.resolve(ctx, ref, have, wish)
	return to.commit, err
}
