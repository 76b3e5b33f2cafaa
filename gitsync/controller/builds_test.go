package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/gitsync"
)

type hashes map[string]string

type hashTree struct {
	gitsync.Tree
	hashes
}

// Hash implements gitsync.Tree.
func (h hashTree) Hash(path string) string { return h.hashes[path] }

func TestBuilds_keepsTheNewestWithinItsBounds(t *testing.T) {
	t.Parallel()
	b := &builds{}
	of := func(n int) hashTree { return hashTree{hashes: hashes{"a": fmt.Sprint(n)}} }
	for n := range maxBuilds + 4 {
		b.store("u", "k", gitsync.Build{Reads: map[string]string{"a": fmt.Sprint(n), "b": ""}, Objects: []gitsync.Object{{Path: fmt.Sprint(n)}}})
		if _, ok := b.find("u", "k", of(0)); ok != (n < maxBuilds+4) {
			t.Fatalf("build 0, which is used all the time, is gone after %d others", n)
		}
	}
	for n, want := range map[int]bool{0: true, 1: false, 4: false, 5: true, maxBuilds + 3: true} {
		got, ok := b.find("u", "k", of(n))
		if ok != want || (ok && got.Objects[0].Path != fmt.Sprint(n)) {
			t.Errorf("build %d: found %v, want %v", n, ok, want)
		}
	}
	if _, ok := b.find("other", "k", of(0)); ok {
		t.Error("a build was given to another Source")
	}
	if _, ok := b.find("u", "other", of(0)); ok {
		t.Error("a build was given for other options")
	}
	big := gitsync.Object{Content: map[string]any{"k": strings.Repeat("x", maxBuildBytes/2)}}
	for n := range 3 {
		b.store("u", "k", gitsync.Build{Reads: map[string]string{"a": fmt.Sprint("big", n)}, Objects: []gitsync.Object{big}})
	}
	if len(b.kept) != 1 {
		t.Errorf("%d builds of 32 MiB are kept, want 1", len(b.kept))
	}
	b.drop("u")
	if len(b.kept) != 0 {
		t.Error("builds of a Source that is gone are kept")
	}
}
