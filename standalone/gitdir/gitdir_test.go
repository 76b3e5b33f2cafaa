package gitdir_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/standalone/gitdir"
)

func git(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return out
}

// repository is a work tree with one commit, which it also gives.
func repository(t *testing.T) (string, string) {
	dir := t.TempDir()
	must(t, dir, "init", "-q", "-b", "trunk")
	write(t, filepath.Join(dir, "a"), "one\n")
	must(t, dir, "add", "a")
	must(t, dir, "commit", "-q", "-m", "one")
	return dir, must(t, dir, "rev-parse", "HEAD")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, dir string) *gitdir.Server {
	t.Helper()
	tree, err := gitdir.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gitdir.Serve(t.Context(), tree, gitdir.Config{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestServe_givesWhatIsCommittedAndTakesNothing(t *testing.T) {
	dir, commit := repository(t)
	s := serve(t, dir)
	clone := filepath.Join(t.TempDir(), "clone")
	must(t, t.TempDir(), "clone", "-q", "--depth", "1", s.URL(), clone)
	if got := must(t, clone, "rev-parse", "HEAD"); got != commit {
		t.Errorf("cloned %s, want %s", got, commit)
	}
	if out, err := git(t, clone, "push", "origin", "HEAD:refs/heads/other"); err == nil {
		t.Errorf("a push went through: %s", out)
	}
	if got := must(t, dir, "for-each-ref", "--format=%(refname)"); got != "refs/heads/trunk" {
		t.Errorf("the repository has now %q", got)
	}
}

func TestServe_givesHistoryAloneAndLeavesTheConfigurationAsItIs(t *testing.T) {
	dir, _ := repository(t)
	before := must(t, dir, "config", "--local", "--list")
	s := serve(t, dir)
	clone := filepath.Join(t.TempDir(), "clone")
	if out := must(t, t.TempDir(), "clone", "--bare", "--filter=tree:0", s.URL(), clone); strings.Contains(out, "filtering not recognized") {
		t.Errorf("filters are not offered: %s", out)
	}
	if missing := must(t, clone, "rev-list", "--objects", "--missing=print", "HEAD"); !strings.Contains(missing, "\n?") {
		t.Errorf("more than the commit came: %s", missing)
	}
	if after := must(t, dir, "config", "--local", "--list"); after != before {
		t.Errorf("the configuration was %q and is %q", before, after)
	}
}

func TestServe_isClosedToWhoDoesNotKnowTheToken(t *testing.T) {
	dir, _ := repository(t)
	url := strings.TrimSuffix(serve(t, dir).URL(), "secret")
	for _, path := range []string{"info/refs?service=git-upload-pack", "guess/info/refs?service=git-upload-pack", "secret/HEAD", "secret/config"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s gives %s, want 404", path, resp.Status)
		}
	}
}

func TestServe_servesALinkedWorkTree(t *testing.T) {
	dir, _ := repository(t)
	linked := filepath.Join(t.TempDir(), "linked")
	must(t, dir, "worktree", "add", "-q", "-b", "side", linked)
	tree, err := gitdir.Open(t.Context(), linked)
	if err != nil || tree.Branch != "side" {
		t.Fatalf("got branch %q, %v; want side", tree.Branch, err)
	}
	write(t, filepath.Join(linked, "b"), "two\n")
	must(t, linked, "add", "b")
	must(t, linked, "commit", "-q", "-m", "two")
	want := must(t, linked, "rev-parse", "HEAD")
	if got := must(t, dir, "ls-remote", serve(t, linked).URL(), "refs/heads/side"); !strings.HasPrefix(got, want) {
		t.Errorf("the remote's side is %q, want %s", got, want)
	}
}

func TestChanged_tellsEachNewCommit(t *testing.T) {
	dir, first := repository(t)
	s := serve(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	moved, done := make(chan string), make(chan struct{})
	go func() {
		defer close(done)
		s.Changed(ctx, "trunk", first, func(c string) { moved <- c })
	}()
	must(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	got, want := <-moved, must(t, dir, "rev-parse", "HEAD")
	if got != want || got == first {
		t.Errorf("told %s, want %s", got, want)
	}
	cancel()
	<-done
}

func TestUncommitted_countsChangedAndNewFiles(t *testing.T) {
	dir, _ := repository(t)
	tree, err := gitdir.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tree.Uncommitted(t.Context()); n != 0 || err != nil {
		t.Errorf("a clean tree: got %d, %v", n, err)
	}
	write(t, filepath.Join(dir, "a"), "changed\n")
	write(t, filepath.Join(dir, "new"), "x\n")
	if n, err := tree.Uncommitted(t.Context()); n != 2 || err != nil {
		t.Errorf("got %d, %v; want 2", n, err)
	}
}

func TestOpen_refusesAPlainDirectory(t *testing.T) {
	_, err := gitdir.Open(t.Context(), t.TempDir())
	if !errors.Is(err, gitdir.ErrNotATree) {
		t.Errorf("got %v, want %v", err, gitdir.ErrNotATree)
	}
}
