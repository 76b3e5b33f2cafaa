package gogit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// reaches are how far back history is read to find the old commit, and the bytes that may take.
var reaches = [...]struct {
	depth int
	bytes int64
}{{1000, 4 << 20}, {50_000, 16 << 20}}

// checkDescent refuses a branch that was rewritten and a tag that was moved. A depth of one shows no ancestry, so the
// history, commits only, is asked for beside the fetch; a server that cannot leave out trees is judged by dates, which
// leaves it unproven.
func (h *handle) checkDescent(ctx context.Context, ref gitsync.Ref, have, id string) (unproven bool, err error) {
	if have == "" || have == id || ref.Rewrite == gitsync.Follow || ref.Accept == id || ref.Commit != "" || ref.Name != "" || ref.Semver != "" {
		return false, nil
	}
	if ref.Tag != "" {
		return false, rewritten(gitsync.TagMoved, fmt.Sprintf("tag %s moved from %.12s to %.12s", ref.Tag, have, id), id)
	}
	if !h.canFilter {
		return true, h.checkDates(ref, have, id)
	}
	for _, reach := range reaches {
		found, complete, err := h.ancestor(ctx, have, id, reach.depth, reach.bytes)
		if err != nil || found {
			return false, err
		}
		if complete {
			break
		}
	}
	return false, noDescendant(have, id)
}

func noDescendant(have, id string) error {
	return rewritten(gitsync.HistoryRewritten, fmt.Sprintf("the branch moved from %.12s to %.12s, which does not descend from it", have, id), id)
}

func rewritten(r gitsync.Reason, what, id string) error {
	err := errors.New(what)
	return &gitsync.Failure{Reason: r, Err: err, Problem: &problem.Problem{Code: "S207", Severity: problem.Error, Field: "spec.ref", Message: err.Error(),
		Hint: "restore the history, or set spec.accept.revision to " + id}}
}

// checkDates holds a commit that was made before the one it is to replace.
func (h *handle) checkDates(ref gitsync.Ref, have, id string) error {
	before, after := ref.Last.Time, time.Time{}
	h.now.lock.Lock()
	defer h.now.lock.Unlock()
	if c, err := readCommit(h.now.store, have, h.limits.ObjectBytes); err == nil {
		before = c.committed
	}
	if c, err := readCommit(h.now.store, id, h.limits.ObjectBytes); err == nil {
		after = c.committed
	}
	if !before.IsZero() && after.Before(before) {
		return noDescendant(have, id)
	}
	return nil
}

// ancestor looks for have among the ancestors of id. complete says that all of them were seen.
func (h *handle) ancestor(ctx context.Context, have, id string, depth int, limit int64) (found, complete bool, err error) {
	req := historyRequest(id, depth)
	if h.multiAck {
		_ = req.Capabilities.Set(capability.MultiACK) // it takes no argument: it cannot fail
	}
	body, err := encodeRequest(req)
	if err != nil {
		return false, false, gitsync.Fail(gitsync.StorageFailed, err)
	}
	answer, err := h.remote.ask(ctx, body, false)
	if err != nil {
		return false, false, err
	}
	defer answer.Close()
	in := bufio.NewReader(&bounded{from: answer, left: limit, what: "history"})
	if err := readHead(in); err != nil {
		return false, false, h.remote.explain(ctx, err)
	}
	pack, err := io.ReadAll(sideband.NewDemuxer(sideband.Sideband64k, in))
	if err != nil {
		return false, false, h.remote.explain(ctx, err)
	}
	limits := h.limits
	limits.ObjectBytes, limits.InflatedBytes = limit, 8*limit
	if _, err := checkPack(bytes.NewReader(pack), limits, func(string) bool { return false }); err != nil {
		return false, false, err
	}
	dir, err := os.MkdirTemp(h.now.dir, "history-*")
	if err != nil {
		return false, false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("storing the history: %w", errors.Unwrap(err)))
	}
	defer os.RemoveAll(dir)
	store, err := bareStore(dir)
	if err != nil {
		return false, false, err
	}
	defer store.Close()
	if err := packfile.WritePackfileToObjectStorage(store, bytes.NewReader(pack)); err != nil {
		return false, false, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("storing the history: %w", err))
	}
	found, complete = search(store, have, id, limit)
	return found, complete, nil
}

func historyRequest(id string, depth int) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{plumbing.NewHash(id)}
	req.Depth = packp.DepthCommits(depth)
	req.Filter = packp.FilterTreeDepth(0)
	for _, c := range []capability.Capability{capability.Shallow, capability.OFSDelta, capability.Sideband64k, capability.NoProgress, capability.Filter} {
		_ = req.Capabilities.Set(c) // none of these takes an argument: it cannot fail
	}
	return req
}

// search walks from a commit to its ancestors; complete says that none was missing.
func search(store *filesystem.Storage, have, from string, limit int64) (found, complete bool) {
	complete = true
	visited, open := map[string]bool{}, []string{from}
	for len(open) > 0 {
		id := open[len(open)-1]
		open = open[:len(open)-1]
		if id == have {
			return true, true
		}
		if visited[id] {
			continue
		}
		visited[id] = true
		c, err := readCommit(store, id, limit)
		complete = complete && err == nil
		open = append(open, c.parents...)
	}
	return false, complete
}
