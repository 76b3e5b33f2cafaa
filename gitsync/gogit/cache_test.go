package gogit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/poll"
)

// noise is text that no pack makes smaller.
func noise(seed uint64, bytes int) string {
	r := rand.New(rand.NewPCG(seed, seed))
	out := make([]byte, bytes)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return string(out)
}

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

func TestFetch_repositoryThatIsTooLargeIsFetchedAnewThenRefused(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": noise(1, 30_000)})
	r := repositories(t, Limits{RepositoryBytes: 70_000})
	fetch(t, r, branch(s, "app"), "")
	second := gittest.Push(t, w, "second", map[string]string{"a": noise(2, 30_000)})
	fetch(t, r, branch(s, "app"), first)
	third := gittest.Push(t, w, "third", map[string]string{"a": noise(3, 30_000)})
	fetch(t, r, branch(s, "app"), second)
	if disk := r.handles[onlyKey(t, r)].now.disk; disk < 70_000 {
		t.Fatalf("%d bytes after three commits, want more than the limit for the next step", disk)
	}
	fourth := gittest.Push(t, w, "fourth", map[string]string{"a": noise(4, 30_000)})
	tree := fetch(t, r, branch(s, "app"), third)
	if disk := r.handles[onlyKey(t, r)].now.disk; disk > 40_000 || tree.Commit().ID != fourth {
		t.Errorf("%d bytes at %s, want a fresh repository with the fourth commit alone", disk, tree.Commit().ID)
	}
	gittest.Push(t, w, "fifth", map[string]string{"b": noise(5, 80_000)})
	if _, err := r.Fetch(t.Context(), branch(s, "app"), fourth); err != nil {
		t.Fatalf("growing once: %v", err)
	}
	gittest.Push(t, w, "sixth", map[string]string{"c": "1"})
	if _, err := r.Fetch(t.Context(), branch(s, "app"), fourth); reasonOf(t, err) != gitsync.LimitExceeded {
		t.Errorf("too large when fetched anew: %v, want LimitExceeded", err)
	}
	if got, err := fs.ReadFile(tree, "a"); err != nil || string(got) != noise(4, 30_000) {
		t.Errorf("the tree held: %d bytes, %v; want it readable", len(got), err)
	}
}

func TestFetch_cacheDropsWhatWasIdleForLongest(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	c := &clock{at: time.Unix(1_700_000_000, 0)}
	dir := t.TempDir()
	r, err := New(Config{Dir: dir, Now: c.now, Limits: Limits{CacheBytes: 80_000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	var refs []gitsync.Ref
	for i := range uint64(3) {
		name := fmt.Sprint("app", i)
		gittest.Push(t, gittest.Repository(t, s, name), "first", map[string]string{"a": noise(i, 30_000)})
		refs = append(refs, branch(s, name))
	}
	held := fetch(t, r, refs[0], "")
	fetch(t, r, refs[1], "")
	fetch(t, r, refs[0], "")
	fetch(t, r, refs[2], "")
	if len(r.handles) != 2 {
		t.Errorf("%d repositories, want the two used last", len(r.handles))
	}
	before := s.Count("/app0.git/git-upload-pack")
	fetch(t, r, refs[0], "")
	if n := s.Count("/app0.git/git-upload-pack") - before; n != 1 {
		t.Errorf("%d requests for the one used in between, want a listing alone", n)
	}
	before = s.Count("/app1.git/git-upload-pack")
	fetch(t, r, refs[1], "")
	if n := s.Count("/app1.git/git-upload-pack") - before; n != 2 {
		t.Errorf("%d requests for the one dropped, want a listing and a fetch", n)
	}
	if got, err := fs.ReadFile(held, "a"); err != nil || len(got) != 30_000 {
		t.Errorf("a tree that is open: %d bytes, %v; want it readable", len(got), err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "git", "*")); len(found) > 4 {
		t.Errorf("%d directories stay", len(found))
	}
}

// Five Sources that wait for one remote that says nothing keep nobody else from theirs.
func TestFetch_aSilentRemoteHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	for _, name := range []string{"silent", "app"} {
		gittest.Push(t, gittest.Repository(t, s, name), "first", map[string]string{"a": name})
	}
	before := s.Count("/silent.git/info/refs") // by cloning and pushing
	s.SetFault("/silent.git", gitserver.Fault{Stall: true})
	r := repositories(t, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range concurrentFetches + 1 {
		waiting.Go(func() {
			if _, err := r.Fetch(ctx, branch(s, "silent"), ""); err == nil {
				t.Error("a silent remote has answered")
			}
		})
	}
	err := poll.Until(10*time.Second, func() error {
		if s.Count("/silent.git/info/refs") == before {
			return errors.New("nobody has asked yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	short, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	tree, err := r.Fetch(short, branch(s, "app"), "")
	if err != nil {
		t.Fatalf("beside a silent remote: %v", err)
	}
	_ = tree.Close()
	if n := s.Count("/silent.git/info/refs") - before; n != 1 {
		t.Errorf("%d requests to the silent remote, want one at a time", n)
	}
	cancel()
	waiting.Wait()
}
