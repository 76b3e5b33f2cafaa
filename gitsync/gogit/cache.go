package gogit

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// errDropped is what a handle says that left the cache between being found and being used.
var errDropped = errors.New("the repository was dropped")

// fetch uses the handle of a remote, and makes room afterwards.
func (r *Repositories) fetch(ctx context.Context, ref gitsync.Ref, have string) (gitsync.Tree, error) {
	for {
		h, err := r.open(ref.Remote)
		if err != nil {
			return nil, err
		}
		tree, err := h.fetch(ctx, ref, have)
		if errors.Is(err, errDropped) {
			continue
		}
		limit := r.cfg.Limits.CacheBytes
		if errors.Is(err, syscall.ENOSPC) {
			limit = 0
		}
		r.trim(h, limit)
		return tree, gitsync.Conceal(err, append(ref.Remote.Secrets(), h.remote.spoken()...))
	}
}

// trim drops repositories that nobody fetches into right now, the one used longest ago first, until all together are
// within the limit. The one just used stays.
func (r *Repositories) trim(used *handle, limit int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used.used = r.cfg.Now()
	var all int64
	for _, h := range r.handles {
		all += h.size.Load()
	}
	tried := map[*handle]bool{used: true}
	for all > limit {
		key, oldest := "", time.Time{}
		for k, h := range r.handles {
			if !tried[h] && (key == "" || h.used.Before(oldest)) {
				key, oldest = k, h.used
			}
		}
		if key == "" {
			return
		}
		h := r.handles[key]
		tried[h] = true
		if size := h.size.Load(); h.drop() {
			delete(r.handles, key)
			all -= size
		}
	}
}

// drop gives up the repository unless a fetch is going on.
func (h *handle) drop() bool {
	if !h.busy.TryAcquire(1) {
		return false
	}
	defer h.busy.Release(1)
	h.dropped = true
	h.remote.hangUp()
	if h.now != nil {
		h.now.retire()
		h.now = nil
	}
	h.size.Store(0)
	return true
}

// measure notes what the repository takes on disk.
func (g *generation) measure() {
	var sum int64
	_ = filepath.WalkDir(g.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // what is gone meanwhile takes nothing
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	g.disk = sum
}
