// Package gitdir offers a Git work tree of this machine to Sluice as any other repository: read-only over smart HTTP on
// loopback, straight from the tree's own Git directory, served by git itself. The directory is never changed.
//
//	tree, err := gitdir.Open(ctx, ".")
//	s, err := gitdir.Serve(ctx, tree, gitdir.Config{Token: token})
//	source.Spec.URL = s.URL()
//
// Only what is committed counts. Changed tells when the branch has moved, so that a commit is applied at once.
package gitdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const commandTimeout = 10 * time.Second

// ErrNotATree says that a directory is not inside a Git work tree.
var ErrNotATree = errors.New("not inside a Git work tree")

// Tree is a Git work tree.
type Tree struct {
	Root   string // of the work tree
	GitDir string // its common Git directory
	Branch string // that HEAD is on; empty when HEAD is detached
}

// Open finds the work tree that dir is in. The error wraps ErrNotATree when there is none.
func Open(ctx context.Context, dir string) (Tree, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Tree{}, fmt.Errorf("opening the repository: %w", err)
	}
	if !info.IsDir() {
		return Tree{}, fmt.Errorf("opening the repository: %s is not a directory", dir)
	}
	inside, err := run(ctx, dir, "rev-parse", "--is-inside-work-tree")
	if err != nil || inside != "true" {
		return Tree{}, fmt.Errorf("%s is %w (git says: %v)", dir, ErrNotATree, err)
	}
	root, err := run(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return Tree{}, err
	}
	gitDir, err := run(ctx, dir, "rev-parse", "--path-format=absolute", "--git-common-dir")
	if err != nil {
		return Tree{}, err
	}
	branch, err := run(ctx, dir, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		branch = "" // a detached HEAD is no error here: a branch may be named
	}
	return Tree{Root: root, GitDir: filepath.Clean(gitDir), Branch: branch}, nil
}

// Commit gives the commit that the branch points to, or an error that says there is none.
func (t Tree) Commit(ctx context.Context, branch string) (string, error) {
	id, err := run(ctx, t.Root, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("branch %q of %s has no commit", branch, t.Root)
	}
	return id, nil
}

// Uncommitted counts the files that differ from HEAD, new ones included.
func (t Tree) Uncommitted(ctx context.Context) (int, error) {
	out, err := run(ctx, t.Root, "status", "--porcelain", "--untracked-files=all")
	if err != nil || out == "" {
		return 0, err
	}
	return strings.Count(out, "\n") + 1, nil
}

// run gives what git prints, without the last line's end. It never asks, and takes no locks.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}
