package gogit

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// similar gives files that Git stores as long chains of deltas.
func similar(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		lines := make([]string, 120)
		for l := range lines {
			lines[l] = fmt.Sprintf("line %d of a file that hardly differs", l)
		}
		lines[i%120] = fmt.Sprintf("this line is of file %d alone", i)
		files[fmt.Sprintf("dir%d/file%d.yaml", i%7, i)] = strings.Join(lines, "\n") + "\n"
	}
	return files
}

// inspected looks at a pack as a fetch does.
func inspected(t *testing.T, pack []byte) *inspection {
	t.Helper()
	in := bytes.NewReader(pack)
	seen, err := checkPack(in, Limits{}.withDefaults(), func(string) bool { return false })
	if err == nil {
		err = seen.end(in)
	}
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// The index beside a pack is, byte for byte, the one that Git writes: for packs whose deltas name their bases by where they
// stand, by their ids, and for one without any.
func TestIndex_isTheOneThatGitWrites(t *testing.T) {
	t.Parallel()
	for name, config := range map[string][]string{
		"by offset": {"-c", "repack.useDeltaBaseOffset=true"}, "by id": {"-c", "repack.useDeltaBaseOffset=false"}, "no deltas": {"-c", "pack.window=0", "-c", "pack.depth=0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gittest.Start(t, gitserver.Config{})
			w := gittest.Repository(t, s, "app")
			gittest.Push(t, w, "first", similar(200))
			gittest.Push(t, w, "second", map[string]string{"dir0/file0.yaml": "another\n", "empty": "\n"})
			repack := append(config, "repack", "-a", "-d", "-f", "--quiet")
			if name != "no deltas" {
				repack = append(repack, "--depth=40", "--window=20")
			}
			git(t, w, repack...)
			packs, err := filepath.Glob(filepath.Join(w.Dir, ".git", "objects", "pack", "*.pack"))
			if err != nil || len(packs) != 1 {
				t.Fatalf("packs %v, %v; want one", packs, err)
			}
			pack, err := os.ReadFile(packs[0])
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(packs[0], "pack") + "idx")
			if err != nil {
				t.Fatal(err)
			}
			seen := inspected(t, pack)
			deltas := 0
			for _, o := range seen.objects {
				if o.kind.IsDelta() {
					deltas++
				}
			}
			if (deltas == 0) != (name == "no deltas") {
				t.Fatalf("%d deltas", deltas)
			}
			if err := (&resolving{inspection: seen, room: deltaMemory}).resolve(bytes.NewReader(pack)); err != nil {
				t.Fatal(err)
			}
			index := filepath.Join(t.TempDir(), "idx")
			if err := seen.writeIndex(index); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(index)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the index has %d bytes, %v; Git's has %d", len(got), err, len(want))
			}
		})
	}
}

// A pack is stored whatever room there is for its deltas: with too little the library takes over.
func TestTake_anyRoomForDeltas(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	tip := gittest.Push(t, w, "first", similar(60))
	git(t, w, "repack", "-a", "-d", "-f", "--quiet", "--depth=40", "--window=20")
	packs, err := filepath.Glob(filepath.Join(w.Dir, ".git", "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs %v, %v; want one", packs, err)
	}
	pack, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int64{deltaMemory, 1} {
		seen := inspected(t, pack)
		if err := (&resolving{inspection: inspected(t, pack), room: room}).resolve(bytes.NewReader(pack)); errors.Is(err, errUnwieldy) != (room == 1) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
		dir := t.TempDir()
		store, err := bareStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		spool, err := os.CreateTemp(dir, "incoming-*")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := spool.Write(pack); err != nil {
			t.Fatal(err)
		}
		g := &generation{dir: dir, store: store}
		if whole, err := g.take(spool, seen, room, false); err != nil || !whole {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		_ = spool.Close()
		store.Reindex()
		c, err := readCommit(store, tip, 1<<20)
		if err != nil {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		read := &tree{g: g, limits: Limits{}.withDefaults(), root: c.tree, dirs: map[plumbing.Hash][]treeEntry{}}
		for name, want := range similar(60) {
			if got, err := read.ReadFile(name); err != nil || string(got) != want {
				t.Fatalf("room for %d bytes: %s has %d bytes, %v", room, name, len(got), err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// blob writes an object of a pack: its kind and size, the name of its base, its content.
func blob(t *testing.T, kind byte, base []byte, content string) []byte {
	t.Helper()
	if len(content) > 15 {
		t.Fatalf("%d bytes: the head of one byte has no place for that", len(content))
	}
	return append(append([]byte{kind<<4 | byte(len(content))}, base...), deflated(t, []byte(content))...)
}

func packWith(objects ...[]byte) []byte {
	out := []byte{'P', 'A', 'C', 'K', 0, 0, 0, 2, 0, 0, 0, byte(len(objects))}
	for _, o := range objects {
		out = append(out, o...)
	}
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

// A delta may stand before its base, and upon another delta that is named by its id; what has no base is refused, and so are
// deltas upon each other.
func TestResolve_basesAnywhereOrNowhere(t *testing.T) {
	t.Parallel()
	id := func(content string) []byte {
		h := plumbing.ComputeHash(plumbing.BlobObject, []byte(content))
		return h[:]
	}
	adds := func(base, more string) string { // copies the base, and adds to it
		return string([]byte{byte(len(base)), byte(len(base) + len(more)), 0x90, byte(len(base)), byte(len(more))}) + more
	}
	base, one, two := blob(t, 3, nil, "base"), blob(t, 7, id("base"), adds("base", "+1")), blob(t, 7, id("base+1"), adds("base+1", "+2"))
	for _, pack := range [][]byte{packWith(base, one, two), packWith(two, one, base), packWith(one, base, two), packWith(two, base, one)} {
		seen := inspected(t, pack)
		if err := (&resolving{inspection: seen, room: deltaMemory}).resolve(bytes.NewReader(pack)); err != nil {
			t.Fatal(err)
		}
		found := map[plumbing.Hash]bool{}
		for _, o := range seen.objects {
			found[o.id] = true
		}
		for _, content := range []string{"base", "base+1", "base+1+2"} {
			if !found[plumbing.Hash(id(content))] {
				t.Errorf("%q is not among %v", content, seen.objects)
			}
		}
	}
	for name, pack := range map[string][]byte{"no base": packWith(base, two), "upon each other": packWith(blob(t, 7, id("b"), adds("b", "a")), blob(t, 7, id("ba"), adds("ba", "c"))),
		"of another size": packWith(base, blob(t, 7, id("base"), adds("basis", "x")))} {
		if err := (&resolving{inspection: inspected(t, pack), room: deltaMemory}).resolve(bytes.NewReader(pack)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := checkPack(bytes.NewReader(packWith(base, blob(t, 6, []byte{1}, adds("base", "x")))), Limits{}.withDefaults(), func(string) bool { return false }); err == nil {
		t.Error("a delta upon the middle of an object: taken")
	}
	wrong := packWith(base)
	wrong[len(wrong)-1] ^= 1
	in := bytes.NewReader(wrong)
	seen, err := checkPack(in, Limits{}.withDefaults(), func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if err := seen.end(in); reasonOf(t, err) != gitsync.StorageFailed {
		t.Errorf("another hash of the pack: %v, want StorageFailed", err)
	}
}
