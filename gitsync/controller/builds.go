package controller

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	maxBuilds     = 16
	maxBuildBytes = 64 << 20
)

// builds keeps what was rendered last, so that a commit that comes back costs no second build. A build is given only to
// the Source that it was made for.
type builds struct {
	mu   sync.Mutex
	kept []keptBuild // newest use first; guarded by mu
}

type keptBuild struct {
	source types.UID
	key    string // of its options
	build  gitsync.Build
	bytes  int
}

// find gives a build whose every read has the same content in tree.
func (b *builds) find(source types.UID, key string, tree gitsync.Tree) (gitsync.Build, bool) {
	b.mu.Lock()
	candidates := slices.Clone(b.kept)
	b.mu.Unlock()
	for _, k := range candidates {
		if k.source == source && k.key == key && rereads(tree, k.build.Reads) {
			b.keep(k)
			return k.build, true
		}
	}
	return gitsync.Build{}, false
}

// store keeps a build, and lets go of those that were not used for the longest time. What is refused without a look at the
// files is not worth keeping.
func (b *builds) store(source types.UID, key string, build gitsync.Build) {
	if len(build.Reads) == 0 {
		return
	}
	bytes := 0
	for path, id := range build.Reads {
		bytes += len(path) + len(id) + 32
	}
	for _, o := range build.Objects {
		bytes += weigh(o.Content)
	}
	b.keep(keptBuild{source, key, build, bytes})
}

// keep puts a build in front.
func (b *builds) keep(k keptBuild) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = slices.DeleteFunc(b.kept, func(o keptBuild) bool {
		return o.source == k.source && o.key == k.key && sameReads(o.build.Reads, k.build.Reads)
	})
	b.kept = slices.Insert(b.kept, 0, k)
	sum := 0
	for i := range b.kept {
		if sum += b.kept[i].bytes; i >= maxBuilds || (sum > maxBuildBytes && i > 0) {
			clear(b.kept[i:])
			b.kept = b.kept[:i]
			return
		}
	}
}

func sameReads(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for path, id := range a {
		if other, ok := b[path]; !ok || other != id {
			return false
		}
	}
	return true
}

// drop forgets the builds of a Source.
func (b *builds) drop(source types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = slices.DeleteFunc(b.kept, func(o keptBuild) bool { return o.source == source })
}

// weigh guesses the bytes that a JSON value takes in memory.
func weigh(v any) int {
	const word = 16
	n := word
	switch v := v.(type) {
	case string:
		n += len(v)
	case map[string]any:
		for key, item := range v {
			n += 2*word + len(key) + weigh(item)
		}
	case []any:
		for _, item := range v {
			n += weigh(item)
		}
	}
	return n
}
