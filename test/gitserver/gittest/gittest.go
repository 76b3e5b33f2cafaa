// Package gittest starts a Git server for one test and takes it down with it.
//
//	s := gittest.Start(t, gitserver.Config{})
//	w := gittest.Repository(t, s, "app")
//	hash := gittest.Push(t, w, "first", map[string]string{"a.yaml": "..."})
package gittest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-dev/sluice/test/gitserver"
)

// Start serves until the end of the test. Without a Root in the configuration a fresh directory is taken.
func Start(t testing.TB, cfg gitserver.Config) *gitserver.Server {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = t.TempDir()
	}
	s, err := gitserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the git server: %v", err)
		}
	})
	return s
}

// Repository creates an empty repository and gives a work tree of it.
func Repository(t testing.TB, s *gitserver.Server, name string) *gitserver.WorkTree {
	t.Helper()
	if err := s.Create(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(t.TempDir(), "work")
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Clone(t.Context(), name, filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Push commits the files, pushes and gives the commit's hash.
func Push(t testing.TB, w *gitserver.WorkTree, message string, files map[string]string) string {
	t.Helper()
	hash, err := w.CommitAll(t.Context(), message, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	return hash
}
