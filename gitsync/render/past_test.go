package render

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-dev/sluice/gitsync"
)

func kustomized(name string) map[string]string {
	return map[string]string{"kustomization.yaml": "resources: [a.yaml]\nnamePrefix: " + name + "-\n", "a.yaml": configMap}
}

func tried(t *testing.T, r *Renderer, files map[string]string) (gitsync.Build, error) {
	t.Helper()
	return r.Render(t.Context(), treeOf(files), gitsync.Options{})
}

func TestPast_aBuildThatKillsTheProcessTwiceIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var key string
	for range 2 { // two processes that die while they build
		r, err := NewIn(dir, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		died := make(chan struct{})
		r.compile = func(filesys.FileSystem) (resmap.ResMap, error) { close(died); select {} }
		go func() {
			_, _ = r.Render(context.WithoutCancel(t.Context()), treeOf(kustomized("bad")), gitsync.Options{})
		}()
		<-died
	}
	entries, err := os.ReadDir(filepath.Join(dir, "builds"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("markers %v, %v, want one", entries, err)
	}
	key = entries[0].Name()
	r, err := NewIn(dir, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := tried(t, r, kustomized("bad"))
	if err != nil || b.Reason != gitsync.BuildQuarantined || b.Problems[0].Code != "S316" {
		t.Errorf("third time: %+v, %v, want BuildQuarantined", b, err)
	}
	if b, err := tried(t, r, kustomized("good")); err != nil || len(b.Objects) != 1 {
		t.Errorf("other files: %+v, %v, want an object", b, err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "builds")); err != nil || len(entries) != 1 || entries[0].Name() != key {
		t.Errorf("markers after a good build: %v, %v, want that of the bad one", entries, err)
	}
}

func TestPast_aBuildThatTakesTooLongIsGivenUp(t *testing.T) {
	t.Parallel()
	r := New(Limits{BuildTime: 50 * time.Millisecond})
	end := make(chan struct{})
	r.compile = func(filesys.FileSystem) (resmap.ResMap, error) { <-end; return nil, errors.New("late") }
	b, err := tried(t, r, kustomized("slow"))
	if err != nil || b.Reason != gitsync.BuildFailed || b.Problems[0].Code != "S316" {
		t.Fatalf("got %+v, %v, want S316", b, err)
	}
	_, err = tried(t, r, kustomized("other"))
	if gitsync.ReasonOf(err, "") != gitsync.BuildFailed {
		t.Errorf("while it still runs: %v, want BuildFailed", err)
	}
	if b, err := tried(t, r, map[string]string{"a.yaml": configMap}); err != nil || len(b.Objects) != 1 {
		t.Errorf("plain files: %+v, %v, want an object", b, err)
	}
	r.compile = runKustomize
	close(end)
	r.busy <- struct{}{} // it has ended
	<-r.busy
	r.limits.BuildTime = time.Minute // a real build on a busy machine
	if b, err := tried(t, r, kustomized("other")); err != nil || len(b.Objects) != 1 {
		t.Errorf("after its end: %+v, %v, want an object", b, err)
	}
	if b, err := tried(t, r, kustomized("slow")); err != nil || b.Reason != gitsync.BuildFailed || b.Problems[0].Code != "S316" {
		t.Errorf("the same files again: %+v, %v, want S316 at once", b, err)
	}
}

func TestPast_anEndOfTheProcessIsNoFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := NewIn(dir, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(end) })
	r.compile = func(filesys.FileSystem) (resmap.ResMap, error) { close(begun); <-end; return nil, nil }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := r.Render(ctx, treeOf(kustomized("a")), gitsync.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "builds")); err != nil || len(entries) != 0 {
		t.Errorf("markers %v, %v, want none", entries, err)
	}
}
