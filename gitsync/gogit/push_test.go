package gogit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

func at(commit string, ref gitsync.Ref) gitsync.Ref {
	return gitsync.Ref{Remote: ref.Remote, Commit: commit}
}

// show runs git in the bare repository.
func show(t *testing.T, s *gitserver.Server, args ...string) string {
	t.Helper()
	out, err := s.Git(t.Context(), "app", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// revert makes a commit on the tip that gives back the files of the first commit, and pushes it.
func revert(t *testing.T, r *Repositories, s *gitserver.Server, w *gitserver.WorkTree, ref gitsync.Ref) {
	t.Helper()
	first := gittest.Push(t, w, "first", map[string]string{"a/x.yaml": "1\n", "a/b/y.yaml": "1\n", "c.yaml": "1\n", "a-b": "1\n"})
	second := gittest.Push(t, w, "second", map[string]string{"a/x.yaml": "2\n", "a/b/y.yaml": "", "a/n/z.yaml": "2\n"})
	third := gittest.Push(t, w, "third", map[string]string{"c.yaml": "3\n"})
	good, tip := fetch(t, r, at(first, ref), ""), fetch(t, r, ref, "")
	content, err := r.Edit(tip, []gitsync.Edit{{Path: "a/x.yaml", As: good}, {Path: "a/b/y.yaml", As: good}, {Path: "a/n/z.yaml", As: good}})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	push := gitsync.Push{Remote: ref.Remote, Ref: "refs/heads/main", Old: third, Content: content, Message: "Revert \"second\"\n\nSluice-Reverts: " + second,
		Author: gitsync.Author{Name: "Sluice", Email: "sluice@localhost", Time: time.Unix(1767225600, 0)}}
	id, err := r.Push(t.Context(), push)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(t, s, "rev-parse", "refs/heads/main", "refs/heads/main^"); got != id+"\n"+third {
		t.Errorf("main and its parent: %q, want %s and %s", got, id, third)
	}
	if got, want := show(t, s, "ls-tree", "-r", "--name-only", id), "a-b\na/b/y.yaml\na/x.yaml\nc.yaml"; got != want {
		t.Errorf("files %q, want %q", got, want)
	}
	if got := show(t, s, "diff", "--stat", first, id, "--", "a"); got != "" {
		t.Errorf("a differs from the first commit: %s", got)
	}
	if got, want := show(t, s, "log", "-1", "--format=%an <%ae> %at %s", id), `Sluice <sluice@localhost> 1767225600 Revert "second"`; got != want {
		t.Errorf("commit %q, want %q", got, want)
	}
	show(t, s, "fsck", "--strict", "--no-dangling")
	if _, err := r.Push(t.Context(), push); !errors.Is(err, gitsync.ErrPushRefused) {
		t.Errorf("from an old tip: %v, want ErrMoved", err)
	}
	if got := show(t, s, "rev-parse", "refs/heads/main"); got != id {
		t.Errorf("main is at %s, want %s", got, id)
	}
}

func TestPush_revertsOverHTTP(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{Username: "demo", Password: "secret"})
	w := gittest.Repository(t, s, "app")
	show(t, s, "config", "uploadpack.allowAnySHA1InWant", "true")
	ref := branch(s, "app")
	ref.Remote.Secret = gitsync.Secret{Username: "demo", Password: "secret"}
	r := repositories(t, Limits{})
	revert(t, r, s, w, ref)
	ref.Remote.Secret.Password = "canary-wrong"
	_, err := r.Push(t.Context(), gitsync.Push{Remote: ref.Remote, Ref: "refs/x", New: strings.Repeat("1", 40)})
	if reasonOf(t, err) != gitsync.AuthFailed || strings.Contains(err.Error(), "canary") {
		t.Errorf("with a wrong password: %v, want AuthFailed without it", err)
	}
}

func TestPush_revertsOverSSH(t *testing.T) {
	t.Parallel()
	for name, start := range starters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, user := edKey(t), edKey(t)
			w := newSSHWorld(t, start, gitssh.Config{HostKeys: [][]byte{host.pem}, Authorized: []ssh.PublicKey{user.signer.PublicKey()}})
			show(t, w.git, "config", "uploadpack.allowAnySHA1InWant", "true")
			revert(t, repositories(t, Limits{}), w.git, w.tree, w.ref(gitsync.Secret{Identity: string(user.pem), KnownHosts: host.line(w.server.Addr)}))
		})
	}
}

func TestPush_movesARefWithoutObjects(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	second := gittest.Push(t, w, "second", map[string]string{"a": "2"})
	r := repositories(t, Limits{})
	remote := branch(s, "app").Remote
	const name = "refs/sluice/prod/shop/app/last-good"
	push := func(old, to string) error {
		_, err := r.Push(t.Context(), gitsync.Push{Remote: remote, Ref: name, Old: old, New: to})
		return err
	}
	if tips, err := r.Tips(t.Context(), remote, name, "HEAD"); err != nil || tips[name] != "" || tips["refs/heads/main"] != second {
		t.Errorf("before: %v, %v", tips, err)
	}
	if err := push("", first); err != nil {
		t.Fatal(err)
	}
	if err := push("", second); !errors.Is(err, gitsync.ErrPushRefused) {
		t.Errorf("creating it again: %v, want ErrMoved", err)
	}
	if err := push(first, second); err != nil {
		t.Fatal(err)
	}
	if err := push(first, first); !errors.Is(err, gitsync.ErrPushRefused) {
		t.Errorf("from an old id: %v, want ErrMoved", err)
	}
	if tips, err := r.Tips(t.Context(), remote, name); err != nil || tips[name] != second {
		t.Errorf("after: %v, %v, want %s", tips, err, second)
	}
	if err := push(second, strings.Repeat("1", 40)); err == nil {
		t.Error("a commit that the server does not have was taken")
	}
	hook := filepath.Join(show(t, s, "rev-parse", "--absolute-git-dir"), "hooks", "update")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // a hook is a program
		t.Fatal(err)
	}
	if err := push(second, first); !errors.Is(err, gitsync.ErrPushRefused) || !strings.Contains(err.Error(), "hook declined") {
		t.Errorf("declined by a hook: %v, want ErrMoved with the server's words", err)
	}
}

func TestPush_signs(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	r := repositories(t, Limits{})
	ref := branch(s, "app")
	tip := fetch(t, r, ref, "")
	content, err := r.Edit(tip, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	for name, key := range map[string]sshKey{"ed25519": edKey(t), "rsa": rsaKey(t, 2048), "ecdsa": ecKey(t, "")} {
		sign, err := r.Signer(gitsync.Secret{Identity: string(key.pem)})
		if err != nil {
			t.Fatal(err)
		}
		id, err := r.Push(t.Context(), gitsync.Push{Remote: ref.Remote, Ref: "refs/heads/" + name, Parent: first, Content: content, Message: "signed",
			Author: gitsync.Author{Name: "Sluice", Email: "s@h", Time: time.Unix(1, 0)}, Sign: sign})
		if err != nil {
			t.Fatal(err)
		}
		allowed := filepath.Join(t.TempDir(), "allowed")
		if err := os.WriteFile(allowed, append([]byte("s@h "), ssh.MarshalAuthorizedKey(key.signer.PublicKey())...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Git(t.Context(), "app", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", id); err != nil {
			t.Errorf("%s: git does not trust the signature: %v", name, err)
		}
	}
}
