package gogit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// following is a repository that is followed commit by commit.
type following struct {
	*testing.T
	git  *gitserver.Server
	tree *gitserver.WorkTree
	r    *Repositories
	tip  string
}

func follows(t *testing.T) *following {
	t.Helper()
	s := gittest.Start(t, gitserver.Config{})
	r, err := New(Config{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	f := &following{T: t, git: s, tree: gittest.Repository(t, s, "app"), r: r}
	f.push(map[string]string{"big": noise(1, 50_000), "a/kept": noise(2, 3000), "a/one": "0\n"})
	return f
}

// push commits files, and fetches them without keeping the tree.
func (f *following) push(files map[string]string) string {
	f.Helper()
	have := f.tip
	f.tip = gittest.Push(f.T, f.tree, "change", files)
	if err := f.at(branch(f.git, "app"), have).Close(); err != nil {
		f.Fatal(err)
	}
	return f.tip
}

func (f *following) at(ref gitsync.Ref, have string) gitsync.Tree {
	f.Helper()
	tree, err := f.r.Fetch(context.WithoutCancel(f.Context()), ref, have)
	if err != nil {
		f.Fatal(err)
	}
	return tree
}

func (f *following) handle() *handle { return f.r.handles[onlyKey(f.T, f.r)] }

// objects gives how many loose objects there are.
func (f *following) objects() int {
	f.Helper()
	loose, err := f.handle().now.loose()
	if err != nil {
		f.Fatal(err)
	}
	return len(loose)
}

// all reads every file of a tree.
func (f *following) all(tree gitsync.Tree) map[string]string {
	f.Helper()
	out := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := tree.ReadFile(name)
		out[name] = string(content)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return out
}

// What no ref stands upon any more goes; what is at a tip, and what a Source has applied, stays: nothing is asked for anew.
func TestCompact_keepsWhatRefsAndSourcesStandUpon(t *testing.T) {
	t.Parallel()
	f := follows(t)
	for i := range 6 {
		f.push(map[string]string{"a/one": fmt.Sprintf("%d\n", i+1), "b/two": noise(uint64(10+i), 2000)})
	}
	applied := f.tip
	before := f.objects()
	if before < 6*4 {
		t.Fatalf("%d loose objects of six commits with at least four each", before)
	}
	f.handle().now.fetches = compactAfter
	tip := f.push(map[string]string{"a/one": "7\n"})
	if after := f.objects(); after > 2*5 {
		t.Errorf("%d loose objects, %d before: want those of two commits", after, before)
	}
	if f.handle().number.Load() != 1 {
		t.Error("the repository was fetched anew")
	}
	requests := f.git.Count("/app.git/git-upload-pack")
	for id, one := range map[string]string{tip: "7\n", applied: "6\n"} {
		tree := f.at(gitsync.Ref{Remote: branch(f.git, "app").Remote, Commit: id}, "")
		files := f.all(tree)
		if files["a/one"] != one || files["a/kept"] != noise(2, 3000) || files["big"] != noise(1, 50_000) || files["b/two"] != noise(15, 2000) {
			t.Errorf("%.12s has %d files, a/one is %q", id, len(files), files["a/one"])
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}
	if now := f.git.Count("/app.git/git-upload-pack"); now != requests {
		t.Errorf("%d more requests for what is there", now-requests)
	}
}

// A commit whose objects are gone is not taken for present when its ref comes back to it.
func TestCompact_commitThatComesBackIsFetchedAgain(t *testing.T) {
	t.Parallel()
	f := follows(t)
	old := f.push(map[string]string{"new/dir/file": noise(3, 2000)})
	f.push(map[string]string{"new/dir/file": noise(4, 2000)})
	f.push(map[string]string{"new/dir/file": noise(5, 2000)})
	f.handle().now.fetches = compactAfter
	f.push(map[string]string{"new/dir/file": noise(6, 2000)})
	serverGit(t, f.git, "update-ref", "refs/heads/main", old)
	tree := f.at(branch(f.git, "app"), "")
	defer tree.Close()
	if files := f.all(tree); tree.Commit().ID != old || files["new/dir/file"] != noise(3, 2000) || files["a/kept"] != noise(2, 3000) {
		t.Errorf("at %.12s with %d files", tree.Commit().ID, len(files))
	}
}

// While a tree is open nothing is deleted under it; the repository is fetched anew instead.
func TestCompact_openTreesAreNotTouched(t *testing.T) {
	t.Parallel()
	f := follows(t)
	f.push(map[string]string{"a/one": "1\n"})
	open := f.at(branch(f.git, "app"), f.tip)
	defer open.Close()
	f.push(map[string]string{"a/one": "2\n"})
	f.push(map[string]string{"a/one": "3\n"})
	f.handle().now.fetches = compactAfter
	f.push(map[string]string{"a/one": "4\n"})
	if files := f.all(open); files["a/one"] != "1\n" || files["big"] != noise(1, 50_000) {
		t.Errorf("the open tree has %d files, a/one is %q", len(files), files["a/one"])
	}
	if n := f.handle().number.Load(); n != 2 {
		t.Errorf("generation %d, want the second", n)
	}
}

// A repository that cannot be read is fetched anew, not made compact.
func TestCompact_damagedRepositoryIsFetchedAnew(t *testing.T) {
	t.Parallel()
	f := follows(t)
	f.push(map[string]string{"a/one": "1\n"})
	g := f.handle().now
	loose, err := g.loose()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range loose {
		text := id.String()
		if err := os.Remove(g.dir + "/objects/" + text[:2] + "/" + text[2:]); err != nil {
			t.Fatal(err)
		}
	}
	g.fetches = compactAfter
	f.push(map[string]string{"a/one": "2\n"})
	tree := f.at(branch(f.git, "app"), f.tip)
	defer tree.Close()
	if files := f.all(tree); files["a/one"] != "2\n" || files["a/kept"] != noise(2, 3000) {
		t.Errorf("%d files, a/one is %q", len(files), files["a/one"])
	}
}

// A directory that is larger than any Source may open is no damage: what it stands upon is not known, so all stays, and the next look
// waits until the repository has grown again.
func TestCompact_whatIsTooLargeIsNoDamage(t *testing.T) {
	t.Parallel()
	f := follows(t)
	f.push(map[string]string{"a/one": "1\n"})
	g, before := f.handle().now, f.objects()
	l := f.handle().limits
	l.TreeEntries = 1
	g.settled = 0
	if err := g.compact(l); err != nil || f.objects() != before || g.settled != g.disk {
		t.Errorf("%v; %d loose objects of %d, settled at %d of %d bytes", err, f.objects(), before, g.settled, g.disk)
	}
}

// Who asks for a ref without saying what was applied, as a revert does, changes nothing of what its Source has applied; and refs
// without end have the repository fetched anew.
func TestCompact_knowsWhatSourcesStandUpon(t *testing.T) {
	t.Parallel()
	f := follows(t)
	before := f.tip
	f.push(map[string]string{"a/one": "1\n"})
	f.at(branch(f.git, "app"), "").Close()
	g, found := f.handle().now, false
	for _, r := range g.roots {
		found = found || r.tip == f.tip && r.applied == before
	}
	if !found {
		t.Errorf("roots %v: want %.12s applied", g.roots, before)
	}
	if why := g.worn(f.handle().limits); why != "" {
		t.Errorf("worn: %s", why)
	}
	for i := range recycleAfter {
		g.roots[fmt.Sprint("ref ", i)] = rooted{tip: f.tip}
	}
	if why := g.worn(f.handle().limits); why != wornFetches {
		t.Errorf("with %d refs: %q", len(g.roots), why)
	}
}
