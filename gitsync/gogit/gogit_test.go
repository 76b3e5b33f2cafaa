package gogit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

func repositories(t *testing.T, l Limits) *Repositories {
	t.Helper()
	r, err := New(Config{Dir: t.TempDir(), Limits: l, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// fetch gets main and expects it to work.
func fetch(t *testing.T, r *Repositories, ref gitsync.Ref, have string) gitsync.Tree {
	t.Helper()
	tree, err := r.Fetch(t.Context(), ref, have)
	if err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func branch(s *gitserver.Server, name string) gitsync.Ref {
	return gitsync.Ref{Remote: gitsync.Remote{URL: s.URL(name)}, Branch: "main"}
}

func reasonOf(t *testing.T, err error) gitsync.Reason {
	t.Helper()
	return gitsync.ReasonOf(err, "no Failure at all")
}

func TestFetch_firstThenIncremental(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	big := strings.Repeat("0123456789abcdef", 1<<12) + "\n"
	first := gittest.Push(t, w, "first: all of it\n\nbody", map[string]string{"prod/a.yaml": "a: 1\n", "prod/sub/b.yaml": "b: 1\n", "big": big})
	r := repositories(t, Limits{})
	tree := fetch(t, r, branch(s, "app"), "")
	if c := tree.Commit(); c.ID != first || c.Ref != "main" || c.Subject != "first: all of it" || c.Author == "" || !strings.Contains(c.Email, "@") || strings.ContainsAny(c.Email, "<> ") || c.Time.IsZero() {
		t.Errorf("commit = %+v, want %s on main with author, subject and time", c, first)
	}
	if got, err := fs.ReadFile(tree, "prod/sub/b.yaml"); err != nil || string(got) != "b: 1\n" {
		t.Errorf("ReadFile = %q, %v", got, err)
	}
	if err := fstest.TestFS(tree, "prod/a.yaml", "prod/sub/b.yaml", "big"); err != nil {
		t.Errorf("TestFS: %v", err)
	}
	before := r.handles[onlyKey(t, r)].now.bytes
	second := gittest.Push(t, w, "second", map[string]string{"prod/a.yaml": "a: 2\n"})
	next := fetch(t, r, branch(s, "app"), first)
	if got, err := fs.ReadFile(next, "prod/a.yaml"); err != nil || string(got) != "a: 2\n" || next.Commit().ID != second {
		t.Errorf("after the push: %q, %v at %s; want a: 2 at %s", got, err, next.Commit().ID, second)
	}
	if got, err := fs.ReadFile(next, "big"); err != nil || string(got) != big {
		t.Errorf("the unchanged file: %d bytes, %v", len(got), err)
	}
	if grew := r.handles[onlyKey(t, r)].now.bytes - before; grew > 1024 {
		t.Errorf("an incremental fetch took %d bytes, want at most 1024", grew)
	}
	if next.Hash("big") != tree.Hash("big") || next.Hash("prod") == tree.Hash("prod") || next.Hash("none") != "" {
		t.Errorf("hashes: big %s %s, prod %s %s, none %q", next.Hash("big"), tree.Hash("big"), next.Hash("prod"), tree.Hash("prod"), next.Hash("none"))
	}
	if got, err := fs.ReadFile(tree, "prod/a.yaml"); err != nil || string(got) != "a: 1\n" {
		t.Errorf("the older tree: %q, %v; want it unchanged", got, err)
	}
	if posts := s.Count("/app.git/git-upload-pack"); posts > 5 {
		t.Errorf("%d upload-pack requests, want at most two listings, two fetches and one look at history", posts)
	}
	same := fetch(t, r, branch(s, "app"), second)
	if same.Commit().ID != second || s.Count("/app.git/git-upload-pack") > 6 || s.Count("/app.git/info/refs") > 4 {
		t.Errorf("unchanged look: %s after %d requests, want %s after one more", same.Commit().ID, s.Count("/app.git/git-upload-pack"), second)
	}
}

func onlyKey(t *testing.T, r *Repositories) string {
	t.Helper()
	for key := range r.handles {
		return key
	}
	t.Fatal("no handle")
	return ""
}

func TestFetch_refsOtherThanBranches(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	for _, args := range [][]string{{"tag", "-a", "v1", "-m", "one"}, {"push", "origin", "v1"}} {
		if out, err := w.Git(t.Context(), args...); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	second := gittest.Push(t, w, "second", map[string]string{"a": "2"})
	r := repositories(t, Limits{})
	remote := gitsync.Remote{URL: s.URL("app")}
	for _, row := range []struct {
		ref  gitsync.Ref
		want string
	}{{gitsync.Ref{Remote: remote}, second}, {gitsync.Ref{Remote: remote, Tag: "v1"}, first}, {gitsync.Ref{Remote: remote, Name: "refs/heads/main"}, second},
		{gitsync.Ref{Remote: remote, Commit: second}, second}} {
		if got := fetch(t, r, row.ref, "").Commit().ID; got != row.want {
			t.Errorf("%+v resolves to %s, want %s", row.ref, got, row.want)
		}
	}
	_, err := r.Fetch(t.Context(), gitsync.Ref{Remote: remote, Tag: "v1"}, second)
	if reasonOf(t, err) != gitsync.TagMoved {
		t.Errorf("a tag that is elsewhere now: %v, want TagMoved", err)
	}
	_, err = r.Fetch(t.Context(), gitsync.Ref{Remote: remote, Commit: strings.Repeat("1", 40)}, "")
	if f, ok := errors.AsType[*gitsync.Failure](err); !ok || f.Problem == nil || f.Problem.Code != "S210" {
		t.Errorf("unknown commit: %v, want S210", err)
	}
}

func TestFetch_rewrittenHistoryHolds(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"false", "true"} {
		t.Run("filter="+filter, func(t *testing.T) {
			t.Parallel()
			s := gittest.Start(t, gitserver.Config{})
			w := gittest.Repository(t, s, "app")
			if _, err := s.Git(t.Context(), "app", "config", "uploadpack.allowFilter", filter); err != nil {
				t.Fatal(err)
			}
			gittest.Push(t, w, "parent", map[string]string{"a": "1"})
			a := gittest.Push(t, w, "a", map[string]string{"a": "2"})
			gittest.Push(t, w, "b", map[string]string{"a": "3"})
			c := gittest.Push(t, w, "c", map[string]string{"a": "4"})
			r := repositories(t, Limits{})
			if got := fetch(t, r, branch(s, "app"), a).Commit().ID; got != c {
				t.Errorf("a -> b -> c: got %s, want %s", got, c)
			}
			git(t, w, "reset", "--hard", a)
			git(t, w, "-c", "user.name=x", "-c", "user.email=x", "commit", "--amend", "-m", "amended", "--date", "2001-01-01T00:00:00Z")
			forcePush(t, w)
			ref := branch(s, "app")
			_, err := r.Fetch(t.Context(), ref, c)
			if filter == "true" && reasonOf(t, err) != gitsync.HistoryRewritten {
				t.Errorf("amended: %v, want HistoryRewritten", err)
			}
			git(t, w, "reset", "--hard", a+"^")
			forcePush(t, w)
			_, err = r.Fetch(t.Context(), ref, c)
			if filter == "true" && reasonOf(t, err) != gitsync.HistoryRewritten {
				t.Errorf("reset to the parent: %v, want HistoryRewritten", err)
			}
			ref.Rewrite = gitsync.Follow
			if got := fetch(t, r, ref, c).Commit().ID; got == c {
				t.Errorf("follow: still at %s", got)
			}
		})
	}
}

func TestCheckDates_olderCommitHolds(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	a := gittest.Push(t, w, "a", map[string]string{"a": "1"})
	r := repositories(t, Limits{})
	ref := branch(s, "app")
	tip := fetch(t, r, ref, "")
	ref.Last.Time = tip.Commit().Time.Add(time.Hour)
	if _, err := r.Fetch(t.Context(), ref, strings.Repeat("1", 40)); reasonOf(t, err) != gitsync.HistoryRewritten {
		t.Errorf("older than what was applied: %v, want HistoryRewritten", err)
	}
	ref.Accept = a
	fetch(t, r, ref, strings.Repeat("1", 40))
}

func git(t *testing.T, w *gitserver.WorkTree, args ...string) {
	t.Helper()
	if out, err := w.Git(t.Context(), args...); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func forcePush(t *testing.T, w *gitserver.WorkTree) {
	t.Helper()
	if err := w.ForcePush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFetch_failuresHaveReasons(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{Username: "ana", Password: "topsecret"})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "first", map[string]string{"a": "1"})
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(other.Close)
	redirect := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusMovedPermanently))
	t.Cleanup(redirect.Close)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	t.Cleanup(plain.Close)
	good := gitsync.Remote{URL: s.URL("app"), Secret: gitsync.Secret{Username: "ana", Password: "topsecret"}}
	r := repositories(t, Limits{})
	for _, row := range []struct {
		name string
		ref  gitsync.Ref
		want gitsync.Reason
	}{
		{"no credentials", gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("app")}}, gitsync.AuthFailed},
		{"wrong password", gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("app"), Secret: gitsync.Secret{Username: "ana", Password: "topsecret2"}}}, gitsync.AuthFailed},
		{"no such repository", gitsync.Ref{Remote: gitsync.Remote{URL: s.URL("none"), Secret: good.Secret}}, gitsync.Unreachable},
		{"no such branch", gitsync.Ref{Remote: good, Branch: "nope"}, gitsync.RefNotFound},
		{"redirect", gitsync.Ref{Remote: gitsync.Remote{URL: redirect.URL + "/a"}}, gitsync.RedirectRefused},
		{"not a git server", gitsync.Ref{Remote: gitsync.Remote{URL: plain.URL + "/a"}}, gitsync.Unreachable},
		{"nobody there", gitsync.Ref{Remote: gitsync.Remote{URL: "http://127.0.0.1:1/a"}}, gitsync.Unreachable},
		{"not TLS", gitsync.Ref{Remote: gitsync.Remote{URL: strings.Replace(plain.URL, "http:", "https:", 1) + "/a"}}, gitsync.TLSFailed},
		{"other scheme", gitsync.Ref{Remote: gitsync.Remote{URL: "file:///etc"}}, gitsync.AddressRefused},
		{"bad roots", gitsync.Ref{Remote: gitsync.Remote{URL: "https://127.0.0.1:1/a", Secret: gitsync.Secret{CA: "x"}}}, gitsync.SecretInvalid},
	} {
		_, err := r.Fetch(t.Context(), row.ref, "")
		if got := reasonOf(t, err); got != row.want || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v (%s), want %s without the password", row.name, err, got, row.want)
		}
	}
	fetch(t, r, gitsync.Ref{Remote: good}, "")
}

func TestFetch_faultsOfTheServer(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "first", map[string]string{"a": strings.Repeat("x", 4096)})
	r := repositories(t, Limits{})
	for _, row := range []struct {
		name  string
		path  string
		fault gitserver.Fault
		want  gitsync.Reason
	}{
		{"500 when listing", "/app.git/info/refs", gitserver.Fault{Status: 500}, gitsync.Unreachable},
		{"429 when listing", "/app.git/info/refs", gitserver.Fault{Status: 429}, gitsync.Throttled},
		{"stall", "/app.git/info/refs", gitserver.Fault{Stall: true}, gitsync.Timeout},
		{"cut", "/app.git/git-upload-pack", gitserver.Fault{CutAfter: 10}, gitsync.Unreachable},
	} {
		s.SetFault(row.path, row.fault)
		ref := branch(s, "app")
		ref.Timeout = 300 * time.Millisecond
		if !row.fault.Stall {
			ref.Timeout = 5 * time.Second
		}
		_, err := r.Fetch(t.Context(), ref, "")
		if got := reasonOf(t, err); got != row.want {
			t.Errorf("%s: %v (%s), want %s", row.name, err, got, row.want)
		}
		s.LiftFault(row.path)
	}
	fetch(t, r, branch(s, "app"), "")
}

// Connections that are cut in the middle of a pack, twice in a row, leave nothing behind and take nothing away: neither on the
// way to the first commit nor to a later one.
func TestFetch_cutTwiceInARow(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	r := repositories(t, Limits{})
	files := func() int {
		t.Helper()
		found := 0
		if err := filepath.WalkDir(r.cfg.Dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.HasSuffix(name, "config") && !strings.HasSuffix(name, "HEAD") && !strings.HasSuffix(name, "shallow") {
				found++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	have := ""
	var tree gitsync.Tree
	for push := range 2 {
		tip := gittest.Push(t, w, "push", map[string]string{"a": fmt.Sprint(push), "large": noise(uint64(push), 300_000)})
		before := files()
		s.SetFault("/app.git/git-upload-pack", gitserver.Fault{CutAfter: 100_000}) // a listing is shorter
		for range 2 {
			if _, err := r.Fetch(t.Context(), branch(s, "app"), have); reasonOf(t, err) != gitsync.Unreachable {
				t.Errorf("push %d, cut: %v, want Unreachable", push, err)
			}
			if left := files(); left != before {
				t.Errorf("push %d: %d files after a cut, %d before", push, left, before)
			}
			if tree == nil {
				continue
			}
			if got, err := fs.ReadFile(tree, "large"); err != nil || string(got) != noise(0, 300_000) {
				t.Errorf("the tree before: %d bytes, %v", len(got), err)
			}
		}
		s.LiftFault("/app.git/git-upload-pack")
		tree = fetch(t, r, branch(s, "app"), have)
		if got, err := fs.ReadFile(tree, "large"); err != nil || string(got) != noise(uint64(push), 300_000) || tree.Commit().ID != tip {
			t.Fatalf("push %d, whole: %d bytes at %s, %v", push, len(got), tree.Commit().ID, err)
		}
		have = tip
	}
}

func TestFetch_speaksVersionZeroToo(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	tip := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	target, err := url.Parse(s.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	target.Path = ""
	old := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Header.Del("Git-Protocol")
	}})
	t.Cleanup(old.Close)
	got := fetch(t, repositories(t, Limits{}), gitsync.Ref{Remote: gitsync.Remote{URL: old.URL + "/app.git"}}, "")
	if got.Commit().ID != tip || got.Commit().Ref != "main" {
		t.Errorf("HEAD = %+v, want %s on main", got.Commit(), tip)
	}
}

func TestFetch_limits(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "first", map[string]string{"a": strings.Repeat("x", 5000), "b": "1", "d/e/f": "1"})
	for name, l := range map[string]Limits{"pack": {PackBytes: 100}, "objects": {Objects: 3}, "object": {ObjectBytes: 4999}, "inflated": {InflatedBytes: 5000}} {
		if _, err := repositories(t, l).Fetch(t.Context(), branch(s, "app"), ""); reasonOf(t, err) != gitsync.LimitExceeded {
			t.Errorf("%s: %v, want LimitExceeded", name, err)
		}
	}
	tree := fetch(t, repositories(t, Limits{ObjectBytes: 5000, TreeEntries: 3, PathDepth: 3}), branch(s, "app"), "")
	if _, err := fs.ReadFile(tree, "d/e/f"); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	tree = fetch(t, repositories(t, Limits{PathDepth: 2}), branch(s, "app"), "")
	if _, err := fs.ReadFile(tree, "d/e/f"); reasonOf(t, err) != gitsync.LimitExceeded {
		t.Errorf("path depth: %v, want LimitExceeded", err)
	}
	tree = fetch(t, repositories(t, Limits{TreeEntries: 2}), branch(s, "app"), "")
	if _, err := fs.ReadDir(tree, "."); reasonOf(t, err) != gitsync.LimitExceeded {
		t.Errorf("entries: %v, want LimitExceeded", err)
	}
}

func TestTree_linksAreListedNotRead(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "first", map[string]string{"a": "1"})
	blob := strings.TrimSpace(must(t, w, "hash-object", "-w", "a"))
	git(t, w, "update-index", "--add", "--cacheinfo", "120000,"+blob+",link")
	git(t, w, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub")
	git(t, w, "commit", "-m", "links")
	if err := w.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree := fetch(t, repositories(t, Limits{}), branch(s, "app"), "")
	entries, err := fs.ReadDir(tree, ".")
	if err != nil || len(entries) != 3 {
		t.Fatalf("ReadDir = %v, %v; want three entries", entries, err)
	}
	for _, name := range []string{"link", "sub"} {
		if content, err := fs.ReadFile(tree, name); err == nil {
			t.Errorf("ReadFile(%s) = %q, want an error", name, content)
		}
		if info, err := fs.Stat(tree, name); err != nil || info.Mode().IsRegular() {
			t.Errorf("Stat(%s) = %v, %v; want a mode that is not regular", name, info, err)
		}
	}
}

func must(t *testing.T, w *gitserver.WorkTree, args ...string) string {
	t.Helper()
	out, err := w.Git(t.Context(), args...)
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return out
}

func TestUnsafeName_table(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "..", ".git", ".GIT", ".git.", ".git ", "git~1", ".g\u200cit", "a/b", "a\\b", "a\x00", "a\nb", "nul", "COM1.txt", "aux "} {
		if unsafeName(bad) == "" {
			t.Errorf("unsafeName(%q) accepts it", bad)
		}
	}
	for _, good := range []string{"a.yaml", ".gitignore", ".github", "com.yaml", "nulls", "Kustomization", "ü.yaml"} {
		if why := unsafeName(good); why != "" {
			t.Errorf("unsafeName(%q) = %s", good, why)
		}
	}
	if err := checkNames([]treeEntry{{name: "A.yaml"}, {name: "a.yaml"}}); reasonOf(t, err) != gitsync.TreeUnsafe {
		t.Errorf("case clash: %v, want TreeUnsafe", err)
	}
	if err := checkNames([]treeEntry{{name: "\u00e9"}, {name: "e\u0301"}}); reasonOf(t, err) != gitsync.TreeUnsafe {
		t.Errorf("form clash: %v, want TreeUnsafe", err)
	}
}

func TestRepositories_keepOneGenerationAndNoSpool(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	dir := t.TempDir()
	r, err := New(Config{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.Fetch(context.WithoutCancel(t.Context()), branch(s, "app"), "")
	if err != nil {
		t.Fatal(err)
	}
	h := r.handles[onlyKey(t, r)]
	h.now.fetches = recycleAfter
	gittest.Push(t, w, "second", map[string]string{"a": "2"})
	fetch(t, r, branch(s, "app"), first)
	count := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "git", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if count() != 2 || h.number.Load() != 2 {
		t.Errorf("%d repositories, generation %d; want the pinned old one and the new one", count(), h.number.Load())
	}
	if got, err := fs.ReadFile(old, "a"); err != nil || string(got) != "1" {
		t.Errorf("pinned tree: %q, %v", got, err)
	}
	if err := old.Close(); err != nil || count() != 1 {
		t.Errorf("after Close: %d repositories, %v; want 1", count(), err)
	}
	if spools, _ := filepath.Glob(filepath.Join(dir, "git", "*", "incoming-*")); len(spools) > 0 {
		t.Errorf("left behind: %v", spools)
	}
	if info, err := os.Stat(filepath.Join(dir, "git")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the cache: %v, %v", info, err)
	}
}
