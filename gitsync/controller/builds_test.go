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

// countedTree counts what is looked at.
type countedTree struct {
	hashTree
	looks *int
}

// Hash implements gitsync.Tree.
func (c countedTree) Hash(path string) string {
	*c.looks++
	return c.hashTree.Hash(path)
}

// A build is the same where everything that it has read is. What lies in a directory that is the same is not looked at.
func TestRereads_table(t *testing.T) {
	t.Parallel()
	reads := map[string]string{"app": "d1", "app/a": "1", "app/sub": "d2", "app/sub/b": "2", "app/none": "", "base/c": "3", "gone": "", "gone/kustomization.yaml": ""}
	for name, row := range map[string]struct {
		is   hashes
		want bool
	}{
		"all the same":                {hashes{"app": "d1", "base/c": "3"}, true},
		"another entry of the listed": {hashes{"app": "d9", "app/a": "1", "app/sub": "d2", "app/sub/b": "2", "base/c": "3"}, false},
		"a file":                      {hashes{"app": "d1", "base/c": "9"}, false},
		"no file":                     {hashes{"app": "d1"}, false},
		"no directory":                {hashes{"base/c": "3"}, false},
		"a directory that was absent": {hashes{"app": "d1", "base/c": "3", "gone": "d9"}, false},
		"and a file in one":           {hashes{"app": "d1", "base/c": "3", "gone/kustomization.yaml": "9"}, false},
	} {
		looks := 0
		if got := rereads(countedTree{hashTree{hashes: row.is}, &looks}, reads); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
		if row.want && looks > 5 { // the directory, a file outside, two that are absent, and perhaps one of these twice
			t.Errorf("%s: %d looks", name, looks)
		}
	}
	files := map[string]string{".": "d0", "a": "1"}
	looks := 0
	if !rereads(countedTree{hashTree{hashes: hashes{".": "d0"}}, &looks}, files) || looks > 2 {
		t.Errorf("the root is the same: not the same, or %d looks", looks)
	}
}
