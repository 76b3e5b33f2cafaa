package gitserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/poll"
)

func TestServer_pushArrivesInAFreshClone(t *testing.T) {
	t.Parallel()
	pushed := make(chan gitserver.Push, 4)
	before := time.Now()
	s := gittest.Start(t, gitserver.Config{Username: "demo", Password: "secret", OnPush: func(p gitserver.Push) { pushed <- p }})
	w := gittest.Repository(t, s, "app")
	hash := gittest.Push(t, w, "reviews: v1", map[string]string{"deploy/rollout.yaml": "subset: v1\n"})
	select {
	case p := <-pushed:
		if p.Repository != "app" || p.At.Before(before) || p.At.After(time.Now()) {
			t.Errorf("callback: got %+v, want repository app, stamped between start and now", p)
		}
	case <-time.After(time.Minute):
		t.Fatal("no callback after a push")
	}

	fresh, err := s.Clone(t.Context(), "app", filepath.Join(t.TempDir(), "fresh"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(fresh.Dir, "deploy", "rollout.yaml"))
	if err != nil || string(text) != "subset: v1\n" {
		t.Errorf("cloned file: got %q, %v, want %q", text, err, "subset: v1\n")
	}
	if got, err := fresh.Head(t.Context()); err != nil || got != hash {
		t.Errorf("cloned commit: got %q, %v, want %q", got, err, hash)
	}
	author, err := fresh.Git(t.Context(), "log", "-1", "--format=%an <%ae> %s")
	if want := "Demo <demo@sluice.example> reviews: v1"; err != nil || author != want {
		t.Errorf("author and subject: got %q, %v, want %q", author, err, want)
	}
	if len(pushed) != 0 {
		t.Errorf("%d callbacks after a clone, want none", len(pushed))
	}
}

func TestServer_refusesThoseWithoutThePassword(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{Username: "demo", Password: "secret"})
	w := gittest.Repository(t, s, "app")
	_, err := w.Git(t.Context(), "-c", "http.http://"+s.Addr()+"/.extraHeader=", "ls-remote", s.URL("app"))
	if err == nil || !strings.Contains(err.Error(), "Authentication failed") {
		t.Errorf("without credentials: got %v, want that authentication failed", err)
	}
}

func TestServer_takesAPushThatGitSendsInChunks(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	if _, err := w.Git(t.Context(), "config", "http.postBuffer", "65536"); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 300_000) // does not compress: a multiplicative sequence
	for i, x := 0, uint32(1); i < len(big); i++ {
		x = x*1664525 + 1013904223
		big[i] = byte(x >> 24)
	}
	hash := gittest.Push(t, w, "big", map[string]string{"big": string(big)})
	got, err := s.Git(t.Context(), "app", "rev-parse", "refs/heads/main")
	if err != nil || got != hash {
		t.Errorf("main at the server: got %q, %v, want %q", got, err, hash)
	}
}

func TestServer_revertTakesTheChangeBack(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "v1", map[string]string{"subset": "v1", "gone": "x"})
	bad := gittest.Push(t, w, "v2", map[string]string{"subset": "v2", "gone": ""})
	if _, err := w.Revert(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"subset", "gone"} {
		want := map[string]string{"subset": "v1", "gone": "x"}[name]
		if got, err := s.Git(t.Context(), "app", "show", "main:"+name); err != nil || got != want {
			t.Errorf("%s after the revert: got %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestServer_forcePushRewritesMain(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	first := gittest.Push(t, w, "first", map[string]string{"a": "1"})
	gittest.Push(t, w, "second", map[string]string{"a": "2"})
	if _, err := w.Git(t.Context(), "reset", "--quiet", "--hard", first); err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context()); err == nil {
		t.Error("a push that goes back was accepted without force")
	}
	if err := w.ForcePush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Git(t.Context(), "app", "rev-parse", "main"); err != nil || got != first {
		t.Errorf("main: got %q, %v, want %q", got, err, first)
	}
}

func TestFault_statusOnOnePathForSomeRequests(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "v1", map[string]string{"a": "1"})
	if err := s.Create(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	seen := s.Count("/app.git/info/refs")
	s.SetFault("/app.git/info/refs", gitserver.Fault{Status: 503, Times: 1})
	_, err := w.Git(t.Context(), "ls-remote", s.URL("other"))
	if err != nil {
		t.Errorf("another repository: got %v, want no fault", err)
	}
	if _, err = w.Git(t.Context(), "fetch"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("first fetch: got %v, want a 503", err)
	}
	if _, err = w.Git(t.Context(), "fetch"); err != nil {
		t.Errorf("second fetch: got %v, want it served", err)
	}
	if got := s.Count("/app.git/info/refs") - seen; got != 2 {
		t.Errorf("requests counted: got %d, want 2", got)
	}
}

func TestFault_stallHoldsUntilItIsLifted(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "v1", map[string]string{"a": "1"})
	seen := s.Count("/app.git/info/refs")
	s.SetFault("/app.git", gitserver.Fault{Stall: true})

	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := w.Git(short, "fetch"); err == nil || !errors.Is(short.Err(), context.DeadlineExceeded) {
		t.Errorf("a stalled fetch: got %v, want that only its deadline ends it", err)
	}

	done := make(chan error, 1)
	go func() {
		_, err := w.Git(t.Context(), "fetch")
		done <- err
	}()
	if err := poll.Until(10*time.Second, func() error {
		if s.Count("/app.git/info/refs") < seen+2 {
			return errors.New("the second fetch has not arrived")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.LiftFault("/app.git")
	if err := <-done; err != nil {
		t.Errorf("after the fault was lifted: got %v, want the fetch to go on", err)
	}
}

func TestFault_cutBreaksTheAnswer(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	gittest.Push(t, w, "v1", map[string]string{"a": "1"})
	s.SetFault("/app.git/git-upload-pack", gitserver.Fault{CutAfter: 40})
	if _, err := s.Clone(t.Context(), "app", filepath.Join(t.TempDir(), "cut")); err == nil {
		t.Error("a clone whose pack was cut succeeded")
	}
	s.LiftFault("/app.git/git-upload-pack")
	if _, err := s.Clone(t.Context(), "app", filepath.Join(t.TempDir(), "whole")); err != nil {
		t.Errorf("after the fault: got %v, want a clone", err)
	}
}
