package gogit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"golang.org/x/sync/semaphore"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// handle is one remote seen as one identity, and the repository that holds what was fetched from it.
type handle struct {
	remote transport
	limits Limits
	slots  *semaphore.Weighted // of all remotes
	dir    string              // of the generations, without their number
	number *atomic.Int64
	meters meters
	used   time.Time    // last; guarded by the lock of the Repositories
	size   atomic.Int64 // on disk

	busy *semaphore.Weighted // held by one fetch at a time; guards all below
	speech
	now     *generation
	dropped bool // somebody needed the room; another handle takes over
}

// speech is what is known of how the server speaks.
type speech struct {
	knowsV2   int  // listings left before it is asked for its protocol again
	greeted   bool // it was asked at all
	canFilter bool // it can leave out trees
	multiAck  bool // it wants to acknowledge many commits, and cannot in detail: it is told of none that are held
	asks      asks // who waits to hear from it
}

// generation is one bare repository. It is deleted when it was replaced and the last tree on it is closed.
type generation struct {
	dir   string
	store *filesystem.Storage
	roots map[string]rooted // by ref; only the fetching handle touches them

	fetches int        // since it was compact
	bytes   int64      // fetched into it in all
	disk    int64      // that it takes
	birth   int64      // that it took after its first fetch
	settled int64      // that it took when it was compact
	lock    sync.Mutex // guards store and what follows: the store is not safe for concurrent use
	pins    int
	retired bool
	damaged bool // an object could not be read
}

func (h *handle) newGeneration() (*generation, error) {
	dir := h.dir + "." + strconv.FormatInt(h.number.Add(1), 10)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("making a repository: %w", errors.Unwrap(err)))
	}
	store, err := bareStore(dir)
	if err != nil {
		return nil, err
	}
	return &generation{dir: dir, store: store, roots: map[string]rooted{}}, nil
}

// bareStore initialises an empty repository in a directory that no path can leave.
func bareStore(dir string) (*filesystem.Storage, error) {
	bound := osfs.New(dir, osfs.WithBoundOS())
	store := filesystem.NewStorageWithOptions(bound, cache.NewObjectLRU(8*cache.MiByte), filesystem.Options{LargeObjectThreshold: 1 << 20})
	if err := store.Init(); err != nil {
		return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("initialising a repository: %w", err))
	}
	return store, nil
}

func (g *generation) retire() {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.retired = true
	g.sweep()
}

// sweep deletes the repository when nobody needs it. The lock is held.
func (g *generation) sweep() {
	if g.retired && g.pins == 0 {
		_ = g.store.Close()
		_ = os.RemoveAll(g.dir) // what stays is deleted at the next start
	}
}

func (g *generation) has(id string) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	return !g.damaged && g.store.HasEncodedObject(plumbing.NewHash(id)) == nil
}

const attempts = 3 // at a ref that moves between listing and fetching

// fetch resolves ref, fetches its commit if it is missing, and opens its tree.
func (h *handle) fetch(ctx context.Context, ref gitsync.Ref, have string) (gitsync.Tree, error) {
	wish := h.asks.join(prefixOf(ref))
	defer h.asks.leave(wish)
	if err := h.busy.Acquire(ctx, 1); err != nil {
		return nil, gitsync.Fail(gitsync.Timeout, fmt.Errorf("waiting for another fetch from the same remote: %w", err))
	}
	defer h.busy.Release(1)
	if h.dropped {
		return nil, errDropped
	}
	defer h.remote.rest()
	to, err := h.resolve(ctx, ref, have, wish)
	if err != nil {
		return nil, err
	}
	// Only now: those who wait for one remote, or for one that says nothing, must not keep others from theirs.
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return nil, gitsync.Fail(gitsync.Timeout, fmt.Errorf("waiting for other fetches: %w", err))
	}
	defer h.slots.Release(1)
	var last error
	for range attempts {
		if err := h.ensure(ctx, to, have); errors.Is(err, errNotOurRef) && ref.Commit == "" {
			last = err
			h.asks.again(&wish)
			if to, err = h.resolve(ctx, ref, have, wish); err != nil {
				return nil, err
			}
			continue
		} else if errors.Is(err, errNotOurRef) {
			return nil, refuseCommit(ref.Commit)
		} else if err != nil {
			return nil, err
		}
		if to.signer, err = h.verify(ref.Verify, to); err != nil {
			return nil, err
		}
		if to.unproven, err = h.checkDescent(ctx, ref, have, to.commit); err != nil {
			return nil, err
		}
		return openTree(h.now, h.limits, to)
	}
	return nil, gitsync.Fail(gitsync.Unreachable, fmt.Errorf("the ref moved %d times while it was fetched: %w", attempts, last))
}

func refuseCommit(id string) error {
	return &gitsync.Failure{Reason: gitsync.RefNotFound, Err: fmt.Errorf("the server does not give commit %s by its id", id),
		Problem: &problem.Problem{Code: "S210", Severity: problem.Error, Field: "spec.ref.commit", Message: "commit " + id + " cannot be fetched by its id",
			Hint: "put a tag on it and set spec.ref.tag"}}
}

// target is what a fetch is to bring.
type target struct {
	tip
	ref  string // in full; or the commit itself
	name string // for people

	signer   string // fingerprint of the key that signed it, where that was demanded
	unproven bool   // the server could not show whether it descends from the commit before
}

// prefixOf is what has to be listed for a ref; empty: nothing.
func prefixOf(ref gitsync.Ref) string {
	switch {
	case ref.Commit != "":
		return ""
	case ref.Semver != "":
		return tags + ref.TagPrefix
	}
	return fullName(ref)
}

func (h *handle) resolve(ctx context.Context, ref gitsync.Ref, have string, w wish) (target, error) {
	if ref.Commit != "" {
		if err := h.greet(ctx); err != nil {
			return target{}, err
		}
		return target{tip: tip{ref.Commit, ref.Commit}, ref: ref.Commit, name: ref.Commit[:min(12, len(ref.Commit))]}, nil
	}
	if ref.Semver == "" {
		l, err := h.listFor(ctx, w)
		if err != nil {
			return target{}, err
		}
		return l.resolve(fullName(ref))
	}
	v, err := readVersions(ref)
	if err != nil {
		return target{}, err
	}
	l, err := h.listFor(ctx, w)
	if err != nil {
		return target{}, err
	}
	tag, err := v.follow(l, ref, have)
	if err != nil {
		return target{}, err
	}
	to, err := l.resolve(tags + tag)
	to.ref = tags + ref.TagPrefix + ref.Semver // one place for whichever tag is the highest
	return to, err
}

// ensure makes a target present. A repository that fails to store or to read is replaced once by a fresh one.
func (h *handle) ensure(ctx context.Context, to target, have string) error {
	if have == "" && h.now != nil {
		have = h.now.roots[to.ref].applied // who asks without it has not applied another
	}
	root := rooted{to.commit, to.object, have}
	if h.now != nil && h.now.has(to.commit) && h.now.has(to.object) {
		h.now.roots[to.ref] = root
		return nil
	}
	why := ""
	if h.now != nil {
		if was, ok := h.now.roots[to.ref]; ok && have != "" {
			h.now.roots[to.ref] = rooted{was.tip, was.tag, have}
		}
		why = h.now.tidy(h.limits)
	}
	if h.now != nil && why == "" && h.multiAck {
		why = wornWhole
	}
	if h.now != nil && why == "" {
		err := h.fill(ctx, h.now, to, root)
		h.size.Store(h.now.disk)
		if gitsync.ReasonOf(err, "") != gitsync.StorageFailed {
			return err
		}
		why = wornStorage
	}
	if why != "" {
		h.meters.recycles.WithLabelValues(why).Inc()
	}
	first := h.now == nil
	fresh, err := h.anew(ctx, to, root)
	if first && gitsync.ReasonOf(err, "") == gitsync.StorageFailed {
		fresh, err = h.anew(ctx, to, root)
	}
	if err != nil {
		return err
	}
	if fresh.disk > h.limits.RepositoryBytes {
		fresh.retire()
		return exceeded("the repository takes %d bytes, %d are allowed", fresh.disk, h.limits.RepositoryBytes)
	}
	if h.now != nil {
		h.now.retire()
	}
	h.now = fresh
	h.size.Store(fresh.disk)
	return nil
}

// anew fetches a target into a repository of its own.
func (h *handle) anew(ctx context.Context, to target, root rooted) (*generation, error) {
	fresh, err := h.newGeneration()
	if err != nil {
		return nil, err
	}
	if err := h.fill(ctx, fresh, to, root); err != nil {
		fresh.retire()
		return nil, err
	}
	return fresh, nil
}

// The reasons why a repository is fetched anew.
const (
	wornDamaged = "damaged"
	wornFetches = "fetches"
	wornGrown   = "grown"
	wornLarge   = "large"
	wornStorage = "storage" // it could not take what was fetched
	wornWhole   = "whole"   // the server gives only all of it
)

// tidy makes a repository compact when it is time, and says why it is to be fetched anew all the same; else "".
func (g *generation) tidy(l Limits) string {
	if g.crowded(l) {
		if err := g.compact(l); err != nil {
			return wornDamaged
		}
	}
	return g.worn(l)
}

// worn says why a repository is to be fetched anew: it is damaged, or has grown enough; else "".
func (g *generation) worn(l Limits) string {
	g.lock.Lock()
	defer g.lock.Unlock()
	switch {
	case g.damaged:
		return wornDamaged
	case g.disk > l.RepositoryBytes:
		return wornLarge
	case g.fetches >= recycleAfter, g.stored() >= recycleAfter, len(g.roots) >= recycleAfter:
		return wornFetches
	case g.disk > 2*g.birth+recycleSlack:
		return wornGrown
	}
	return ""
}

// fill fetches one commit, and the tag that names it, into g and remembers it as the tip of its ref.
func (h *handle) fill(ctx context.Context, g *generation, to target, root rooted) error {
	size, whole, err := h.fetchPack(ctx, g, to.object)
	if err != nil {
		return err
	}
	if !g.has(to.commit) || !g.has(to.object) {
		return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("the server's pack lacks commit %s", to.commit))
	}
	h.meters.fetched.Add(float64(size))
	g.measure()
	g.fetches++
	g.bytes += size
	if g.birth == 0 {
		g.birth, g.settled = g.disk, g.disk
	} else if whole {
		// What is found in its pack must not lack what is found beside it.
		g.roots["pack of "+to.object] = rooted{tip: to.commit}
	}
	g.roots[to.ref] = root
	g.lock.Lock()
	defer g.lock.Unlock()
	if err := g.store.SetShallow(g.held()); err != nil {
		return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("recording the shallow commits: %w", err))
	}
	return nil
}

// held gives the commits that the repository has as tips, sorted.
func (g *generation) held() []plumbing.Hash {
	var out []plumbing.Hash
	for _, r := range g.roots {
		out = append(out, plumbing.NewHash(r.tip))
	}
	plumbing.HashesSort(out)
	return slices.Compact(out)
}
