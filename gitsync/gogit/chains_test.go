package gogit

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what packs end with
	"fmt"
	"os"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
)

// taken stores a pack in a repository that has the blob "base", as a fetch does, and gives the repository and what was said.
func taken(t *testing.T, pack []byte, l Limits, room int64) (*generation, error) {
	t.Helper()
	dir := t.TempDir()
	store, err := bareStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	g := &generation{dir: dir, store: store}
	if err := g.write(plumbing.BlobObject, []byte("base")); err != nil {
		t.Fatal(err)
	}
	in := bytes.NewReader(pack)
	seen, err := checkPack(in, l.withDefaults(), g.has)
	if err != nil {
		return g, err
	}
	if err := seen.end(in); err != nil {
		t.Fatal(err)
	}
	spool, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	if _, err := spool.Write(pack); err != nil {
		t.Fatal(err)
	}
	_, err = g.take(spool, seen, room, false)
	return g, err
}

// summed gives a pack with its hash at its end.
func summed(pack []byte) []byte {
	sum := sha1.Sum(pack[:len(pack)-20]) //nolint:gosec // what packs end with
	return append(pack[:len(pack)-20], sum[:]...)
}

// The bound of chains holds for packs whose bases are in the repository, too, and no object of a pack that breaks it is used.
func TestTake_chainsUponObjectsOfTheRepositoryAreBounded(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]gitsync.Reason{1: "", 7: "", 8: gitsync.LimitExceeded} {
		g, err := taken(t, namedChain(t, depth, true), Limits{DeltaDepth: 7}, deltaMemory)
		if gitsync.ReasonOf(err, "no Failure at all") != want {
			t.Errorf("a chain of %d deltas where 7 are allowed: %v, want %q", depth, err, want)
		}
		last := plumbing.ComputeHash(plumbing.BlobObject, fmt.Appendf(nil, "%04d", depth-1))
		if has := g.has(last.String()); has != (want == "") {
			t.Errorf("a chain of %d deltas: its end is there: %t", depth, has)
		}
	}
}

// Where there is no room to build a pack, the library may take over only what the check has bounded: not deltas upon deltas
// that are named by their ids, of which nobody knows how deep they go before they are built.
func TestTake_libraryGetsBoundedChainsOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pack []byte
		want gitsync.Reason
	}{
		"upon named deltas":              {namedChain(t, 3, false), gitsync.LimitExceeded},
		"thin, upon named deltas":        {namedChain(t, 3, true), gitsync.LimitExceeded},
		"by place":                       {summed(packOf(t, 3)), ""},
		"upon an object of the pack":     {namedChain(t, 1, false), ""},
		"upon one of the repository":     {namedChain(t, 1, true), ""},
		"by place, deeper than allowed":  {packOf(t, 8), gitsync.LimitExceeded},
		"thin and deeper than allowed":   {namedChain(t, 8, true), gitsync.LimitExceeded},
		"whole and deeper than allowed ": {namedChain(t, 8, false), gitsync.LimitExceeded},
	} {
		if _, err := taken(t, c.pack, Limits{DeltaDepth: 7}, 1); gitsync.ReasonOf(err, "no Failure at all") != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
